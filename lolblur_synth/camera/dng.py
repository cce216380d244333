"""Synthetic raw files: a Bayer mosaic as DNG, with what a raw developer needs to know of it.

A DNG is a TIFF with additional tags (Adobe, Digital Negative 1.4); tifffile writes it, and reads uncompressed ones.
Code values are those of the camera times 4, in 16 bits: a clean mosaic needs finer steps than the camera's 14 bits, and
a noisy one of raw-eld stays on whole code values of the camera.
"""

import io
from pathlib import Path

import numpy as np
import tifffile

from lolblur_synth.camera.tables import Camera
from lolblur_synth.errors import InputError
from lolblur_synth.files import atomic

STEPS = 4  # of the file in a code value of the camera
RGGB = (0, 1, 1, 2)
D65 = 21  # LightSource of EXIF
DENOMINATOR = 10_000  # of rational tags
# tags of TIFF/EP and DNG
REPEAT, PATTERN, VERSION, BACKWARD, MODEL, PLANES, LAYOUT, BLACK, WHITE, MATRIX, NEUTRAL, ILLUMINANT, NOISE = (
    33421, 33422, 50706, 50707, 50708, 50710, 50711, 50714, 50717, 50721, 50728, 50778, 51041,
)  # fmt: skip
BYTE, ASCII, SHORT, RATIONAL, SRATIONAL, DOUBLE = 1, 2, 3, 5, 10, 12
HINT = "give uncompressed 16-bit RGGB, as `stage noise --save-raw` writes it"


def write_dng(path: Path, raw: np.ndarray, camera: Camera, gains: tuple, shot: tuple = (), read: tuple = ()) -> None:
    """Write (H, W) float32 of an RGGB sensor, 0..1, not white-balanced. The file appears whole or not at all.

    gains: white balance multipliers of R, G, B; shot, read: variance shot x + read of R, G, B, where it is known.
    Raises OSError.
    """
    black, white = (STEPS * level for level in camera.levels)
    codes = np.rint(black + raw.astype(np.float64) * (white - black)).clip(0, 65535).astype(np.uint16)
    neutral = [part for gain in gains for part in (round(DENOMINATOR / gain), DENOMINATOR)]
    matrix = [part for value in np.ravel(camera.xyz_to_camera) for part in (round(value * DENOMINATOR), DENOMINATOR)]
    tags = [
        (VERSION, BYTE, 4, (1, 4, 0, 0)), (BACKWARD, BYTE, 4, (1, 1, 0, 0)), (MODEL, ASCII, 0, camera.name),
        (REPEAT, SHORT, 2, (2, 2)), (PATTERN, BYTE, 4, RGGB), (PLANES, BYTE, 3, (0, 1, 2)), (LAYOUT, SHORT, 1, 1),
        (BLACK, SHORT, 1, black), (WHITE, SHORT, 1, white), (MATRIX, SRATIONAL, 9, matrix),
        (ILLUMINANT, SHORT, 1, D65), (NEUTRAL, RATIONAL, 3, neutral),
    ]  # fmt: skip
    if shot:
        tags.append((NOISE, DOUBLE, 6, [value for pair in zip(shot, read, strict=True) for value in pair]))
    data = io.BytesIO()
    extra = [(*tag, True) for tag in tags]
    tifffile.imwrite(data, codes, photometric="cfa", software=False, metadata=None, extratags=extra)
    atomic.write(path, data.getvalue())


def read_dng(path: Path) -> np.ndarray:
    """(4, H/2, W/2) float32 planes R, Gr, Gb, B, white-balanced, 0..1. InputError: not an uncompressed RGGB DNG."""
    try:
        with tifffile.TiffFile(path) as file:
            tags, codes = {tag.code: tag.value for tag in file.pages[0].tags}, file.pages[0].asarray()
        black, white = (float(np.mean(tags.get(code, 0))) for code in (BLACK, WHITE))
        neutral = np.array(tags[NEUTRAL], float).reshape(3, 2)
        pattern = tuple(bytes(tags[PATTERN]))
    except Exception as error:  # a damaged file may raise anything
        raise InputError(f"{path}: not a DNG that can be read here", HINT) from error
    if codes.ndim != 2 or codes.dtype != np.uint16 or pattern != RGGB or white <= black or (neutral <= 0).any():
        raise InputError(f"{path}: {codes.dtype} {codes.shape}, pattern {pattern}", HINT, "format")
    balance = (neutral[:, 1] / neutral[:, 0])[list(RGGB), None, None]
    height, width = (extent // 2 * 2 for extent in codes.shape)
    planes = np.stack([codes[y:height:2, x:width:2] for y, x in ((0, 0), (0, 1), (1, 0), (1, 1))])
    return ((planes - black) / (white - black) * balance).clip(0, 1).astype(np.float32)
