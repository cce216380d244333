"""The adaptive convolution of LEDNet's skip connections on CUDA: host side of fasc.cu, the fast twin of reference.py.

Filters are made by a matrix product, for as many pixels at a time as fit into VALUES. The kernels then read each of
them once; sums are float32. Images are channels-last.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lolblur_synth.kernels import cuda

SOURCE = "fasc/fasc"  # .cu
VALUES = 1 << 28  # filter values that exist at once: half a gigabyte of bfloat16
MOST_PIXELS = 65535 * cuda.BLOCK[1]  # of a launch: CUDA's limit of the grid
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def runs_on(feature: Tensor) -> bool:
    """Whether there are kernels for a tensor of this device and type."""
    return feature.is_cuda and cuda.available() and feature.dtype in NAMES


def mix(feature: Tensor, guide: Tensor, kernel: Tensor, offset: Tensor) -> Tensor:
    """As `reference.mix`. All of one type of NAMES."""
    feature, guide = feature.contiguous(), guide.contiguous()
    height, width, channels = feature.shape[1:]
    out = torch.empty(feature.shape, dtype=torch.float32, device=feature.device)
    pixels = guide.flatten(0, 2)
    most = min(MOST_PIXELS, max(1, VALUES // len(kernel)))
    for first in range(0, len(pixels), most):
        part = pixels[first : first + most]
        filters = torch.addmm(offset, part, kernel.T)
        cuda.launch(SOURCE, f"mix_{NAMES[feature.dtype]}", (channels, len(part), 1), filters, feature, out, first,
                    len(part), channels, height, width)  # fmt: skip
    return out


def gradients(feature: Tensor, guide: Tensor, kernel: Tensor, offset: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """As `reference.gradients`."""
    feature, guide, grad = feature.contiguous(), guide.contiguous(), grad.contiguous()
    into_feature, into_guide = torch.empty_like(feature), torch.empty_like(guide)
    into_kernel, into_offset = (torch.zeros_like(x, dtype=torch.float32) for x in (kernel, offset))
    for images in _images(feature, len(kernel)):
        part, guides, by = feature[images], guide[images].flatten(0, 2), grad[images]
        count, height, width, channels = part.shape
        filters = torch.addmm(offset, guides, kernel.T)
        for name, source, target in (("to_feature", filters, into_feature[images]), ("to_filters", part, filters)):
            cuda.launch(SOURCE, f"{name}_{NAMES[part.dtype]}", (channels, width, height * count), source, by, target,
                        count, channels, height, width)  # fmt: skip
        torch.mm(filters, kernel, out=into_guide[images].view_as(guides))
        into_kernel += filters.T @ guides
        into_offset += filters.sum(0, dtype=torch.float32)
    return into_feature, into_guide, into_kernel, into_offset


def _images(feature: Tensor, filters: int) -> Iterator[slice]:
    """Whole images, as many as fit: a gradient gathers from the neighbours' filters."""
    count = max(1, VALUES // (feature.shape[1] * feature.shape[2] * filters))
    return (slice(first, first + count) for first in range(0, len(feature), count))
