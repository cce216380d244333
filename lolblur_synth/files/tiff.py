"""TIFF files whose layout OpenCV misreads: planes, alpha, inverted 16-bit grey, several pages. TIFF 6.0 and BigTIFF.

OpenCV (libtiff inside) decodes every picture, so that damage and size are judged in one place. Where it would misread a
layout, it gets the same data behind another directory, which it reads correctly. The parser is ours and not tifffile's
because that new directory is made of the raw entries of the old one, which tifffile does not hand out.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lolblur_synth.errors import InputError

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 13: 4, 16: 8}  # bytes of BYTE, ASCII, SHORT, LONG, IFD, LONG8
CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
KIND, WIDTH, LENGTH, BITS, PHOTOMETRIC, DESCRIPTION, ORIENTATION = 254, 256, 257, 258, 262, 270, 274
SAMPLES, PLANAR, PREDICTOR, TILE_WIDTH, EXTRA, FORMAT = 277, 284, 317, 322, 338, 339
OFFSETS, COUNTS = (273, 324), (279, 325)  # of strips, of tiles
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1  # photometric interpretations
COMPRESSION = 259
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # samples of a colour: grey, grey, RGB, palette, CMYK, YCbCr, Lab
DEEP = (0, 1, 2)  # photometric interpretations that OpenCV reads with more than 8 bits
DEPTHS = (1, 2, 4, 8, 10, 12, 14, 16)  # bits; OpenCV widens those between 8 and 16 to 16
STRAIGHT = 2  # alpha that the colours are not multiplied by ("unassociated")
FORMATS = {1: "integer", 2: "signed", 3: "float", 4: "integer", 5: "complex", 6: "complex"}
MAX_PAGES = 10_000
COMPRESSIONS = (1, 5, 7, 8, 32773, 32946)  # none, LZW, JPEG, Deflate, PackBits, old Deflate: every OpenCV has them
CONVERT = "store 8 or 16 bit, or float32 TIFF"
SPLIT = "store one picture a file, for example: magick IN.tif page-%04d.tif"


@dataclass(frozen=True)
class Page:
    """One image file directory. entries: tag -> (type, count, offset of the first value). following: the offset of the
    next directory, 0 at the end."""

    data: bytes = field(repr=False)
    order: str
    big: bool
    entries: dict[int, tuple[int, int, int]]
    following: int

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The whole numbers of a field; `default` where it has none or they lie outside the file."""
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        if kind not in CODES or at + count * SIZES[kind] > len(self.data):
            return default
        return struct.unpack_from(f"{self.order}{count}{CODES[kind]}", self.data, at) or default

    def value(self, tag: int, default: int) -> int:
        """The first number of a field."""
        return self.values(tag, (default,))[0]


def is_tiff(data: bytes) -> bool:
    """Whether a file begins like a TIFF or a BigTIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def first_page(data: bytes) -> Page:
    """The first directory. Raises struct.error or ValueError where there is none."""
    if not is_tiff(data):
        raise ValueError("not a TIFF")
    order, big = "<" if data[:1] == b"I" else ">", b"+" in data[2:4]
    return _page(data, order, big, struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0])


def _page(data: bytes, order: str, big: bool, at: int) -> Page:
    count_code, entry_code, pointer = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    if at > len(data):
        raise ValueError("the directory lies outside the file")
    count = struct.unpack_from(order + count_code, data, at)[0]
    at += struct.calcsize(order + count_code)
    length, inline = struct.calcsize(order + entry_code), struct.calcsize(order + pointer)
    if count * length > len(data):
        raise ValueError("the directory is cut short")
    entries = {}
    for start in range(at, at + count * length, length):
        tag, kind, values, offset = struct.unpack_from(order + entry_code, data, start)
        is_inline = values * SIZES.get(kind, 1) <= inline
        entries.setdefault(tag, (kind, values, start + length - inline if is_inline else offset))
    return Page(data, order, big, entries, struct.unpack_from(order + pointer, data, at + count * length)[0])


def pages(first: Page) -> int:
    """How many pictures a file holds, not counting reduced copies and masks."""
    count, page, offsets = 1, first, set()
    while page.following and page.following not in offsets and len(offsets) < MAX_PAGES:
        offsets.add(page.following)
        try:
            page = _page(page.data, page.order, page.big, page.following)
        except (struct.error, ValueError):
            break
        count += not page.value(KIND, 0) & 5  # 1: reduced, 4: mask
    kind, length, at = first.entries.get(DESCRIPTION, (0, 0, 0))
    text = first.data[at : at + min(length, 1000)]
    images = re.search(rb"^images=(\d{1,9})$", text, re.MULTILINE) if text.startswith(b"ImageJ=") else None
    return max(count, int(images[1]) if images else 1)  # ImageJ may keep a stack behind one directory


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels turned by an orientation, 1..8 (TIFF 6.0 and Exif): 5 to 8 swap rows and columns, then come mirrors."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])


def decode(data: bytes, name: str, opencv: Callable[[bytes], np.ndarray | None]) -> np.ndarray | None:
    """The picture: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA with straight alpha; uint8, uint16 or float32.

    opencv: decodes a file; returns None where it is damaged. An alpha that the colours are already multiplied by, and a
    further sample of unknown meaning, are left out. Raises InputError (pages, format).
    """
    page = first_page(data)
    extra = _check(page, name)
    if page.value(PLANAR, 1) == 2 and page.value(SAMPLES, 1) > 1 and (page.value(BITS, 1) > 8 or extra):
        planes = [opencv(_plane(page, index)) for index in range(page.value(SAMPLES, 1))]
        pixels = None if any(plane is None for plane in planes) else _colours(planes, len(extra))
    elif extra and page.value(SAMPLES, 1) == 2:
        pairs = opencv(_widened(page, name))
        planes = [] if pairs is None else [pairs[:, 0::2], pairs[:, 1::2]]
        pixels = upright(_colours(planes, 1), page.value(ORIENTATION, 1)) if planes else None
    else:
        pixels = opencv(_directory(page, {EXTRA: (1,)}) if extra else data)  # 1: OpenCV then leaves the colours alone
    if pixels is None and page.value(COMPRESSION, 1) not in COMPRESSIONS:
        raise InputError(f"{name}: TIFF compression {page.value(COMPRESSION, 1)} cannot be read",
                         "store it uncompressed, or with LZW or Deflate", "format")  # fmt: skip
    if pixels is not None and extra and page.value(EXTRA, 0) != STRAIGHT:
        pixels = pixels[:, :, :3] if pixels.ndim == 3 and pixels.shape[2] == 4 else pixels
    if pixels is not None and page.value(PHOTOMETRIC, 1) == WHITE_IS_ZERO and page.value(BITS, 1) > 8:
        return np.iinfo(pixels.dtype).max - pixels  # OpenCV inverts 8 bits, but not 16
    return pixels


def _colours(planes: list[np.ndarray], extra: int) -> np.ndarray:
    """BGR or BGRA of planes in the order of the file."""
    return np.dstack(planes[:1] * 3 + planes[1:] if len(planes) - extra == 1 else planes[2::-1] + planes[3:])


def _check(page: Page, name: str) -> tuple[int, ...]:
    """The kind of each sample besides the colours. Raises InputError (pages, format) where OpenCV would guess."""
    if pages(page) > 1:
        raise InputError(f"{name}: a TIFF of {pages(page)} pages", SPLIT, "pages")
    bits, kind, photometric = set(page.values(BITS, (1,))), page.value(FORMAT, 1), page.value(PHOTOMETRIC, 1)
    deepest = max(bits)
    if len(bits) > 1 or not (kind in (1, 4) and deepest in DEPTHS or kind == 3 and deepest == 32):
        kinds = f"{'/'.join(map(str, sorted(bits)))}-bit {FORMATS.get(kind, 'unknown')} samples"
        raise InputError(f"{name}: {kinds}", CONVERT, "format")
    if photometric not in COLOURS or deepest > 8 and photometric not in DEEP or deepest == 32 and photometric == 0:
        raise InputError(f"{name}: a TIFF of {deepest} bits in colours of kind {photometric} (neither grey nor RGB)",
                         "convert it to RGB", "format")  # fmt: skip
    samples, colours = page.value(SAMPLES, 1), COLOURS[photometric]
    if not 0 <= samples - colours <= (photometric in (1, 2)):
        raise InputError(f"{name}: {samples} samples a pixel", "store grey or RGB, with one alpha channel at most",
                         "format")  # fmt: skip
    return page.values(EXTRA, (0,))[:1] if samples > colours else ()


def with_straight_alpha(data: bytes) -> bytes:
    """A TIFF that OpenCV wrote, with the fourth sample declared as straight alpha, which OpenCV leaves open."""
    return _directory(first_page(data), {EXTRA: (STRAIGHT,)})


def _plane(page: Page, index: int) -> bytes:
    """The file with one of its planes as a grey picture."""
    changes: dict[int, tuple[int, ...]] = {SAMPLES: (1,), PHOTOMETRIC: (BLACK_IS_ZERO,), PLANAR: (1,)}
    for tag in (BITS, FORMAT):
        if tag in page.entries:
            changes[tag] = page.values(tag)[:1]
    for tag in OFFSETS + COUNTS:
        if parts := page.values(tag):
            share = len(parts) // page.value(SAMPLES, 1)
            changes[tag] = parts[index * share : (index + 1) * share]
    return _directory(page, changes, without=(EXTRA,))


def _widened(page: Page, name: str) -> bytes:
    """The file with grey and alpha, pixel by pixel, as one grey picture of twice as many columns."""
    if (
        page.value(PREDICTOR, 1) != 1
    ):  # it stores differences between pixels, which a row of single samples would misread
        raise InputError(f"{name}: grey with alpha and a predictor", "store it without predictor", "format")
    changes = {tag: (2 * page.value(tag, 0),) for tag in (WIDTH, TILE_WIDTH) if tag in page.entries}
    changes |= {tag: page.values(tag)[:1] for tag in (BITS, FORMAT) if tag in page.entries}
    return _directory(page, changes | {SAMPLES: (1,)}, without=(EXTRA, ORIENTATION))


def _directory(page: Page, changes: dict[int, tuple[int, ...]], without: tuple[int, ...] = ()) -> bytes:
    """The file with a new first and only directory at its end: some fields changed, some left out."""
    count_code, pointer, inline = ("Q", "Q", 8) if page.big else ("H", "I", 4)
    wide = 16 if page.big else 4  # twice the columns may not fit into a SHORT
    tail, rows = bytearray(page.data + b"\0" * (-len(page.data) % 8)), []
    for tag in sorted(set(page.entries) | set(changes)):
        if tag in without:
            continue
        if tag in changes:
            kind, count = wide if tag in (WIDTH, TILE_WIDTH, *OFFSETS, *COUNTS) else 3, len(changes[tag])
            raw = struct.pack(f"{page.order}{count}{CODES[kind]}", *changes[tag])
        else:
            kind, count, at = page.entries[tag]
            size = count * SIZES.get(kind, 1)
            raw = page.data[at : at + inline] if size <= inline else struct.pack(page.order + pointer, at)
        if len(raw) > inline:
            at = len(tail)
            tail += raw + b"\0" * (-len(raw) % 8)
            raw = struct.pack(page.order + pointer, at)
        rows.append(struct.pack(page.order + "HH" + pointer, tag, kind, count) + raw.ljust(inline, b"\0"))
    start = struct.pack(page.order + pointer, len(tail))
    tail += struct.pack(page.order + count_code, len(rows)) + b"".join(rows) + bytes(inline)
    at = 8 if page.big else 4
    tail[at : at + inline] = start
    return bytes(tail)
