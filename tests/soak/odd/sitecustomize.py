"""Makes the system odd for one process and its children, as the words in ODD_SYSTEM say.

clock   the time of day jumps by hours, back and forth, at each look     links   hard links are refused
stamps  the times of files are those of a FAT file system: even seconds, no access times
"""

import os
import random
import time

WORDS = os.environ.get("ODD_SYSTEM", "").split()
rng = random.Random(os.environ.get("ODD_SEED", ""))

if "clock" in WORDS:
    true_time = time.time
    time.time = lambda: true_time() + rng.uniform(-86400, 86400)

if "links" in WORDS:

    def link(*_, **__):
        raise OSError(38, os.strerror(38))

    os.link = link

if "stamps" in WORDS:
    true_stat, true_fstat = os.stat, os.fstat

    def coarse(status: os.stat_result) -> os.stat_result:
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
