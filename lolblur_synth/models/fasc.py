"""FASC, the filter-adaptive skip connection (paper, section 4.2): every pixel and channel has its own 5x5 filter.

    out = LeakyReLU(sum over taps of conv1x1(guide, weight, bias)[tap] * feature[shifted by tap])

feature (N, C, H, W), guide (N, G, H, W), weight (25 C, G, 1, 1) and bias (25 C,), index = channel * 25 + tap, taps row
by row; the border of the feature is repeated. The 25 C filter maps (1.5 GB at 720p) never exist together: those of a
tile of pixels are made by one matrix product, used while they are in the processor's cache, and dropped; the backward
pass makes them again. On CUDA kernels use them (kernels/fasc/cuda.py).
"""

from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.kernels.fasc import cuda as fasc_cuda

TAPS = 5  # section 4.2: filters of 5x5
SLOPE = 0.2  # of the LeakyReLU: not stated, as published
TILE = {"cpu": 1 << 19, "cuda": 1 << 26}  # filter values in a tile: 2 MiB stay in a CPU's cache; a GPU wants few calls


class FASC(nn.Sequential):
    """The encoder feature predicts the filters of the decoder feature; both (N, C, H, W). Keys as published."""

    def __init__(self, channels: int):
        spatial = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3))
        super().__init__(*(layer for conv in spatial for layer in (conv, nn.ReLU())),
                         nn.Conv2d(channels, channels * TAPS**2, 1))

    def forward(self, decoder: Tensor, encoder: Tensor) -> Tensor:
        *layers, filters = self
        guide = encoder
        for layer in layers:
            guide = layer(guide)
        return adaptive_conv(decoder, guide, filters.weight, filters.bias)


class AdaptiveConv(torch.autograd.Function):
    """The sum over the 25 taps; out (N, C, H, W) float32, whatever the type of the inputs.

    Inside, images are channels-last, and filters of a tile are (pixels, 25 * C), tap by tap.
    """

    @staticmethod
    def forward(ctx, feature: Tensor, guide: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(feature, guide, weight, bias)
        kernel, offset = _by_tap(weight.flatten(1)), _by_tap(bias)
        if fasc_cuda.runs_on(feature):
            return _first(fasc_cuda.mix(_last(feature), _last(guide), kernel, offset))
        patches, pixels = _patches(_pad(feature)), _last(guide)
        total = feature.new_empty(pixels.shape[:3] + feature.shape[1:2], dtype=torch.float32)
        for tile in _tiles(pixels, len(kernel)):
            filters = torch.addmm(offset, _rows(pixels[tile]), kernel.T).view_as(patches[tile])
            torch.sum(filters.mul_(patches[tile]), (-3, -2), dtype=torch.float32, out=total[tile])
        return _first(total)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        feature, guide, weight, bias = ctx.saved_tensors
        kernel, offset = _by_tap(weight.flatten(1)), _by_tap(bias)
        if fasc_cuda.runs_on(feature):
            images = (_last(x) for x in (feature, guide))
            found = fasc_cuda.gradients(*images, kernel, offset, _last(grad.to(feature.dtype)))
            return *map(_first, found[:2]), _by_channel(found[2], weight), _by_channel(found[3], bias)
        with torch.enable_grad():
            edge = feature.detach().requires_grad_()
            padded = _pad(edge)
        patches, pixels, grad = _patches(padded.detach()), _last(guide), _last(grad.to(guide.dtype))
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
        return into_feature, _first(into_guide), _by_channel(into_kernel, weight), _by_channel(into_offset, bias)


def _pad(feature: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H + 4, W + 4, C), the border repeated."""
    return _last(F.pad(feature, (TAPS // 2,) * 4, "replicate"))


def _last(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), contiguous."""
    return x.permute(0, 2, 3, 1).contiguous()


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


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


def _by_tap(x: Tensor) -> Tensor:
    """(25 C, ...) of channel * 25 + tap -> (25 C, ...) of tap * C + channel."""
    return x.unflatten(0, (-1, TAPS**2)).transpose(0, 1).flatten(0, 1)


def _by_channel(x: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_by_tap`, in the shape and type of `like`."""
    return x.unflatten(0, (TAPS**2, -1)).transpose(0, 1).reshape(like.shape).to(like.dtype)


@torch.compiler.disable  # the tiles are a loop; unrolled into a graph they take minutes to compile
def adaptive_conv(feature: Tensor, guide: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """LeakyReLU of `AdaptiveConv`, under autocast with its inputs in half precision."""
    device = feature.device.type
    inputs = (feature, guide, weight, bias)
    if torch.is_autocast_enabled(device):
        inputs = (x.to(torch.get_autocast_dtype(device)) for x in inputs)
    with torch.autocast(device, enabled=False):
        return F.leaky_relu(AdaptiveConv.apply(*inputs), SLOPE).to(feature.dtype)
