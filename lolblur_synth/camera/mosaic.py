"""The colour pipeline of a camera, both ways, between linear sRGB light and a Bayer mosaic.

A mosaic is kept packed, (T, 4, H/2, W/2): the planes R, Gr, Gb, B of RGGB, so that every 5x5 demosaicing filter is a
3x3 filter of planes. All of it is linear, so that each direction is one convolution. Forward: light to camera colours,
white balance undone, one colour sampled at each site. Backward: white balance, the demosaicing of Malvar, He and Cutler
(ICASSP 2004), and the colour matrix.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lolblur_synth.kernels.demosaicing.filters import FILTERS, packed_colours

# linear sRGB -> XYZ, D65 (IEC 61966-2-1)
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
PLANE_COLOUR = (0, 1, 1, 2)  # of R, Gr, Gb, B
BAND = 40  # rows of planes at a time, because large temporary frames are slow (frames.py)


def rgb_to_camera(xyz_to_camera: np.ndarray) -> np.ndarray:
    """(3, 3): linear sRGB to balanced camera colours, rows summing to 1 so that white stays white."""
    matrix = np.asarray(xyz_to_camera, float) @ SRGB_TO_XYZ
    return matrix / matrix.sum(axis=1, keepdims=True)


def mosaic(light: Tensor, to_camera: np.ndarray, gains: tuple[float, float, float]) -> Tensor:
    """(T, 3, H, W) linear sRGB, H and W even -> (T, 4, H/2, W/2) raw; white is 1 in green and 1 / gain in red and blue.

    to_camera: `rgb_to_camera`; gains: white balance multipliers of R, G, B, here divided out.
    """
    weight = np.zeros((4, 3, 2, 2))
    for plane, colour in enumerate(PLANE_COLOUR):
        weight[plane, :, plane // 2, plane % 2] = to_camera[colour] / gains[colour]
    weight = _like(weight, light)
    return torch.cat([F.conv2d(band, weight, stride=2) for band in light.split(2 * BAND, dim=2)], dim=2)


def develop(planes: Tensor, to_camera: np.ndarray, gains: tuple[float, float, float]) -> Tensor:
    """(T, 4, H/2, W/2) raw -> (T, 3, H, W) linear sRGB, not clipped: white balance, Malvar, colour matrix."""
    return torch.cat(list(_developed_bands(planes, to_camera, gains)), dim=2)


def add_developed(
    light: Tensor, planes: Tensor, to_camera: np.ndarray, gains: tuple[float, float, float], filters: str = "malvar"
) -> None:
    """light += develop(planes, ...), without the row and column that an odd frame lacks; filters: of FILTERS."""
    bands = light.split(2 * BAND, dim=2)
    for into, band in zip(bands, _developed_bands(planes, to_camera, gains, filters), strict=True):
        into += band[..., : into.shape[-2], : into.shape[-1]]


def _developed_bands(planes: Tensor, to_camera: np.ndarray, gains: tuple, filters: str = "malvar") -> Iterator[Tensor]:
    weight = packed_colours(FILTERS[filters])
    weight *= np.array([gains[colour] for colour in PLANE_COLOUR])[:, None, None]
    weight = np.einsum("oc,cspyx->ospyx", np.linalg.inv(to_camera), weight).reshape(12, 4, 3, 3)
    weight, padded = _like(weight, planes), F.pad(planes, (1, 1, 1, 1), mode="replicate")
    for top in range(0, planes.shape[-2], BAND):
        yield F.pixel_shuffle(F.conv2d(padded[..., top : top + BAND + 2, :], weight), 2)


def balance(gains: tuple[float, float, float], like: Tensor) -> Tensor:
    """(4, 1, 1): the white balance multiplier of each plane."""
    return torch.tensor([gains[colour] for colour in PLANE_COLOUR], dtype=like.dtype, device=like.device).view(4, 1, 1)


def _like(weight: np.ndarray, frames: Tensor) -> Tensor:
    return torch.from_numpy(weight.astype(np.float32)).to(frames.device)
