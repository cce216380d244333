"""The chunks of a PNG file that OpenCV ignores: orientation, animation, HDR, transparent grey.

Own code rather than Pillow's, whose reader ignores cICP (HDR) as well and which is no dependency otherwise. PNG
specification, third edition (W3C 2025).
"""

import struct

import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.files import tiff

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY = 0  # colour type
HDR = {16: "PQ", 18: "HLG"}  # cICP: ITU-T H.273 TransferCharacteristics
DISPLAY_GAMMA = (40_000, 60_000)  # gAMA in 1/100000: 1/2.2 is 45455, old Macintosh pictures say 1/1.8


def chunks(data: bytes) -> dict[bytes, bytes]:
    """The content of the first chunk of each kind, but for pixels; a header that is cut short ends the search."""
    chunk_by_kind, at = {}, len(SIGNATURE)
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind != b"IDAT":
            chunk_by_kind.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 12 + size
    return chunk_by_kind


def check(parts: dict[bytes, bytes], name: str) -> None:
    """Raise InputError (pages, hdr) unless the file is a single picture of display values."""
    if len(parts.get(b"acTL", b"")) == 8 and (count := struct.unpack(">II", parts[b"acTL"])[0]) > 1:
        raise InputError(f"{name}: an animated PNG of {count} pictures", "store one picture a file", "pages")
    if len(parts.get(b"cICP", b"")) == 4 and parts[b"cICP"][1] in HDR:
        raise InputError(f"{name}: HDR picture ({HDR[parts[b'cICP'][1]]})", "tone-map it to SDR (sRGB) first", "hdr")


def orientation(parts: dict[bytes, bytes]) -> int:
    """Exif orientation, 1..8; 1 where the file has none."""
    try:
        value = tiff.first_page(parts.get(b"eXIf", b"")).value(tiff.ORIENTATION, 1)
    except (struct.error, ValueError):
        return 1
    return value if 1 <= value <= 8 else 1


def with_alpha(pixels: np.ndarray, parts: dict[bytes, bytes]) -> np.ndarray:
    """Grey pixels, of which tRNS calls one level transparent, as BGRA; others as they are."""
    bits, colour = parts[b"IHDR"][8:10]
    if colour != GREY or pixels.ndim != 2 or len(parts.get(b"tRNS", b"")) != 2:
        return pixels
    peak = np.iinfo(pixels.dtype).max  # fewer than 8 bits are widened to 8
    level = struct.unpack(">H", parts[b"tRNS"])[0] * (peak // (2**bits - 1))
    return np.dstack([pixels] * 3 + [np.where(pixels == level, 0, peak).astype(pixels.dtype)])


def about(parts: dict[bytes, bytes]) -> list[str]:
    """What a user should know about the colours: a gamma that is not a display's is not undone."""
    tagged = parts.keys() & {b"sRGB", b"iCCP", b"cICP"}
    if tagged or len(parts.get(b"gAMA", b"")) != 4:
        return []
    gamma = struct.unpack(">I", parts[b"gAMA"])[0]
    low, high = DISPLAY_GAMMA
    return [] if low <= gamma <= high else [f"its gamma of {gamma / 1e5:g} is not undone; it is read as sRGB"]
