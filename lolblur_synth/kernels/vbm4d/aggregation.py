"""Weighted average of overlapping blocks (V-BM4D, section II: aggregation).

One task owns one plane of one frame: no two tasks write the same pixel, and each adds its blocks in grid order, so the
sum is the same for any number of threads.
"""

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.vbm4d.blocks import add_block
from lolblur_synth.kernels.vbm4d.transforms import MATH


@njit(parallel=True, cache=True, fastmath=MATH)
def aggregate(blocks, weights, window, targets, paths, rows, total):
    """Add the filtered blocks of the grid rows `rows` = (first, last) to total (slots, 4, H, W).

    Planes 0..2 of total receive the blocks, which already hold their window and weight, plane 3 the window times the
    weight. targets: the slot of each of the 2 reach + 1 frames round the reference, -1 for none; paths: Paths.
    """
    _, ys, xs, active, path, extent = paths
    reach = targets.size // 2
    h = path.shape[2] // 2
    height, width = total.shape[2], total.shape[3]
    pixels, values = total.reshape(-1), blocks.reshape(-1)
    one = np.float32(1)
    for task in prange(targets.size * 4):
        # neighbouring tasks are different frames: a thread takes a run of tasks, and at an end of the clip half of the
        # frames do not exist
        k = task % targets.size - reach
        c = (task // targets.size + 2 * (k % 2)) % 4  # mixes plane 3, which takes less time, with the others
        slot = targets[k + reach]
        if slot < 0:
            continue
        for row in range(rows[0], rows[1]):
            for n in range(xs.size):
                if not active[row, n] or k < -extent[row, n, 0] or k > extent[row, n, 1]:
                    continue
                y = ys[row] + path[row, n, h + k, 0]
                x = xs[n] + path[row, n, h + k, 1]
                at = ((slot * 4 + c) * height + y) * width + x
                if c == 3:
                    add_block(pixels, at, width, window, 0, weights[row - rows[0], n])
                else:
                    first = (((row - rows[0]) * xs.size + n) * targets.size + k + reach) * 3 + c
                    add_block(pixels, at, width, values, first * 64, one)


@njit(parallel=True, cache=True, fastmath=MATH)
def normalise(total, out):
    """out (3, H, W) = total[:3] / total[3], then total (4, H, W) = 0. Every pixel has an estimate.

    With total (6, H, W) each channel has a weight of its own, total[3:].
    """
    apart = total.shape[0] // 6  # 1: weights of their own
    for y in prange(out.shape[1]):
        for c in range(3):
            for x in range(out.shape[2]):
                out[c, y, x] = total[c, y, x] / total[3 + c * apart, y, x]
        total[:, y] = np.float32(0)


@njit(parallel=True, cache=True)
def uncovered(weight, ys, xs, active):
    """active[row, column] = whether some pixel of that 8x8 block of weight (H, W) has no estimate yet."""
    for row in prange(ys.size):
        for n in range(xs.size):
            active[row, n] = False
            for y in range(ys[row], ys[row] + 8):
                for x in range(xs[n], xs[n] + 8):
                    if weight[y, x] == 0:
                        active[row, n] = True
