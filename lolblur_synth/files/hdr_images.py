"""Pictures that hold light above white: Radiance .hdr (RGBE) and OpenEXR, as linear light relative to white.

OpenCV decodes the first; FFmpeg, through PyAV, the second: exactly, but it fills what is missing with black and drops
layers, so that both are looked for here. Ward, Real Pixels, Graphics Gems II (1991); OpenEXR File Layout, version 2.
"""

import re
import struct
from typing import NamedTuple

import av
import numpy as np

from lolblur_synth.errors import InputError

EXR = b"v/1\x01"
HDR = (b"#?RADIANCE", b"#?RGBE")
RESOLUTION = re.compile(rb"\n\n(-Y (\d{1,9}) \+X (\d{1,9})|[+-][XY] \d{1,9} [+-][XY] \d{1,9})\n")
MAX_HEADER = 1 << 20  # bytes; real ones have some hundred, and a preview image of some kilobytes
TILED, DEEP, MULTIPART = 0x200, 0x800, 0x1000  # flags in the version field of OpenEXR
HALF, FLOAT = 1, 2  # pixel types; 0 is uint
BT709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # chromaticities of red, green and blue, x and y each
LAYERS_HINT = "store R, G and B alone: oiiotool IN.exr --ch beauty.R,beauty.G,beauty.B --chnames R,G,B -o OUT.exr"


class ExrHeader(NamedTuple):
    """attributes: name -> bytes of its value. flags: of the version field. end: where the table of offsets begins."""

    attributes: dict[bytes, bytes]
    flags: int
    end: int


def is_exr(data: bytes) -> bool:
    return data[:4] == EXR


def is_hdr(data: bytes) -> bool:
    return data.startswith(HDR)


def hdr_size(data: bytes) -> tuple[int, int]:
    """(width, height) that the header of a Radiance file claims. Raises ValueError where it claims none."""
    found = RESOLUTION.search(data, 0, MAX_HEADER)
    if not found:
        raise ValueError("no resolution")
    numbers = [int(word) for word in re.findall(rb"\d+", found[1])]
    return (numbers[1], numbers[0]) if b"Y" in found[1][:2] else (numbers[0], numbers[1])


def check_hdr(data: bytes, name: str) -> None:
    """Raise InputError (format) for a Radiance file that is not stored as RGB from the top left on."""
    head = data[: RESOLUTION.search(data, 0, MAX_HEADER).end()]
    if b"xyze" in head:
        raise InputError(f"{name}: Radiance colours as XYZ", "convert it to RGB: ra_xyze -r IN.hdr OUT.hdr", "format")
    if not re.search(rb"\n-Y \d+ \+X \d+\n$", head):
        raise InputError(f"{name}: a Radiance picture that is stored turned or mirrored", "turn it: pflip, protate",
                         "format")  # fmt: skip


def exr_size(data: bytes) -> tuple[int, int]:
    """(width, height) of the larger of an EXR's windows. Raises ValueError and struct.error where there is none."""
    attributes = exr_header(data).attributes
    windows = [struct.unpack("<4i", attributes[key]) for key in (b"dataWindow", b"displayWindow") if key in attributes]
    if not windows:
        raise ValueError("no window")
    return max(right - left + 1 for left, _, right, _ in windows), max(low - top + 1 for _, top, _, low in windows)


def exr_header(data: bytes) -> ExrHeader:
    """The header of an EXR, of its first part. Raises ValueError and struct.error where it does not parse."""
    (version,) = struct.unpack_from("<I", data, 4)
    at, attributes = 8, {}
    while at < len(data) and data[at]:
        name_end = data.index(b"\0", at, MAX_HEADER)
        kind_end = data.index(b"\0", name_end + 1, MAX_HEADER)
        (size,) = struct.unpack_from("<i", data, kind_end + 1)
        start = kind_end + 5
        if not 0 <= size <= len(data) - start:
            raise ValueError("an attribute is cut short")
        attributes[data[at:name_end]] = data[start : start + size]
        at = start + size
    return ExrHeader(attributes, version >> 8 << 8, at + 1)


def decode_exr(data: bytes, name: str) -> np.ndarray | None:
    """(H, W, 3) float32 BGR linear light, or (H, W) where there is luminance alone; None where the file is damaged.

    Colours are taken as they are: they are multiplied by their alpha already. Raises InputError (format, pages).
    """
    header = exr_header(data)
    _check_exr(header, name)
    if _is_cut_short(data, header):
        return None
    try:
        decoder = av.CodecContext.create("exr", "r")
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except (av.FFmpegError, ValueError):
        return None
    planes = [float_plane(frames[0], index) for index in range(min(len(frames[0].planes), 3))] if frames else []
    if len(planes) == 1:
        return planes[0]
    return np.dstack([planes[1], planes[0], planes[2]]) if len(planes) == 3 else None  # FFmpeg keeps G, B, R


def exr_notes(data: bytes) -> list[str]:
    """What a user should know about the colours of an EXR."""
    found = exr_header(data).attributes.get(b"chromaticities", b"")
    if len(found) != 32 or np.allclose(struct.unpack("<8f", found)[:6], BT709, atol=0.002):
        return []
    return ["its chromaticities are not those of BT.709 and are not converted; colours come out wrong"]


def _check_exr(header: ExrHeader, name: str) -> None:
    if header.flags & (DEEP | MULTIPART):
        kind = "deep" if header.flags & DEEP else "multi-part"
        raise InputError(f"{name}: a {kind} EXR", "store one flat picture a file", "pages")
    channels = dict(_channels(header.attributes.get(b"channels", b"")))
    colours = [channel for channel in ("R", "G", "B", "Y", "RY", "BY") if channel in channels]
    if colours[:3] != ["R", "G", "B"] and colours != ["Y"]:
        listed = ", ".join(list(channels)[:6]) + (", …" if len(channels) > 6 else "")
        raise InputError(f"{name}: an EXR without plain R, G and B, or Y ({listed})", LAYERS_HINT, "format")
    if not {channels[channel] for channel in colours[:3]} <= {HALF, FLOAT}:
        raise InputError(f"{name}: an EXR of whole numbers", "store half or float channels", "format")


def _channels(data: bytes) -> list[tuple[str, int]]:
    """(name, pixel type) of each channel in a chlist attribute, as far as that is whole."""
    found, at = [], 0
    while at < len(data) and data[at]:
        end = data.find(b"\0", at)
        if not at < end <= len(data) - 5:
            break
        found.append((data[at:end].decode("utf-8", "backslashreplace"), struct.unpack_from("<i", data, end + 1)[0]))
        at = end + 17
    return found


def _is_cut_short(data: bytes, header: ExrHeader) -> bool:
    """Whether a block that the table of offsets names lies outside the file; the first block ends the table."""
    table = at = header.end
    first = len(data)
    while at + 8 <= first:
        (offset,) = struct.unpack_from("<Q", data, at)
        if not table < offset <= len(data) - 8:  # 0: it was never written
            return True
        first, at = min(first, offset), at + 8
    if at == table:
        return True
    size_at = max(struct.unpack_from(f"<{(at - table) // 8}Q", data, table)) + (16 if header.flags & TILED else 4)
    return size_at + 4 + struct.unpack_from("<i", data, size_at)[0] > len(data)


def float_plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """One plane of a frame of half or single floats as float32, (h, w), without its padding."""
    plane, size = frame.planes[index], frame.format.components[0].bits // 8
    kind = np.dtype(f"{'>' if frame.format.is_big_endian else '<'}f{size}")
    rows = np.frombuffer(plane, kind).reshape(-1, plane.line_size // size)
    return rows[: plane.height, : plane.width].astype(np.float32)
