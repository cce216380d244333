"""A note in image files and videos: how many of the frames lie in one source-frame interval.

`stage interpolate` writes it, the stages after it pass it on, and `stage average` reads it, so that a window of 7
source frames is 56 frames of 2000 fps and 7 frames of a camera. PNG holds it as a text chunk, TIFF as its
ImageDescription, videos as their comment. Pixels do not change. Nothing is opened here.
"""

import re
import struct
import zlib

from lolblur_synth.files import png, tiff

KEYWORD = b"Comment"  # PNG specification, predefined keywords of tEXt
ASCII = 2  # TIFF 6.0, type of a text
NOTE = re.compile(r"lolblur-synth: (\d{1,6}) samples a source frame")
TIFF = b"II*\0"  # as OpenCV writes it
IHDR_END = 33  # bytes: signature, and the first chunk of 13 bytes


def note(samples: int) -> str:
    """The text of the note; empty for source frames themselves."""
    return f"lolblur-synth: {samples} samples a source frame" if samples > 1 else ""


def samples_in(text: str) -> int:
    """The samples a source frame in the text of a note; 1 where there is no note."""
    match = NOTE.search(text)
    return max(1, int(match[1])) if match else 1


def marked(data: bytes, samples: int) -> bytes:
    """An encoded PNG or little-endian TIFF with the note, for `samples` above 1; other files as they are."""
    text = note(samples).encode()
    if text and data.startswith(png.SIGNATURE):
        body = b"tEXt" + KEYWORD + b"\0" + text
        return data[:IHDR_END] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + (
            data[IHDR_END:])  # fmt: skip
    return _described(data, text + b"\0") if text and data.startswith(TIFF) else data


def _described(data: bytes, text: bytes) -> bytes:
    """The TIFF with a copy of its directory, the description added, at the end; the header points there."""
    data += b"\0" * (len(data) % 2)  # directories and values begin on a word
    text += b"\0" * (len(text) % 2)
    (at,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[at : at + 2])
    entries = [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    entries = [entry for entry in entries if struct.unpack("<H", entry[:2])[0] != tiff.DESCRIPTION]
    entries.append(struct.pack("<HHII", tiff.DESCRIPTION, ASCII, len(text), len(data)))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2])[0])
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + data[at + 2 + 12 * count : at + 6 + 12 * count]
    return data[:4] + struct.pack("<I", len(data) + len(text)) + data[8:] + text + directory


def samples_of(data: bytes) -> int:
    """The samples a source frame that the note of an image file gives; 1 where it has none."""
    try:
        is_png = data.startswith(png.SIGNATURE)
        text = _png_text(data) if is_png else _tiff_text(data) if tiff.is_tiff(data) else b""
    except (struct.error, ValueError):
        return 1
    return samples_in(text.decode("latin-1"))


def _png_text(data: bytes) -> bytes:
    at, texts = len(png.SIGNATURE), []
    while data[at + 4 : at + 8] not in (b"", b"IDAT"):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"tEXt":
            texts.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    return b"\n".join(texts)


def _tiff_text(data: bytes) -> bytes:
    _, length, at = tiff.first_page(data).entries.get(tiff.DESCRIPTION, (ASCII, 0, 0))
    return data[at : at + length]
