"""The boxes of an MP4 or QuickTime file (ISO/IEC 14496-12), found by their headers; content is not read here."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

MOST = 1_000_000  # boxes: a day of fragments of 0.1 s


class Box(NamedTuple):
    """kind: its four letters. start, end: of its content, in bytes from the beginning of the file; within the file."""

    kind: bytes
    start: int
    end: int


def top_level(path: Path) -> Iterator[Box]:
    """The boxes that lie in no other box, in order; no more where a header makes no sense."""
    with path.open("rb") as file:
        yield from boxes(file, 0, os.path.getsize(path))


def boxes(file: BinaryIO, start: int, stop: int) -> Iterator[Box]:
    """The boxes in bytes start..stop-1 of a file. The last is cut at `stop` where it says that it is longer."""
    for _ in range(MOST):
        if start + 8 > stop:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, header = int.from_bytes(head[:4]), 8
        if size == 1:  # a 64-bit size follows
            size, header = int.from_bytes(head[8:16]), 16
        elif size == 0:  # to the end
            size = stop - start
        if size < header:
            return
        yield Box(head[4:8], start + header, min(start + size, stop))
        start += size
