"""FASC, the filter-adaptive skip connection (paper, section 4.3): every pixel and channel has its own 5x5 filter.

    out = LeakyReLU(sum over taps of conv1x1(guide, weight, bias)[tap] * feature[shifted by tap])

feature (N, C, H, W), guide (N, G, H, W), weight (25 C, G, 1, 1) and bias (25 C,), index = channel * 25 + tap, taps row
by row; the border of the feature is repeated. The sum and its gradients are those of kernels/fasc.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth.kernels import fasc
from lolblur_synth.kernels.fasc.reference import TAPS

SLOPE = 0.2  # of the LeakyReLU: not stated, as published


class FASC(nn.Sequential):
    """The encoder feature predicts the filters of the decoder feature; both (N, C, H, W). Keys as published."""

    def __init__(self, channels: int):
        spatial = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3))
        super().__init__(
            *(layer for conv in spatial for layer in (conv, nn.ReLU())), nn.Conv2d(channels, channels * TAPS**2, 1)
        )

    def forward(self, decoder: Tensor, encoder: Tensor) -> Tensor:
        *layers, filters = self
        guide = encoder
        for layer in layers:
            guide = layer(guide)
        return adaptive_conv(decoder, guide, filters.weight, filters.bias)


class AdaptiveConv(torch.autograd.Function):
    """The sum over the 25 taps; out (N, C, H, W) float32, whatever the type of the inputs."""

    @staticmethod
    def forward(ctx, feature: Tensor, guide: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(feature, guide, weight, bias)
        return _first(fasc.mix(_last(feature), _last(guide), _by_tap(weight.flatten(1)), _by_tap(bias)))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        feature, guide, weight, bias = ctx.saved_tensors
        kernel, offset, grad = _by_tap(weight.flatten(1)), _by_tap(bias), _last(grad.to(guide.dtype))
        of_feature, of_guide, of_kernel, of_offset = fasc.gradients(_last(feature), _last(guide), kernel, offset, grad)
        return _first(of_feature), _first(of_guide), _by_channel(of_kernel, weight), _by_channel(of_offset, bias)


def _last(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C), a view."""
    return x.permute(0, 2, 3, 1)


def _first(x: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W), a view."""
    return x.permute(0, 3, 1, 2)


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
