"""Dense inverse search on the frames of a window: the functions that stages call, by the device of the frames.

On the CPU one frame pair and one direction after the other, which is the specification; cuda.py is the twin, which
searches all of them at once.
"""

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import switch
from lolblur_synth.kernels.inverse_search import cpu, reference

flow = cpu.flow if switch.ON else reference.flow


def codes(guide: Tensor, gamma: float) -> Tensor:
    """(T, 3, H, W) float32 display -> (T, H, W) uint8 for `flows`: luma to the power of gamma, 255 for white."""
    return torch.from_numpy(np.stack([reference.grey(frame, np.float32(gamma)) for frame in guide.cpu().numpy()]))


def flows(
    codes: Tensor, moving: np.ndarray, stride: int, passes: int, fine: bool, trust: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Motion of each pair of neighbouring frames where `moving`, (T-1,) bool: forward and backward, each
    (T-1, h, w, 3) float32 as of `reference.flow`; elsewhere 0, trusted.

    codes: (T, H, W) uint8; stride, passes, fine, trust: as for `reference.flow`. Two pyramids are held.
    """
    size = len(moving), -(-codes.shape[1] // 2), -(-codes.shape[2] // 2), 3
    forward, backward = np.zeros(size, np.float32), np.zeros(size, np.float32)
    forward[..., 2] = backward[..., 2] = 1
    grey, levels = codes.numpy(), {}
    for pair in np.flatnonzero(moving).tolist():
        levels = {i: levels[i] if i in levels else reference.pyramid(grey[i], fine) for i in (pair, pair + 1)}
        first, second = levels[pair], levels[pair + 1]
        forward[pair] = flow(first, second, stride, passes, fine, trust)
        backward[pair] = flow(second, first, stride, passes, fine, trust)
    return forward, backward
