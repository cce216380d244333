"""FASC, the filter-adaptive skip connection (paper, section 4.2): every pixel and channel has its own 5x5 filter.

    out = LeakyReLU(sum over taps of conv1x1(guide, weight, bias)[tap] * feature[shifted by tap])

feature (N, C, H, W), guide (N, G, H, W), weight (25 C, G, 1, 1) and bias (25 C,), index = channel * 25 + tap, taps row
by row; the border of the feature is repeated. The 25 C filter maps (1.5 GB at 720p) never exist together: those of each
tap are made, used and dropped, and made again in the backward pass.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = 5  # section 4.2: filters of 5x5
SLOPE = 0.2  # of the LeakyReLU: not stated, as published


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
    """The sum over the 25 taps; out (N, C, H, W) float32, whatever the type of the inputs."""

    @staticmethod
    def forward(ctx, feature: Tensor, guide: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(feature, guide, weight, bias)
        total = torch.zeros_like(feature, dtype=torch.float32)  # 25 products are summed: never in half precision
        for shifted, w, b in zip(_shifts(_pad(feature)), *_taps(weight, bias), strict=True):
            total.addcmul_(shifted, F.conv2d(guide, w, b))
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        feature, guide, weight, bias = ctx.saved_tensors
        grad = grad.to(guide.dtype)
        with torch.enable_grad():
            edge = feature.detach().requires_grad_()
            padded = _pad(edge)
        into_padded = torch.zeros_like(padded, dtype=torch.float32)
        into_guide = torch.zeros_like(guide, dtype=torch.float32)
        into_weight, into_bias = torch.empty_like(weight), torch.empty_like(bias)
        gradients = zip(*_taps(into_weight, into_bias), strict=True)
        for shifted, into, (into_w, into_b), w, b in zip(
                _shifts(padded.detach()), _shifts(into_padded), gradients, *_taps(weight, bias), strict=True):
            into.addcmul_(grad, F.conv2d(guide, w, b))
            filters = grad * shifted
            into_guide += F.conv2d(filters, w.transpose(0, 1))
            into_w.copy_(torch.einsum("nchw,nghw->cg", filters, guide)[:, :, None, None])
            into_b.copy_(filters.sum((0, 2, 3)))
        (into_feature,) = torch.autograd.grad(padded, edge, into_padded.to(padded.dtype))
        return into_feature, into_guide.to(guide.dtype), into_weight, into_bias


def _pad(feature: Tensor) -> Tensor:
    return F.pad(feature, (TAPS // 2,) * 4, "replicate")


def _shifts(padded: Tensor) -> Iterator[Tensor]:
    """The 25 views of the frame inside its padded form, row by row."""
    height, width = padded.shape[2] - TAPS + 1, padded.shape[3] - TAPS + 1
    for tap in range(TAPS**2):
        dy, dx = divmod(tap, TAPS)
        yield padded[:, :, dy:dy + height, dx:dx + width]


def _taps(weight: Tensor, bias: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The 1x1 convolutions of the 25 taps: views of (C, G, 1, 1) and (C,)."""
    return weight.unflatten(0, (-1, TAPS**2)).unbind(1), bias.unflatten(0, (-1, TAPS**2)).unbind(1)


def adaptive_conv(feature: Tensor, guide: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """LeakyReLU of `AdaptiveConv`, under autocast with its inputs in half precision."""
    device = feature.device.type
    inputs = (feature, guide, weight, bias)
    if torch.is_autocast_enabled(device):
        inputs = (x.to(torch.get_autocast_dtype(device)) for x in inputs)
    with torch.autocast(device, enabled=False):
        return F.leaky_relu(AdaptiveConv.apply(*inputs), SLOPE).to(feature.dtype)
