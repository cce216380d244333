"""Makes the system odd for one process and its children, as the words in ODD_SYSTEM say, and notes in the folder
ODD_NOTES what of it a process met, so that a build which never looked at the clock is not counted as one that bore it.

clock   the time of day jumps by hours, back and forth, at each look     links   hard links are refused
stamps  the times of files are those of a FAT file system: even seconds, no access times
"""

import os
import random
import time

WORDS = os.environ.get("ODD_SYSTEM", "").split()
NOTES = os.environ.get("ODD_NOTES", "")
noted = set()
rng = random.Random(os.environ.get("ODD_SEED", ""))


def met(word: str) -> None:
    """Append to the note of a word, once a process."""
    if NOTES and word not in noted:
        noted.add(word)
        with open(os.path.join(NOTES, word), "a") as note:
            note.write("x")


if "clock" in WORDS:
    true_time = time.time

    def jumping() -> float:
        met("clock")
        return true_time() + rng.uniform(-86400, 86400)

    time.time = jumping

if "links" in WORDS:

    def link(*_, **__):
        met("links")
        raise OSError(38, os.strerror(38))

    os.link = link

if "stamps" in WORDS:
    true_stat, true_fstat = os.stat, os.fstat

    def coarse(status: os.stat_result) -> os.stat_result:
        met("stamps")
        values = list(status)
        for index in (7, 8, 9):
            values[index] -= values[index] % 2
        names = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        for name in ("st_atime", "st_mtime", "st_ctime"):
            whole = int(names[name]) - int(names[name]) % 2
            names[name], names[f"{name}_ns"] = float(whole), whole * 10**9
        return os.stat_result(values, names)

    os.stat = lambda *words, **options: coarse(true_stat(*words, **options))
    os.fstat = lambda *words, **options: coarse(true_fstat(*words, **options))
