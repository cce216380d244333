"""resize: source frames to the dataset's size (section 3.2: 1120x640), by averaging areas.

In   (T, 3, h, w) float32, display sRGB, 0..1, any size; measured light goes on above 1 (extended, see frames.py)
Out  (T, 3, height, width) float32, display sRGB, 0..1; extended where the input is
Random: nothing.

The frame is scaled, by one factor for both axes, until it covers the output; then both sides are cropped alike. An
output pixel is the mean of the source area that it covers, fractions of pixels included, so that the centre of the
picture stays the centre, and nothing is stretched, not even by half a pixel as when the scaled size is rounded.
A mean of m source pixels also has an m-th of their noise variance. A source that is too small is enlarged by the
Catmull-Rom cubic; `enlarges` says so, and a user is warned. Light above white is resampled apart, in linear light: the
display frame is then that of a sensor that clips each source pixel, and no light is lost.

Each axis is one sparse matrix: rows are output pixels, columns source pixels, entries the share of each.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.recipe.schema import ResizeConfig


@dataclass(frozen=True)
class Draw:
    """Nothing is random here."""


def draw(config: ResizeConfig, rng: np.random.Generator) -> Draw:
    return Draw()


def enlarges(size: tuple[int, int], config: ResizeConfig) -> bool:
    """Whether a source of `size` = (width, height) pixels has to be enlarged to cover the output."""
    return scale_to_cover(size, config) > 1


def scale_to_cover(size: tuple[int, int], config: ResizeConfig) -> float:
    """Output pixels per source pixel, along either axis, for a source of (width, height)."""
    return max(config.width / size[0], config.height / size[1])


def shown(size: tuple[int, int], config: ResizeConfig) -> tuple[float, float]:
    """Shares of width and height, 0..1, of a source of (width, height) px that the crop keeps, at its centre."""
    scale = scale_to_cover(size, config)
    return min(1.0, config.width / (scale * size[0])), min(1.0, config.height / (scale * size[1]))


def apply(frames: Tensor, config: ResizeConfig, draw: Draw) -> Tensor:
    """(T, 3, h, w) display -> (T, 3, config.height, config.width) display, extended where the input is; 0 or more.

    Raises InputError: not frames.
    """
    fr.check(frames, "resize")
    h, w = frames.shape[-2:]
    if (h, w) == (config.height, config.width):
        return frames
    scale = scale_to_cover((w, h), config)
    rows, columns = sampling(h, config.height, scale), sampling(w, config.width, scale)
    display, above = fr.split(frames)
    out = torch.stack([_resample(frame, rows, columns).clamp_(0, 1) for frame in display])
    if above is None:
        return out
    return fr.join(out, torch.stack([_resample(frame, rows, columns).clamp_(min=0) for frame in above]))


def sampling(source: int, target: int, scale: float) -> csr_array:
    """(target, source) float32 matrix whose rows sum to 1: `target` pixels out of the middle of `source` pixels.

    scale: output pixels per source pixel; 1 or less averages areas, more than 1 interpolates (Catmull-Rom).
    """
    edges = source / 2 + (np.arange(target + 1) - target / 2) / scale  # in source pixels; pixel i spans i..i+1
    if scale <= 1:
        reach = int(np.ceil(1 / scale)) + 1
        columns = np.floor(edges[:-1, None] + 1e-9).astype(int) + np.arange(reach)
        weights = np.minimum(edges[1:, None], columns + 1) - np.maximum(edges[:-1, None], columns)
        weights = weights.clip(min=0)
    else:
        centre = (edges[:-1, None] + edges[1:, None]) / 2 - 0.5
        columns = np.floor(centre).astype(int) + np.arange(-1, 3)
        weights = catmull_rom(np.abs(centre - columns))
    weights = weights / weights.sum(axis=1, keepdims=True)
    at = (np.repeat(np.arange(target), columns.shape[1]), columns.clip(0, source - 1).ravel())
    return csr_array((weights.ravel().astype(np.float32), at), shape=(target, source))


def catmull_rom(distance: np.ndarray) -> np.ndarray:
    """The interpolating cubic of Catmull and Rom (1974) at distances 0..2 from a sample."""
    d = distance
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, far)


def _resample(frame: Tensor, rows: csr_array, columns: csr_array) -> Tensor:
    """(3, h, w) -> (3, height, width): the rows first, then the columns, each as sparse @ dense."""
    h, w = frame.shape[1:]
    height, width = rows.shape[0], columns.shape[0]
    flat = frame.permute(1, 2, 0).cpu().numpy().reshape(h, w * 3)
    tall = (rows @ flat).reshape(height, w, 3).transpose(1, 0, 2).reshape(w, height * 3)
    out = (columns @ tall).reshape(width, height, 3)
    return torch.from_numpy(out).to(frame.device).permute(2, 1, 0).contiguous()
