"""The elements of a Matroska or WebM file (EBML, RFC 8794): numbers, headers and children. Nothing is opened here."""

from collections.abc import Iterator
from typing import NamedTuple

MAX_HEADER = 12  # bytes: 4 of identity, 8 of size
HEADER, SEGMENT = 0x1A45DFA3, 0x18538067  # RFC 8794, RFC 9559
TRACKS, TRACK, TRACK_TYPE, VIDEO = 0x1654AE6B, 0xAE, 0x83, 0xE0  # RFC 9559


class Element(NamedTuple):
    """The header of an element. size: bytes of its content, None where they are not known; header: its own bytes."""

    identity: int
    size: int | None
    header: int


def element(data: bytes, at: int = 0) -> Element:
    """The element whose header begins at `at`. Raises ValueError or IndexError where there is none."""
    id_length = 9 - data[at].bit_length()  # the place of a number's first set bit says how long it is
    size_at = at + id_length
    size_length = 9 - data[size_at].bit_length()
    if id_length > 4 or size_length > 8 or size_at + size_length > len(data):
        raise ValueError("not an EBML element")
    size = int.from_bytes(data[size_at : size_at + size_length]) & (1 << 7 * size_length) - 1
    is_known = size != (1 << 7 * size_length) - 1  # all ones: not known
    return Element(int.from_bytes(data[at:size_at]), size if is_known else None, id_length + size_length)


def children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(identity, content) of the elements in the content of another, up to the first that is cut short."""
    at = 0
    while at < len(data):
        identity, size, header = element(data, at)
        if size is None or at + header + size > len(data):
            return
        yield identity, data[at + header : at + header + size]
        at += header + size
