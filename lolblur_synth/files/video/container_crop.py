"""The crop that a container asks for: `clap` of MP4 and MOV, the PixelCrop elements of Matroska and WebM.

FFmpeg's demuxers read it and its command line applies it from version 7.1 on, but PyAV does not hand it out, so these
few fields are read here. The walk seeks from header to header, reads nothing else, and is bounded in steps and bytes.
Whatever does not parse is no crop: whether the file is sound is for FFmpeg to say.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_STEPS = 100_000  # headers that are looked at in one file; a Matroska file of hours has thousands of clusters
MAX_BYTES = 1 << 20  # of one Matroska `Tracks` element or one sample entry of MP4; real ones have a few kilobytes
SEGMENT, TRACKS, TRACK, TRACK_TYPE, VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0  # RFC 9559
CROP = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}  # PixelCropLeft and its kin, RFC 9559
PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")  # ISO/IEC 14496-12
VISUAL_ENTRY = 86  # bytes of a VisualSampleEntry before its boxes, its own header included (ISO/IEC 14496-12)


class Crop(NamedTuple):
    """Pixels to cut off at each side of the picture as it is stored."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


def container_crop(path: Path, container: str, index: int, track_id: int) -> Crop:
    """The crop of one video track; all 0 where there is none.

    container: FFmpeg's name of it. index: of the track among the video tracks, which finds it in Matroska; track_id:
    its number, which finds it in MP4.
    """
    try:
        with open(path, "rb") as file:
            if "matroska" in container:
                crops = list(_matroska(file))
                return crops[index] if index < len(crops) else Crop()
            return dict(_mp4(file)).get(track_id, Crop()) if "mov" in container else Crop()
    except (OSError, struct.error, IndexError, ValueError, ZeroDivisionError):  # ValueError: a limit was passed
        return Crop()


def _mp4(file: BinaryIO) -> Iterator[tuple[int, Crop]]:
    """(track_ID, crop) of each track that has a `clap`."""
    for track_id, entry in mp4_entries(file):
        boxes = dict(boxes_of_entry(entry))
        if b"clap" in boxes and (crop := _clap(*struct.unpack_from(">HH", entry, 32),
                                               struct.unpack_from(">IIIIiIiI", boxes[b"clap"]))):  # fmt: skip
            yield track_id, crop


def mp4_entries(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(track_ID, the first sample entry that could be a VisualSampleEntry) of each track of an MP4 file.

    Raises struct.error or ValueError where the file does not parse, as do the other functions here.
    """
    steps = iter(range(MAX_STEPS))
    end = file.seek(0, 2)
    for moov in _boxes(file, 0, end, b"moov", steps):
        for trak in _boxes(file, *moov, b"trak", steps):
            spans = list(_boxes(file, *trak, b"tkhd", steps))
            entry = _entry_below(file, trak, PATH[2:], steps)
            if spans and entry:
                file.seek(spans[0][0])
                header = file.read(24)
                yield struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0], entry


def boxes_of_entry(entry: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each box in a VisualSampleEntry; the last of a kind counts, were it there twice."""
    at = VISUAL_ENTRY
    while at + 8 <= len(entry):
        size, kind = struct.unpack_from(">I4s", entry, at)
        if size < 8 or at + size > len(entry):
            return
        yield kind, entry[at + 8 : at + size]
        at += size


def _entry_below(file: BinaryIO, span: tuple[int, int], names: tuple[bytes, ...], steps: Iterator[int]) -> bytes | None:
    """The first sample entry in the sample descriptions below a track."""
    if names:
        below = (_entry_below(file, inner, names[1:], steps) for inner in _boxes(file, *span, names[0], steps))
        return next((entry for entry in below if entry), None)
    start, end = span
    file.seek(start + 8)  # stsd: version, flags, count; then the first sample entry
    size = struct.unpack(">I", file.read(4))[0]
    if not VISUAL_ENTRY <= size <= min(MAX_BYTES, end - start - 8):
        return None
    file.seek(start + 8)
    return file.read(size)


def _boxes(file: BinaryIO, at: int, end: int, name: bytes, steps: Iterator[int]) -> Iterator[tuple[int, int]]:
    """(start, end) of the content of each box called `name` between two offsets of the file."""
    while at + 8 <= end:
        if next(steps, None) is None:
            raise ValueError("too many boxes")
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8))[0], 16
        size = size or end - at  # 0: up to the end
        if size < head or at + size > end:
            return
        if kind == name:
            yield at + head, at + size
        at += size


def _clap(width: int, height: int, fields: tuple[int, ...]) -> Crop | None:
    """The clean aperture in whole pixels, as FFmpeg's mov demuxer rounds it; None where it does not fit the picture."""
    wide, high, across, down = (Fraction(*fields[at : at + 2]) for at in (0, 2, 4, 6))
    left, right = _edges(width, wide, across)
    top, bottom = _edges(height, high, down)
    sides = left, top, width - 1 - right, height - 1 - bottom
    return Crop(*sides) if min(sides) >= 0 and left <= right and top <= bottom else None


def _edges(size: int, aperture: Fraction, offset: Fraction) -> tuple[int, int]:
    """First and last pixel of an aperture whose centre lies `offset` from the picture's."""
    centre = Fraction(size - 1, 2) + offset
    return int(centre - (aperture - 1) / 2), int(centre + (aperture - 1) / 2)


def _matroska(file: BinaryIO) -> Iterator[Crop]:
    """The crop of each video track, in the order of the file."""
    for track in matroska_tracks(file):
        picture = dict(children(dict(children(track)).get(VIDEO, b"")))
        yield Crop(**{side: int.from_bytes(picture.get(key, b"")) for key, side in CROP.items()})


def matroska_tracks(file: BinaryIO) -> Iterator[bytes]:
    """The content of the TrackEntry of each video track of a Matroska file, in the order of the file."""
    end = file.seek(0, 2)
    at = 0
    for _ in range(MAX_STEPS):
        file.seek(at)
        head = file.read(12)
        if not head:
            return
        identity, size, length = _element(head, 0)
        if identity == SEGMENT:  # go in
            at += length
        elif identity == TRACKS:
            if size is None or size > min(MAX_BYTES, end):
                return
            file.seek(at + length)
            yield from _video_tracks(file.read(size))
            return
        elif size is None:  # a cluster of a live recording: what describes the tracks comes before it
            return
        else:
            at += length + size


def _video_tracks(data: bytes) -> Iterator[bytes]:
    for identity, track in children(data):
        if identity == TRACK and int.from_bytes(dict(children(track)).get(TRACK_TYPE, b"")) == 1:  # video
            yield track


def children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(ID, content) of each EBML element in the content of one."""
    at = 0
    while at < len(data):
        identity, size, length = _element(data, at)
        if size is None or at + length + size > len(data):
            return
        yield identity, data[at + length : at + length + size]
        at += length + size


def _element(data: bytes, at: int) -> tuple[int, int | None, int]:
    """(ID, bytes of content, bytes of this header) of an EBML element; None: its length is not known (RFC 8794)."""
    id_length = 9 - data[at].bit_length()  # a number's length is the place of its first set bit
    size_at = at + id_length
    size_length = 9 - data[size_at].bit_length()
    if id_length > 4 or size_length > 8 or size_at + size_length > len(data):
        raise ValueError("not an EBML element")
    size = int.from_bytes(data[size_at : size_at + size_length]) & (1 << 7 * size_length) - 1
    unknown = size == (1 << 7 * size_length) - 1
    return int.from_bytes(data[at:size_at]), None if unknown else size, id_length + size_length
