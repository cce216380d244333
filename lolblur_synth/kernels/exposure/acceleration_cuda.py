"""How paths bend, on CUDA: host side of acceleration.cu, the twin of acceleration.py."""

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import cuda

SOURCE = "exposure/acceleration"  # .cu


def bends(forward: Tensor, backward: Tensor, moving: np.ndarray) -> Tensor:
    """As `acceleration.bends`; all pairs at once."""
    height, width = forward.shape[1:3]
    bent = torch.zeros((len(forward), 2, height, width, 2), device=forward.device)
    measured = np.flatnonzero(moving[:-2] & moving[1:-1] & moving[2:]) + 1
    pairs, size = cuda.upload(measured, np.int32, forward.device), (len(measured), height, width)
    planes = [torch.empty((2 * len(measured), height, width, 2), device=forward.device) for _ in range(2)]
    threads = width, height, 2 * len(measured)
    cuda.launch(SOURCE, "compare_bends", threads, forward.contiguous(), backward.contiguous(), pairs, *planes, *size)
    cuda.launch(SOURCE, "weigh_bends", threads, *planes, pairs, bent, *size)
    return bent
