"""OUT/.lolblur/log.jsonl: what happened to the dataset, and when. Only this file holds times and paths of the machine.

`build` writes which inputs it was given and what became of each pair; `verify` which pairs it found damaged. The next
build makes those again. A line that is torn or unknown is passed over: nothing but this depends on the log.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lolblur_synth.dataset import layout
from lolblur_synth.files import remote

NAME = "log.jsonl"
DONE, DAMAGED, INPUTS = "done", "damaged", "inputs"  # kinds of lines; "failed" is the fourth


def add(out: Path, lines: Iterable[dict]) -> None:
    """Append lines, each with the time. A log that cannot be written costs no build: the lines are lost."""
    text = "".join(json.dumps({"time": time.time(), **line}) + "\n" for line in lines)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # a planted link leads out of OUT
    try:
        descriptor = os.open(out / layout.STATE / NAME, flags, 0o644)
    except OSError:
        return
    try:
        size = os.fstat(descriptor).st_size
        torn = size and os.pread(descriptor, 1, size - 1) != b"\n"  # a build was killed while it wrote
        os.write(descriptor, ("\n" * bool(torn) + text).encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)


def note_damage(out: Path, pairs: Iterable[str]) -> None:
    """Write down pairs ("0003/0012") that the next build is to make again."""
    add(out, [{"kind": DAMAGED, "pair": pair} for pair in pairs])


def damaged(out: Path) -> set[str]:
    """The pairs that were found damaged and have not been built since."""
    pairs: set[str] = set()
    for line in _lines(out):
        if line.get("kind") == DAMAGED:
            pairs.add(str(line.get("pair")))
        elif line.get("kind") == DONE:
            pairs.discard(str(line.get("pair")))
    return pairs


def note_inputs(out: Path, words: Sequence[str | Path]) -> None:
    """Write down the VIDEOS of a build, as absolute paths and URLs; none of them where a URL tells a password."""
    urls = [str(word) for word in words if remote.is_url(word)]
    paths = [] if any(map(remote.has_secret, urls)) else [
        str(word) if remote.is_url(word) else os.path.abspath(word) for word in words
    ]  # fmt: skip
    add(out, [{"kind": INPUTS, "folder": _identity(out), "paths": paths}])


def inputs(out: Path) -> list[str | Path]:
    """The VIDEOS of the last build of this very folder; none for a dataset that came from another place.

    The log of a copied or unpacked dataset was written by somebody else: its paths are not followed.
    """
    found: list = []
    for line in _lines(out):
        if line.get("kind") == INPUTS:
            paths = line.get("paths")
            is_ours = line.get("folder") == _identity(out) and isinstance(paths, list)
            found = paths if is_ours else []  # type: ignore[assignment]
    return [remote.as_word(path) for path in found if isinstance(path, str)]


def _identity(out: Path) -> list[int]:
    """Device and inode of the folder of the state, which a copy does not share."""
    status = os.stat(out / layout.STATE)
    return [status.st_dev, status.st_ino]


def _lines(out: Path) -> Iterator[dict]:
    try:
        with (out / layout.STATE / NAME).open("rb") as file:
            for row in file:
                if (line := layout.from_json(row)) is not None:
                    yield line
    except OSError:
        return
