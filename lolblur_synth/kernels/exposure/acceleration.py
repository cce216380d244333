"""How paths bend between two frames, from the motion to the frames before and after them.

A point at 0 that moves by v to the next frame and by u to the one before follows v t - t (1 - t) b, where
b = (u + v) / 2 is half its acceleration: quadratic interpolation (Xu 2019, "Quadratic video interpolation", eq. 3).

Half an acceleration is a difference of two motions, and as noisy as both. The two frames of a pair measure it
independently, as a and b: what they have in common is signal, the rest is noise. So their mean is multiplied by

    sum a . b / sum (|a|^2 + |b|^2) / 2,  held in 0..1, over 5x5 cells,

which is Wiener's rule with the covariance of a and b as the power of the signal. Where they contradict each other
(only one of the two motions is right, grain, a repeated frame) the path stays straight.
"""

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.exposure.reference import CELL

REACH = 2  # cells on each side over which the sums go
MIN_POWER = np.float32(1e-6)  # px^2, added: where nothing accelerates, the share is 0
F = np.float32


def bends(forward: np.ndarray, backward: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """(T-1, 2, h, w, 2) float32: half the acceleration of each cell of a pair's first frame, and of its second, pixels
    an interval^2; 0 where the motion of the pair, of the one before it or of the one after it was not measured.

    forward, backward: (T-1, h, w, 3), see interpolate.Motion; moving: (T-1,) bool, where they were measured.
    """
    bent = np.zeros((len(forward), 2, *forward.shape[1:3], 2), np.float32)
    for pair in np.flatnonzero(moving[:-2] & moving[1:-1] & moving[2:]) + 1:
        first = 0.5 * (forward[pair, ..., :2] + backward[pair - 1, ..., :2])
        second = 0.5 * (backward[pair, ..., :2] + forward[pair + 1, ..., :2])
        _common(first, second, forward[pair], bent[pair, 0])
        _common(second, first, backward[pair], bent[pair, 1])
    return bent


@njit(cache=True, parallel=True)
def _common(own, other, way, out):
    """What `own` (h, w, 2) and `other`, fetched along the motion `way` (h, w, 3), have in common, to out (h, w, 2)."""
    height, width, _ = own.shape
    alike, power = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    for y in prange(height):
        for x in range(width):
            px = min(max(F(x) + way[y, x, 0] / F(CELL), F(0)), F(width - 1))
            py = min(max(F(y) + way[y, x, 1] / F(CELL), F(0)), F(height - 1))
            left, top = min(np.int32(px), width - 2), min(np.int32(py), height - 2)
            fx, fy = px - F(left), py - F(top)
            dot = square = F(0)
            for c in range(2):
                above = other[top, left, c] + fx * (other[top, left + 1, c] - other[top, left, c])
                below = other[top + 1, left, c] + fx * (other[top + 1, left + 1, c] - other[top + 1, left, c])
                there, here = above + fy * (below - above), own[y, x, c]
                dot += here * there
                square += F(0.5) * (here * here + there * there)
                out[y, x, c] = F(0.5) * (here + there)
            alike[y, x], power[y, x] = dot, square
    for y in prange(height):
        column = np.zeros((2, width), np.float32)
        for row in range(max(y - REACH, 0), min(y + REACH + 1, height)):
            for x in range(width):
                column[0, x] += alike[row, x]
                column[1, x] += power[row, x]
        for x in range(width):
            dot = square = F(0)
            for near in range(max(x - REACH, 0), min(x + REACH + 1, width)):
                dot += column[0, near]
                square += column[1, near]
            share = min(max(dot / (square + MIN_POWER), F(0)), F(1))
            out[y, x, 0] *= share
            out[y, x, 1] *= share
