"""Which part of a decoded frame is shown, and how it is turned."""

import av
import cv2
import numpy as np
import torch

from lolblur_synth import frames
from lolblur_synth.errors import InputError
from lolblur_synth.files.video.container_crop import Crop


def orientation(frame: av.VideoFrame, name: str) -> tuple[int, bool]:
    """(degrees clockwise, mirrored left to right afterwards) that show a frame upright, from its display matrix.

    The matrix takes pixel (x, y) to (a x + c y, b x + d y), in 16.16 fixed point.
    """
    data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if data is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(data, "<i4")[:5] / 65536
    scale = max(map(abs, (a, b, c, d))) or 1
    turns = {(0, 1): 0, (1, 0): 90, (0, -1): 180, (-1, 0): 270}
    key = (round(b / scale, 2), round(d / scale, 2))
    if key not in turns:
        raise InputError(f"{name}: rotated by {-frame.rotation} degrees", "rotate it by a multiple of 90", "format")
    return turns[key], a * d - b * c < 0


def fitting(crop: Crop, width: int, height: int) -> tuple[Crop, list[str]]:
    """The crop that is applied to pictures of this size, and what a user should know about it."""
    if not any(crop):
        return crop, []
    size = (width - crop.left - crop.right, height - crop.top - crop.bottom)
    if min(size) <= 0:
        return Crop(), [f"its container asks for a crop that leaves nothing of {width}x{height}; it is not applied"]
    return crop, [f"cropped from {width}x{height} to {size[0]}x{size[1]}, as its container asks"]


def cropped(pixels: np.ndarray, crop: Crop) -> np.ndarray:
    """A view of (H, W, ...) pixels without what the container cuts off."""
    height, width = pixels.shape[:2]
    return pixels[crop.top : height - crop.bottom, crop.left : width - crop.right]


def upright(pixels: np.ndarray, square: tuple[int, int], rotation: int, mirrored: bool) -> np.ndarray:
    """Square pixels, then rotation, then mirror. square: (width, height) with square pixels, before the rotation.

    pixels: (H, W, 3) display values, or extended ones.
    """
    if square != pixels.shape[1::-1]:
        pixels = _resized(pixels, square)
    pixels = np.rot90(pixels, -(rotation // 90))
    return np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cubic, and clipped. Light above white is resized apart, as light and linearly: it would ring across a frame."""
    display, above = frames.split(torch.from_numpy(np.ascontiguousarray(pixels)))
    resized = np.clip(cv2.resize(display.numpy(), size, interpolation=cv2.INTER_CUBIC), 0, 1)
    if above is None:
        return resized
    above = cv2.resize(above.numpy(), size, interpolation=cv2.INTER_LINEAR)
    return frames.join(torch.from_numpy(resized), torch.from_numpy(above)).numpy()
