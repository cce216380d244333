"""Trajectories as V-BM4D's paper defines them (section III.B), from every pixel: each block is compared with the block
found in the frame before it, not with the first one.

block_matching.py is better on slow motion, where integer vectors of one interval round to zero and drift when they are
concatenated; this one is for the profile that follows the paper.
"""

import math
from typing import NamedTuple

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


class PaperSearch(NamedTuple):
    """How blocks are followed, in the letters of the paper's Table I. Distances are ||.||_2 / n^2, code values."""

    block: int  # n, px a side
    side: int  # N_S, px: of the largest search window
    gp: float  # share of the last motion vector that predicts the next one
    gw: float  # how much a small motion vector narrows the window, 0..1
    sw: float  # px: length of a motion vector that counts as small
    gd: float  # distance that a pixel away from the predicted place costs
    tau: float  # tau_traj: distance above which a trajectory ends


@njit(parallel=True, cache=True, fastmath=MATH)
def chains(frames, slots, search, first, path, extent):
    """Follow the blocks of frame slots[h], of the rows from `first`, through the frames slots[0 .. 2 h]; -1 is none.

    frames (slots, channels, H, W) float32, compared in channel 0; search: PaperSearch. Fills path (rows, W - n + 1,
    2 h + 1, 2) int16 with displacements (dy, dx), px, and extent (rows, W - n + 1, 2) int16 with the number of frames
    before and after through which each block was followed.
    """
    h = slots.size // 2
    height, width = frames.shape[2:]
    n, side, gp, gw, sw, gd, tau = search
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
                    if not best <= tau:
                        break
                    extent[row, x, way] = k
                    vy, vx, cy, cx = by - cy, bx - cx, by, bx
                    path[row, x, h + sign * k, 0], path[row, x, h + sign * k, 1] = cy - y, cx - x
