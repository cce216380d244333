"""Single images: PNG, JPEG and TIFF, in and out; OpenEXR and Radiance .hdr, in.

Files are read and written here; OpenCV only encodes and decodes in memory, because its own file writing does not tell a
full disk from success.
"""

import os
import struct
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import atomic, colour_profile, hdr_images, light_curves, png, tiff

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a damaged image is told once, by us
REPLACE = "replace it with a PNG, JPEG, TIFF, EXR or HDR image"
GAIN_MAPS = (b"hdr-gain-map", b"urn:iso:std:iso:ts:21496")  # Ultra HDR (XMP), ISO 21496-1: near the start of a JPEG
HEAD = 1 << 18  # bytes in which they are looked for: behind Exif data, of 64 kB at most
MAX_PIXELS = 64_000_000  # as recipe.InputConfig.max_pixels; a decoded frame of this size is 768 MB of float32
BASELINE = ((0xC0, 8), (0xC1, 8), (0xC2, 8))  # SOF marker and bits of what every decoder reads, progressive included
JPEG_QUALITY = [  # of 100, chroma at full resolution: about one code value of error, less than the noise of any sensor
    cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]  # fmt: skip
JPEG_SIZES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}  # ITU T.81, SOF markers


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """An image file as (H, W, 3) float32 RGB.

    8- and 16-bit images are display values, 0..1; float TIFF, EXR and .hdr are returned as stored: linear light, white
    is 1, and it goes on above.
    Orientation (EXIF) is applied, grey becomes RGB, alpha is composited on black; where it is 0 everywhere it is not
    used. Errors as `load`.
    """
    pixels = load(path, max_pixels)
    return to_rgb(pixels, alpha_is_unused(pixels))


def read_display(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """As `read_image`, but always what a display shows, 0..1: linear light is clipped at white and shown."""
    pixels = load(path, max_pixels)
    rgb = to_rgb(pixels, alpha_is_unused(pixels))
    return light_to_display(rgb) if pixels.dtype == np.float32 else rgb


def light_to_display(light: np.ndarray) -> np.ndarray:
    """Linear light -> float32 display values, clipped at white: g of Eq. 1."""
    return np.minimum(light_curves.light_to_extended(light), 1)


def load(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """An image file, upright: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, of uint8, uint16 or float32.

    The size is read from the header before a pixel is decoded. Raises InputError (unreadable, zero-byte, too-large,
    corrupt, format, pages, hdr, not-finite) with the file's name.
    """
    return _decode(*_content(path), max_pixels)


def inspect(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, list[str]]:
    """As `load`, and what a user should know about the picture, each without the name."""
    data, name = _content(path)
    pixels = _decode(data, name, max_pixels)
    return pixels, notes(data, pixels)


def _content(path: Path) -> tuple[bytes, str]:
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}", REPLACE) from error
    if not data:
        raise InputError(f"{name}: the image is empty (0 bytes)", REPLACE, "zero-byte")
    return data, name


def _decode(data: bytes, name: str, max_pixels: int) -> np.ndarray:
    try:
        width, height = header_size(data)
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{name}: not a readable PNG, JPEG, TIFF, EXR or HDR image", REPLACE) from error
    if not 0 < width * height <= max_pixels:
        raise InputError(
            f"{name}: {width}x{height} pixels, the limit is {max_pixels} pixels",
            "scale it down, or raise input.max_pixels",
            "too-large",
        )
    if tiff.is_tiff(data):
        pixels = _decode_tiff(data, name)
    elif hdr_images.is_exr(data):
        pixels = hdr_images.decode_exr(data, name)
    elif hdr_images.is_hdr(data):
        hdr_images.check_hdr(data, name)
        pixels = _opencv(data)
    elif data[:2] == b"\xff\xd8":
        pixels = _opencv(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)  # turned as its Exif data say
    else:
        parts = png.chunks(data)
        png.check(parts, name)
        pixels = _opencv(data)
        pixels = None if pixels is None else tiff.upright(png.with_alpha(pixels, parts), png.orientation(parts))
    if pixels is None and data[:2] == b"\xff\xd8" and _jpeg_frame(data)[:2] not in BASELINE:
        raise InputError(f"{name}: a JPEG that is lossless, arithmetic or deeper than 8 bits", REPLACE, "format")
    if pixels is None:
        raise InputError(f"{name}: the image is damaged or cut short", REPLACE, "corrupt")
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"{name}: pixels of type {pixels.dtype}", "store 8 or 16 bit, or float32 TIFF", "format")
    if pixels.dtype == np.float32 and not np.isfinite(pixels.sum(dtype=np.float64)):
        raise InputError(f"{name}: NaN or infinite light", "repair the picture, or leave it out", "not-finite")
    return pixels


def _decode_tiff(data: bytes, name: str) -> np.ndarray | None:
    try:
        return tiff.decode(data, name, _opencv)
    except (struct.error, ValueError):  # a field lies outside the file, or its planes are not alike
        return None


def _opencv(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def notes(data: bytes, pixels: np.ndarray) -> list[str]:
    """What a user should know about a picture from `load`; data: its file."""
    found = png.about(png.chunks(data)) if data[:8] == png.SIGNATURE else []
    if hdr_images.is_exr(data):
        found += hdr_images.exr_notes(data)
    if data[:2] == b"\xff\xd8" and any(word in data[:HEAD] for word in GAIN_MAPS):
        found.append("an Ultra HDR picture: its gain map is not used, and it is read as SDR")
    if alpha_is_unused(pixels):
        found.append("its alpha channel is 0 everywhere, so it is not used: the picture is taken as opaque")
    elif pixels.ndim == 3 and pixels.shape[2] == 4 and not _is_opaque(pixels[:, :, 3]):
        found.append("its transparent parts are shown on black")
    if profile := colour_profile.wide_gamut(data):
        found.append(f"its colour profile ({profile}) is not converted; colours come out paler than they are")
    return found


def alpha_is_unused(pixels: np.ndarray) -> bool:
    """Whether pixels from `load` have an alpha of 0 everywhere: what is transparent everywhere is no picture."""
    return pixels.ndim == 3 and pixels.shape[2] == 4 and not pixels[:, :, 3].any()


def _is_opaque(alpha: np.ndarray) -> bool:
    return bool((alpha >= (1 if alpha.dtype == np.float32 else np.iinfo(alpha.dtype).max)).all())


def to_rgb(pixels: np.ndarray, opaque: bool = False) -> np.ndarray:
    """Pixels from `load` as (H, W, 3) float32 RGB; integers are scaled to 0..1. opaque: alpha is not used."""
    peak = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    values = pixels.astype(np.float32) / np.float32(peak)
    if values.ndim == 2:
        return cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)
    if values.shape[2] == 4:
        values = values[:, :, :3] if opaque else values[:, :, :3] * values[:, :, 3:]
    return np.ascontiguousarray(values[:, :, ::-1])


def header_size(data: bytes) -> tuple[int, int]:
    """(width, height) that the header of an image file claims. Raises ValueError and kin where it cannot."""
    if data[:8] == png.SIGNATURE:
        return struct.unpack(">II", data[16:24])
    if data[:2] == b"\xff\xd8":
        return _jpeg_frame(data)[2:]
    if hdr_images.is_exr(data):
        return hdr_images.exr_size(data)
    if hdr_images.is_hdr(data):
        return hdr_images.hdr_size(data)
    page = tiff.first_page(data)  # ValueError: none of these
    return page.value(tiff.WIDTH, 0), page.value(tiff.LENGTH, 0)


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int]:
    """(marker, bits of a sample, width, height) of the frame header."""
    at = 2
    while data[at] == 0xFF:
        if data[at + 1] == 0xFF:  # fill byte
            at += 1
        elif data[at + 1] in JPEG_SIZES:
            bits, height, width = struct.unpack(">BHH", data[at + 4 : at + 9])
            return data[at + 1], bits, width, height
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise ValueError("no frame header")


def write_png(path: Path, frame: np.ndarray, bits: int = 8, level: int = 3) -> None:
    """Write (H, W, 3) float32 RGB display values, clipped to 0..1 and rounded to 8 or 16 bits, as PNG.

    level: zlib level, 0..9. The file appears whole or not at all. Raises OSError where it cannot be written.
    """
    if bits not in (8, 16):
        raise UsageError(f"PNG with {bits} bits a channel", "use 8 or 16")
    peak = np.float32(2**bits - 1)
    codes = np.rint(np.clip(frame, 0, 1) * peak).astype(np.uint8 if bits == 8 else np.uint16)
    _, data = cv2.imencode(".png", codes[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, level])
    atomic.write(path, data.tobytes())


def write_tiff(path: Path, frame: np.ndarray) -> None:
    """Write (H, W, 3) float32 RGB linear light as TIFF, value for value. Errors as `write_png`."""
    atomic.write(path, encode_linear(frame))


def encode(suffix: str, frame: np.ndarray, bits: int = 8, alpha: np.ndarray | None = None) -> bytes:
    """(H, W, 3) float32 RGB display values, clipped to 0..1, as the bytes of a PNG, JPEG or TIFF file.

    alpha: (H, W) float32, 0..1, not for JPEG. bits: a channel, 8 or 16; JPEG has 8. UsageError where that cannot be.
    """
    is_jpeg = suffix.lower() in (".jpg", ".jpeg")
    if bits not in (8, 16) or (is_jpeg and (bits != 8 or alpha is not None)):
        raise UsageError(f"{suffix} cannot hold {bits} bits a channel{' and alpha' * (alpha is not None)}", "use .png")
    planes = frame[:, :, ::-1] if alpha is None else np.dstack((frame[:, :, ::-1], alpha))
    codes = np.rint(np.clip(planes, 0, 1) * np.float32(2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    _, data = cv2.imencode(suffix.lower(), codes, JPEG_QUALITY if is_jpeg else [])
    data = data.tobytes()
    return tiff.with_straight_alpha(data) if alpha is not None and tiff.is_tiff(data) else data


def encode_linear(frame: np.ndarray) -> bytes:
    """(H, W, 3) float32 RGB linear light as the bytes of a TIFF file, value for value."""
    _, data = cv2.imencode(".tiff", np.ascontiguousarray(frame[:, :, ::-1], np.float32))
    return data.tobytes()
