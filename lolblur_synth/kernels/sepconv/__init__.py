"""The operator of SepConv. Specified in reference.py; cuda.py with separable.cu is its fast twin."""

from torch import Tensor

from lolblur_synth.kernels import cuda as launcher
from lolblur_synth.kernels.sepconv import cuda, reference

__all__ = ["separable"]


def separable(frame: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """(N, C, H, W), each pixel by kernels of its own, see `reference.separable`."""
    twin = cuda if frame.is_cuda and launcher.available() else reference
    return twin.separable(frame, vertical, horizontal)
