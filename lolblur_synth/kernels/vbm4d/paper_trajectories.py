"""Trajectories as V-BM4D's paper defines them (section III.B), from every pixel: each block is compared with the block
found in the frame before it, not with the first one.

block_matching.py does better on slow motion, where integer vectors of one interval round to zero and drift when they
are concatenated; this one is for the profile that follows the paper.
"""

import math

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.vbm4d.transforms import MATH


@njit(fastmath=MATH | {"reassoc"})
def square_distance(a, i, b, j, width, n):
    """Squared distance of the n x n blocks of flat planes a and b at i and j."""
    total = np.float32(0)
    for r in range(n):
        first, second = a[i + r * width : i + r * width + n], b[j + r * width : j + r * width + n]
        for c in range(n):
            e = first[c] - second[c]
            total += e * e
    return total


@njit(parallel=True, cache=True, fastmath=MATH)
def chains(frames, slots, n, side, motion, limit, first, path, extent):
    """Follow the n x n blocks of frame slots[h], of the rows from `first`, through frames slots[0 .. 2 h]; -1 is none.

    frames (slots, 3, H, W) float32, compared in channel 0; side: N_S, of the largest search window; motion: (gp, gw,
    sw, gd), the share of the last vector that predicts the next, how much a small vector narrows the window and what
    counts as small, and the price of a pixel off the prediction; limit: tau_traj. Distances are ||.||_2 / n^2.
    Fills path (rows, W - n + 1, 2 h + 1, 2) int16 and extent (rows, W - n + 1, 2) int16 as `trajectories`.
    """
    h = slots.size // 2
    height, width = frames.shape[2:]
    gp, gw, sw, gd = motion
    for row in prange(len(path)):
        y = first + row
        for x in range(width - n + 1):
            path[row, x, h] = 0
            for way in range(2):
                sign = 2 * way - 1
                cy, cx, vy, vx = y, x, 0, 0
                extent[row, x, way] = 0
                for k in range(1, h + 1):
                    slot = slots[h + sign * k]
                    if slot < 0:
                        break
                    here = frames[slots[h + sign * (k - 1)], 0].reshape(-1)
                    there = frames[slot, 0].reshape(-1)
                    py, px = cy + gp * vy, cx + gp * vx
                    reach = int(side * (1 - gw * math.exp(-(vy * vy + vx * vx) / (2 * sw * sw))) / 2)
                    my, mx = int(np.rint(py)), int(np.rint(px))
                    best, by, bx = np.inf, cy, cx
                    for v in range(max(my - reach, 0), min(my + reach, height - n) + 1):
                        for u in range(max(mx - reach, 0), min(mx + reach, width - n) + 1):
                            d = math.sqrt(square_distance(here, cy * width + cx, there, v * width + u, width, n))
                            d = d / (n * n) + gd * math.sqrt((v - py) ** 2 + (u - px) ** 2)
                            if d < best:
                                best, by, bx = d, v, u
                    if not best <= limit:
                        break
                    extent[row, x, way] = k
                    vy, vx, cy, cx = by - cy, bx - cx, by, bx
                    path[row, x, h + sign * k, 0], path[row, x, h + sign * k, 1] = cy - y, cx - x
