"""What FlowNet is built of, with gradients: fetching along a motion, carrying a motion along itself, correlation.

Motion is (N, 2, H, W), dx and dy in pixels of the image that it belongs to; cells are 2x2 pixels of the frame.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lolblur_synth.kernels.exposure.splat import BASELINE, CELL

RADIUS = 4  # of the correlation volume, in cells of 8 pixels


def carry(forward: Tensor, backward: Tensor, bend: Tensor, t: Tensor) -> Tensor:
    """(N, 4, h, w) motion and path off the straight one at the instants t (N, 1, 1, 1), of bend (N, 2, 2, h, w): the
    splat of kernels/exposure/splat.py, with gradients."""
    sums = _splat(forward, bend[:, 0], t, 1, 1 - t) + _splat(backward, bend[:, 1], 1 - t, -1, t)
    resting = (1 - t) * forward[:, :2] - t * backward[:, :2]
    total = sums[:, 2:3] + BASELINE
    return torch.cat((sums[:, :2] + BASELINE * resting, t * (1 - t) * sums[:, 3:]), 1) / total


def _splat(flow: Tensor, bend: Tensor, t: Tensor, sign: int, weight: Tensor) -> Tensor:
    count, _, height, width = flow.shape
    x, y = (_grid(flow) + t * flow[:, :2] / CELL).unbind(1)
    low_x, low_y = x.detach().floor(), y.detach().floor()
    value = torch.cat((sign * flow[:, :2], torch.ones_like(flow[:, :1]), bend), 1) * weight * flow[:, 2:]
    base = torch.arange(count, device=flow.device).view(-1, 1, 1) * (height * width)
    sums = flow.new_zeros(count * height * width, 5)
    for row, down in ((low_y, low_y + 1 - y), (low_y + 1, y - low_y)):
        for column, right in ((low_x, low_x + 1 - x), (low_x + 1, x - low_x)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            index = base + row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            share = (down * right * inside)[:, None] * value
            sums = sums.index_add(0, index.flatten(), share.permute(0, 2, 3, 1).reshape(-1, 5))
    return sums.view(count, height, width, 5).permute(0, 3, 1, 2)


def fetch(spline: Tensor, motion: Tensor) -> Tensor:
    """As `warp`, by the cubic B-spline of stages/interpolate.py. spline: coefficients (N, C, H, W), mirrored outside.

    Four bilinear fetches are one cubic one (Sigg & Hadwiger 2005, GPU Gems 2, chapter 20); torch has their gradient.
    """
    height, width = spline.shape[2:]
    last = spline.new_tensor([width - 1, height - 1]).view(1, 2, 1, 1)
    place = torch.minimum((_grid(spline) + motion).clamp_min(0), last)
    low = place.detach().floor()
    f = place - low
    g = 1 - f
    w0, w1, w3 = g**3 / 6, (3 * f**3 - 6 * f**2 + 4) / 6, f**3 / 6
    before = w0 + w1
    near = low + w1 / before  # in the padded image, one pixel further on: low - 1 + w1 / before + 1
    far = low + 2 + w3 / (1 - before)
    padded = F.pad(spline, (1, 2, 1, 2), mode="reflect")
    total = torch.zeros_like(spline)
    for x, right in ((near[:, :1], before[:, :1]), (far[:, :1], 1 - before[:, :1])):
        for y, down in ((near[:, 1:], before[:, 1:]), (far[:, 1:], 1 - before[:, 1:])):
            total = total + down * right * _look_up(padded, torch.cat((x, y), 1))
    return total


def warp(image: Tensor, motion: Tensor) -> Tensor:
    """Each pixel of `image` (N, C, H, W) fetched from where `motion` (N, 2, H, W), in its pixels, points to."""
    return _look_up(image, _grid(image) + motion)


def _look_up(image: Tensor, place: Tensor) -> Tensor:
    height, width = image.shape[2:]
    scale = place.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)]).view(1, 2, 1, 1)
    return F.grid_sample(image, (place * scale - 1).permute(0, 2, 3, 1), "bilinear", "border", align_corners=True)


def correlation(own: Tensor, other: Tensor, motion: Tensor) -> Tensor:
    """Cosine of features of `own` (N, C, H, W) with those around where `motion` points in `other`: (N, 81, H, W)."""
    height, width = own.shape[2:]
    own, other = F.normalize(own, dim=1), F.pad(F.normalize(warp(other, motion), dim=1), [RADIUS] * 4)
    return torch.stack([(own * other[:, :, j : j + height, i : i + width]).sum(1)
                        for j in range(2 * RADIUS + 1) for i in range(2 * RADIUS + 1)], 1)


def reduced(frame: Tensor) -> Tensor:
    """The frame on cells: (N, 3, h, w), the mean of 2x2 pixels, the last ones repeated where a size is odd."""
    height, width = frame.shape[2:]
    return F.avg_pool2d(F.pad(frame, (0, width % 2, 0, height % 2), mode="replicate"), CELL)


def _grid(image: Tensor) -> Tensor:
    height, width = image.shape[2:]
    y = torch.arange(height, dtype=image.dtype, device=image.device).view(1, -1, 1).expand(1, height, width)
    x = torch.arange(width, dtype=image.dtype, device=image.device).view(1, 1, -1).expand(1, height, width)
    return torch.stack((x, y), 1)


def inside(motion: Tensor) -> Tensor:
    """1 where a fetch is within the frame, falling to 0 one pixel outside of it: (N, 1, H, W)."""
    place = _grid(motion) + motion
    last = place.new_tensor([motion.shape[3] - 1, motion.shape[2] - 1]).view(1, 2, 1, 1)
    return (1 - torch.maximum(-place, place - last).clamp_min(0)).clamp_min(0).prod(1, keepdim=True)
