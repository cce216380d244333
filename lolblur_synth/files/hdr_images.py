"""Pictures that hold linear light: Radiance .hdr, OpenEXR and float TIFF."""

import struct
from pathlib import Path

import av
import cv2
import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.files import images

SUFFIXES = (".hdr", ".exr")  # float TIFF is told by its content
REPLACE = "replace it with a Radiance .hdr, an OpenEXR or a float TIFF picture"


def read_light(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) float32 linear RGB light, 0 or more, in the unit of its file.

    Negative light, of colours outside the primaries, becomes 0. Raises InputError (unreadable, corrupt, too-large,
    not-finite, format) with the file's name.
    """
    suffix = path.suffix.lower()
    try:
        light = _exr(path) if suffix == ".exr" else _hdr(path) if suffix == ".hdr" else images.read_image(path)
    except OSError as error:
        raise InputError(f"{path.name}: {error.strerror or error}", REPLACE) from error
    if not np.isfinite(light).all():
        share = 100 * (1 - np.isfinite(light).all(2).mean())
        raise InputError(f"{path.name}: {share:.2g} % of its pixels are NaN or infinite", "repair the picture", "not-finite")
    return np.maximum(light, 0)


def _hdr(path: Path) -> np.ndarray:
    data = path.read_bytes()
    if not data.startswith((b"#?RADIANCE", b"#?RGBE")):
        raise InputError(f"{path.name}: not a Radiance picture", REPLACE)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype != np.float32:
        raise InputError(f"{path.name}: the picture is damaged or cut short", REPLACE, "corrupt")
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _exr(path: Path) -> np.ndarray:
    """FFmpeg reads half and float channels value for value; colours are already multiplied by their alpha."""
    try:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
    except (av.error.FFmpegError, StopIteration, IndexError) as error:
        raise InputError(f"{path.name}: not a readable OpenEXR picture (R, G, B or Y channels)", REPLACE) from error
    name = frame.format.name
    kind = "<f2" if "f16" in name else "<f4"
    if "f16" not in name and "f32" not in name:
        raise InputError(f"{path.name}: pixels of kind {name}", "store half or float channels", "format")
    planes = [_plane(plane, kind, frame.width) for plane in frame.planes]
    order = (0, 0, 0) if name.startswith(("gray", "ya")) else (2, 0, 1)  # planes are green, blue, red
    return np.stack([planes[index] for index in order], axis=2).astype(np.float32)


def _plane(plane: av.video.plane.VideoPlane, kind: str, width: int) -> np.ndarray:
    return np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // struct.calcsize(kind[1:].replace(
        "f2", "e").replace("f4", "f")))[:, :width]  # fmt: skip
