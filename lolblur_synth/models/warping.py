"""Operations of FlowNet, with gradients: fetching along a motion, and correlation. The splat, the cubic fetch and the
sample are those of kernels/exposure/reference.py.

Motion is (N, 2, H, W), dx and dy in pixels of the image that it belongs to; cells are 2x2 pixels of the frame.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lolblur_synth.kernels.exposure.reference import CELL, grid, look_up

RADIUS = 4  # of the correlation volume, in cells of 8 pixels


def warp(image: Tensor, motion: Tensor) -> Tensor:
    """Each pixel of `image` (N, C, H, W) fetched from where `motion` (N, 2, H, W), in its pixels, points to."""
    return look_up(image, grid(image) + motion)


def correlation(own: Tensor, other: Tensor, motion: Tensor) -> Tensor:
    """Cosine of features of `own` (N, C, H, W) with those around where `motion` points in `other`: (N, 81, H, W)."""
    height, width = own.shape[2:]
    own, other = F.normalize(own, dim=1), F.pad(F.normalize(warp(other, motion), dim=1), [RADIUS] * 4)
    return torch.stack(
        [
            (own * other[:, :, j : j + height, i : i + width]).sum(1)
            for j in range(2 * RADIUS + 1)
            for i in range(2 * RADIUS + 1)
        ],
        1,
    )


def reduced(frame: Tensor) -> Tensor:
    """The frame on cells: (N, 3, h, w), the mean of 2x2 pixels, the last ones repeated where a size is odd."""
    height, width = frame.shape[2:]
    return F.avg_pool2d(F.pad(frame, (0, width % 2, 0, height % 2), mode="replicate"), CELL)
