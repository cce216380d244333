"""Light above white on CUDA: carried along the motion and added to the exposure; host side of `add_above` in
exposure.cu. Part of cuda.py, and with it a twin of reference.py.
"""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from lolblur_synth.kernels import cuda

SOURCE = "exposure/exposure"  # .cu


class Lamps:
    """Light above white of the frames of an exposure, (T, 3, H, W) float32 on the device, linear, 0 or more."""

    def __init__(self, above: Tensor):
        self.above = above.contiguous()
        self.lit: dict[int, Tensor] = {}  # by frame
        self.bright = above.flatten(1).any(1).tolist()

    def in_pair(self, pair: int) -> bool:
        """Whether one of its two frames has light above white."""
        return self.bright[pair] or self.bright[pair + 1]

    def add_faded(self, pair: int, parts: np.ndarray, light: Tensor) -> None:
        """Add the cross-fades at `parts` of a pair without motion to `light`, (3, H, W), a sum."""
        if self.in_pair(pair):
            second = float(parts.sum())
            light.add_(self.above[pair], alpha=len(parts) - second).add_(self.above[pair + 1], alpha=second)

    def add_warped(self, pair: int, field: Tensor, off: Tensor, parts: Tensor, light: Tensor) -> None:
        """Add the samples at `parts` of a pair that moves; field, off: as of `cuda._fields`."""
        if not self.in_pair(pair):
            return
        self.lit = {i: self.lit[i] if i in self.lit else _lit(self.above[i]) for i in (pair, pair + 1)}
        height, width = light.shape[1:]
        cuda.launch(SOURCE, "add_above", (width, height, 1), self.above[pair], self.above[pair + 1], self.lit[pair],
                    self.lit[pair + 1], field, off, parts, light, len(parts), height, width,
                    *field.shape[1:3])  # fmt: skip


def _lit(frame: Tensor) -> Tensor:
    """(3, H, W) -> (H, W): the brightest of the pixels x..x+1, y..y+1, which a bilinear fetch mixes."""
    return F.max_pool2d(F.pad(frame.amax(0)[None, None], (0, 1, 0, 1)), 2, 1)[0, 0].contiguous()
