"""Dense inverse search: the motion between two frames. Specified in reference.py; cpu.py is the fast twin of `flow`.

window.py searches the frame pairs of a window one by one, cuda.py with inverse_search.cu together on CUDA; `codes` and
`flows` choose one of the two by the device.
"""

import numpy as np
from torch import Tensor

from lolblur_synth.kernels import cuda as launcher
from lolblur_synth.kernels.inverse_search import cuda, window
from lolblur_synth.kernels.inverse_search.reference import grey, pyramid
from lolblur_synth.kernels.inverse_search.window import flow

__all__ = ["codes", "flow", "flows", "grey", "pyramid"]


def codes(guide: Tensor, gamma: float) -> Tensor:
    """(T, 3, H, W) float32 display -> (T, H, W) uint8 for `flows`, see `window.codes`; on the CPU where no twin is."""
    return _twin(guide).codes(guide, gamma)


def flows(
    codes: Tensor, moving: np.ndarray, stride: int, passes: int, fine: bool, trust: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | tuple[Tensor, Tensor]:
    """Motion of each moving pair of neighbours, forward and backward, see `window.flows`; on CUDA as tensors."""
    return _twin(codes).flows(codes, moving, stride, passes, fine, trust)


def _twin(tensor: Tensor):
    return cuda if tensor.is_cuda and launcher.available() else window
