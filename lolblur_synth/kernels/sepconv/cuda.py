"""The operator of SepConv on CUDA: host side of separable.cu, the fast twin of reference.py."""

import torch
from torch import Tensor

from lolblur_synth.kernels import cuda


def separable(frame: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """As `reference.separable`, in float32."""
    taps, height, width = vertical.shape[1:]
    kernels = vertical.contiguous(), horizontal.contiguous()
    parts = [part.contiguous() for part in frame.split(3, dim=1)]
    results = [torch.empty_like(part) for part in parts]
    for part, result in zip(parts, results, strict=True):
        threads = width, height, len(part)
        cuda.launch("sepconv/separable", "separable", threads, part, *kernels, result, len(part), taps, height, width)
    return torch.cat(results, 1)
