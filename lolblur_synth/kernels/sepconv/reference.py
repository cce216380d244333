"""The operator of SepConv in torch: the specification of cuda.py with separable.cu."""

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP = 16  # rows that the operator works on at a time, so that they stay in the cache


def separable(frame: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """(N, C, H, W), each pixel by kernels of its own, (N, taps, H, W) each, taps odd; frames go on as they end.

    out(y, x) = sum_i sum_j vertical(i; y, x) horizontal(j; y, x) frame(y + i - taps // 2, x + j - taps // 2)

    Tap by tap, so that nothing is unfolded. C: a multiple of 3.
    """
    taps, height, width = vertical.shape[1:]
    padded = F.pad(frame, (taps // 2,) * 4, mode="replicate")
    out = torch.zeros_like(frame)
    for top in range(0, height, STRIP):
        rows = slice(top, min(top + STRIP, height))
        down, across = vertical[:, :, rows], horizontal[:, :, rows]
        for i in range(taps):
            line = padded[:, :, rows.start + i : rows.stop + i]
            total = line[..., :width] * across[:, :1]
            for j in range(1, taps):
                total.addcmul_(line[..., j : j + width], across[:, j : j + 1])
            out[:, :, rows].addcmul_(total, down[:, i : i + 1])
    return out
