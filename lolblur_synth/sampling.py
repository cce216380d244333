"""A note in image files and videos: how many of the frames lie in one source-frame interval.

`stage interpolate` writes it, the stages after it pass it on, and `stage average` reads it, so that a window of 7
source frames is 56 frames of 2000 fps and 7 frames of a camera. PNG holds it as a text chunk, TIFF as its
ImageDescription, videos as their comment. Pixels do not change. Nothing is opened here.
"""

import re
import struct
import zlib

KEYWORD = b"Comment"  # PNG specification, predefined keywords of tEXt
IMAGE_DESCRIPTION, ASCII = 270, 2  # TIFF 6.0, tag and type
NOTE = re.compile(r"lolblur-synth: (\d{1,6}) samples a source frame")
PNG, TIFF = b"\x89PNG\r\n\x1a\n", b"II*\0"
IHDR_END = 33  # bytes: signature, and the first chunk of 13 bytes


def note(samples: int) -> str:
    """The text of the note; empty for source frames themselves."""
    return f"lolblur-synth: {samples} samples a source frame" if samples > 1 else ""


def samples_in(text: str) -> int:
    """The samples a source frame that a text tells; 1 where it tells none."""
    match = NOTE.search(text)
    return max(1, int(match[1])) if match else 1


def marked(data: bytes, samples: int) -> bytes:
    """An encoded PNG or little-endian TIFF with the note, for `samples` above 1; other files as they are."""
    text = note(samples).encode()
    if text and data.startswith(PNG):
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
    entries = [entry for entry in entries if struct.unpack("<H", entry[:2])[0] != IMAGE_DESCRIPTION]
    entries.append(struct.pack("<HHII", IMAGE_DESCRIPTION, ASCII, len(text), len(data)))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2])[0])
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + data[at + 2 + 12 * count : at + 6 + 12 * count]
    return data[:4] + struct.pack("<I", len(data) + len(text)) + data[8:] + text + directory


def samples_of(data: bytes) -> int:
    """The samples a source frame that an image file tells of; 1 where it tells nothing."""
    try:
        text = _png_text(data) if data.startswith(PNG) else _tiff_text(data) if data.startswith(TIFF) else b""
    except (struct.error, IndexError):
        return 1
    return samples_in(text.decode("latin-1"))


def _png_text(data: bytes) -> bytes:
    at, texts = len(PNG), []
    while data[at + 4 : at + 8] not in (b"", b"IDAT"):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"tEXt":
            texts.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    return b"\n".join(texts)


def _tiff_text(data: bytes) -> bytes:
    (at,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[at : at + 2])
    for number in range(count):
        tag, _, length, place = struct.unpack("<HHII", data[at + 2 + 12 * number : at + 14 + 12 * number])
        if tag == IMAGE_DESCRIPTION and length > 4:
            return data[place : place + length]
    return b""
