"""The name of an image's ICC colour profile: the user is told about a wide gamut, since colours are not converted."""

import struct
import zlib

from lolblur_synth.files import png, tiff

MAX_BYTES = 1 << 20  # read of a profile; real ones have 500 bytes to 600 kB
MARKER = b"ICC_PROFILE\0"  # ICC.1:2022, annex B.4: JPEG
ICC_TAG = 34675  # of TIFF
WIDE = ("Display P3", "DCI-P3", "Adobe RGB", "ProPhoto", "ROMM RGB", "Rec. 2020", "Rec2020", "Rec.2020", "BT.2020")


def wide_gamut(data: bytes) -> str | None:
    """The name of the profile in an image file if its gamut is wider than that of sRGB; else None."""
    profile = _profile(data)
    return next((name for name in WIDE if name.encode() in profile or name.encode("utf-16-be") in profile), None)


def _profile(data: bytes) -> bytes:
    try:
        if data[:2] == b"\xff\xd8":
            at = data.find(MARKER, 0, MAX_BYTES)
            return data[at : at + 65_535] if at > 0 else b""  # the first part holds the name
        if data[:8] == png.SIGNATURE:
            packed = png.chunks(data).get(b"iCCP", b"").partition(b"\0")[2][1:]
            return zlib.decompressobj().decompress(packed, MAX_BYTES) if packed else b""
        _, size, at = tiff.first_page(data).entries.get(ICC_TAG, (0, 0, 0))
        return data[at : at + min(size, MAX_BYTES)]
    except (struct.error, ValueError, zlib.error):
        return b""
