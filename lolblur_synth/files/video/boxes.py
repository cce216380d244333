"""The boxes of an MP4 or QuickTime file (ISO/IEC 14496-12). Only their headers are read here."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_BOXES = 1_000_000  # a day of fragments of 0.1 s


class Box(NamedTuple):
    """kind: its four letters. start, end: of its content, in bytes from the beginning of the file; within the file."""

    kind: bytes
    start: int
    end: int


def top_level(path: Path) -> Iterator[Box]:
    """The boxes that lie in no other box, in order, up to the first header that is invalid."""
    with path.open("rb") as file:
        yield from boxes(file, 0, os.path.getsize(path))


def boxes(file: BinaryIO, start: int, stop: int) -> Iterator[Box]:
    """The boxes in bytes start..stop-1 of a file. A last box that claims more ends at `stop`."""
    for _ in range(MAX_BOXES):
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
