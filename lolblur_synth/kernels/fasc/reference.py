"""The adaptive convolution of LEDNet's skip connections in torch: the specification of cuda.py with fasc.cu.

    out = sum over taps of (guide kernel^T + offset)[tap] * feature[shifted by tap]

Images are channels-last; the border of the feature is repeated. The filters of all pixels (1.5 GB at 720p) never exist
together: those of a tile are made by one matrix product, used while they are in the processor's cache, and dropped; the
gradients make them again.
"""

from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = 5  # section 4.3: filters of 5x5
TILE = {"cpu": 1 << 19, "cuda": 1 << 26}  # filter values in a tile: 2 MiB stay in a CPU's cache; a GPU wants few calls


def mix(feature: Tensor, guide: Tensor, kernel: Tensor, offset: Tensor) -> Tensor:
    """Sum over the taps of filter * feature: (N, H, W, C) float32.

    feature (N, H, W, C), guide (N, H, W, G); filters = guide kernel^T + offset, kernel (25 C, G), offset (25 C,) by
    tap * C + channel, taps row by row. All of one type.
    """
    patches, pixels = _patches(_padded(feature)), guide.contiguous()
    total = feature.new_empty(feature.shape, dtype=torch.float32)
    for tile in _tiles(pixels, len(kernel)):
        filters = torch.addmm(offset, _rows(pixels[tile]), kernel.T).view_as(patches[tile])
        torch.sum(filters.mul_(patches[tile]), (-3, -2), dtype=torch.float32, out=total[tile])
    return total


def gradients(feature: Tensor, guide: Tensor, kernel: Tensor, offset: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """Of `mix`'s four arguments, in their shapes, those of kernel and offset in float32.

    grad: (N, H, W, C), that of its result, in the type of the feature.
    """
    with torch.enable_grad():
        edge = feature.detach().requires_grad_()
        padded = _padded(edge)
    patches, pixels, grad = _patches(padded.detach()), guide.contiguous(), grad.contiguous()
    into_padded = torch.zeros_like(padded, dtype=torch.float32)
    into_patches, into_guide = _patches(into_padded), torch.empty_like(pixels)
    into_kernel, into_offset = (torch.zeros_like(x, dtype=torch.float32) for x in (kernel, offset))
    for tile in _tiles(pixels, len(kernel)):
        guides, by = _rows(pixels[tile]), grad[tile][..., None, None, :]
        filters = torch.addmm(offset, guides, kernel.T).view_as(patches[tile]).mul_(by)
        for dy, dx in product(range(TAPS), repeat=2):
            into_patches[tile][..., dy, dx, :] += filters[..., dy, dx, :]
        torch.mul(patches[tile], by, out=filters)
        into_filters = filters.view(len(guides), -1)
        into_guide[tile] = (into_filters @ kernel).view_as(pixels[tile])
        into_kernel += into_filters.T @ guides
        into_offset += into_filters.sum(0, dtype=torch.float32)
    (into_feature,) = torch.autograd.grad(padded, edge, into_padded.to(padded.dtype))
    return into_feature, into_guide, into_kernel, into_offset


def _padded(feature: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, H + 4, W + 4, C), contiguous, the border repeated."""
    return F.pad(feature.permute(0, 3, 1, 2), (TAPS // 2,) * 4, "replicate").permute(0, 2, 3, 1).contiguous()


def _patches(padded: Tensor) -> Tensor:
    """The neighbourhood of each pixel, a view: (N, H + 4, W + 4, C) -> (N, H, W, 5, 5, C)."""
    return padded.unfold(1, TAPS, 1).unfold(2, TAPS, 1).permute(0, 1, 2, 4, 5, 3)


def _rows(tile: Tensor) -> Tensor:
    return tile.reshape(-1, tile.shape[-1])


def _tiles(pixels: Tensor, filters: int) -> Iterator[tuple]:
    """Index by index, the tiles of (N, H, W, ...): rows as a whole, or a part of one where a row is too much."""
    images, height, width = pixels.shape[:3]
    most = max(1, TILE.get(pixels.device.type, TILE["cuda"]) // filters)
    rows, columns = max(1, most // width), min(most, width)
    for n, y, x in product(range(images), range(0, height, rows), range(0, width, columns)):
        yield n, slice(y, y + rows), slice(x, x + columns)
