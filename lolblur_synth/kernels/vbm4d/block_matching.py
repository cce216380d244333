"""Trajectories of blocks through time: where the block of frame t0 is found in the frames before and after it.

Every later frame is compared with the *reference* block, not with its neighbour in time: at 250 frames/s the motion of
one interval rounds to zero, and concatenated integer vectors drift away from the block.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.vbm4d.reference import TILE
from lolblur_synth.kernels.vbm4d.transforms import MATH

SPAN = 8 * TILE + 8  # room for the columns of a tile, whose blocks are at most 8 apart


class Paths(NamedTuple):
    """The 8x8 blocks of a grid of one frame, and where they are found in the frames round it."""

    slots: np.ndarray  # (2 h + 1,) where each frame lies, the one of the grid in the middle; -1: there is none
    ys: np.ndarray  # (rows,) of the grid, pixels
    xs: np.ndarray  # (columns,)
    active: np.ndarray  # (rows, columns) bool: blocks that are asked for
    path: np.ndarray  # (rows, columns, 2 h + 1, 2) int16: displacements (dy, dx)
    extent: np.ndarray  # (rows, columns, 2) int16: frames before and after through which the block was followed


class Search(NamedTuple):
    """How blocks are looked for; squared distances are of 64 values."""

    radius: np.ndarray  # px of a first search round the predicted place, and of that in the next frame, in later ones
    penalty: np.float32  # what a pixel away from the predicted place costs, squared distance
    close: np.float32  # squared distance up to which a match is good enough
    limit: np.float32  # squared distance at which a trajectory stops (occlusion, scene cut)


@njit(fastmath=MATH)
def _squares(reference, first, frame, y, x, width, sums):
    """sums[i] += squared difference of column i over four rows: flat reference from `first`, frame from (y, x)."""
    a = reference[first : first + 4 * SPAN]
    b0, b1, b2, b3 = (
        frame[y][x : x + width],
        frame[y + 1][x : x + width],
        frame[y + 2][x : x + width],
        frame[y + 3][x : x + width],
    )
    for i in range(width):
        e0, e1, e2, e3 = a[i] - b0[i], a[i + SPAN] - b1[i], a[i + 2 * SPAN] - b2[i], a[i + 3 * SPAN] - b3[i]
        sums[i] += (e0 * e0 + e1 * e1) + (e2 * e2 + e3 * e3)


@njit(fastmath=MATH)
def _boxes(sums, count, out):
    """out[i] = sums[i] + ... + sums[i + 7]."""
    for i in range(count):
        out[i] = ((sums[i] + sums[i + 1]) + (sums[i + 2] + sums[i + 3])) + (
            (sums[i + 4] + sums[i + 5]) + (sums[i + 6] + sums[i + 7])
        )


@njit(fastmath=MATH)
def _search(reference, frame, y, xs, centre, radius, penalty, sums, boxes, best, cost, found, wanted):
    """Best displacement of the wanted 8x8 blocks at (y, xs) within `radius` of the centre, by squared distance and
    penalty."""
    height, width = frame.shape
    for n in range(xs.size):
        if wanted[n]:
            best[n], found[n, 0], found[n, 1] = np.float32(np.inf), centre[0], centre[1]
    for dy in range(max(centre[0] - radius, -y), min(centre[0] + radius, height - 8 - y) + 1):
        for dx in range(centre[1] - radius, centre[1] + radius + 1):
            left = max(xs[0], -dx)
            columns = min(xs[-1] + 8, width - dx) - left
            if columns < 8:
                continue
            sums[:columns] = np.float32(0)
            for r in range(0, 8, 4):
                _squares(reference, r * SPAN + left - xs[0], frame, y + dy + r, left + dx, columns, sums)
            _boxes(sums, columns - 7, boxes)
            fee = penalty * np.float32(abs(dy - centre[0]) + abs(dx - centre[1]))
            for n in range(xs.size):
                i = xs[n] - left
                if i >= 0 and i < columns - 7 and boxes[i] + fee < best[n] and wanted[n]:
                    best[n] = boxes[i] + fee
                    cost[n] = boxes[i]
                    found[n, 0] = dy
                    found[n, 1] = dx


@njit(parallel=True, cache=True, fastmath=MATH)
def trajectories(frames, paths, search):
    """Follow the blocks of a grid: fill `path` and `extent` of paths (Paths), as search (Search) says.

    frames (slots, 3, H, W) float32, searched in channel 0. Neighbours share the centre of the search: their median
    displacement, continued at constant speed.
    """
    slots, ys, xs, active, path, extent = paths
    radius, penalty, close, limit = search
    h = slots.size // 2
    tiles = (xs.size + TILE - 1) // TILE
    for task in prange(ys.size * tiles):
        row = task // tiles
        first = (task % tiles) * TILE
        last = min(first + TILE, xs.size)
        if not active[row, first:last].any():
            continue
        y, here = ys[row], xs[first:last]
        span = here[-1] - here[0] + 8
        reference = np.zeros(8 * SPAN, np.float32)
        for r in range(8):
            reference[r * SPAN : r * SPAN + span] = frames[slots[h], 0, y + r][here[0] : here[0] + span]
        sums, boxes = np.empty(SPAN, np.float32), np.empty(SPAN, np.float32)
        best, cost = np.empty(last - first, np.float32), np.empty(last - first, np.float32)
        found = np.zeros((last - first, 2), np.int64)
        wanted = np.empty(last - first, np.bool_)
        path[row, first:last, h] = 0
        extent[row, first:last] = 0
        for side in range(2):
            sign = 2 * side - 1
            centre = (0, 0)
            for k in range(1, h + 1):
                slot = slots[h + sign * k]
                if slot < 0:
                    break
                there = frames[slot, 0]
                wanted[:] = True
                _search(reference, there, y, here, centre, radius[0], penalty, sums, boxes, best, cost, found, wanted)
                left, right = last - first, 0
                for n in range(last - first):
                    settled = best[n] < np.inf and cost[n] <= close
                    wanted[n] = active[row, first + n] and extent[row, first + n, side] == k - 1 and not settled
                    if wanted[n]:
                        left, right = min(left, n), n + 1
                if left < right:
                    _search(
                        reference[here[left] - here[0] :],
                        there,
                        y,
                        here[left:right],
                        centre,
                        radius[min(k, 2)],
                        penalty,
                        sums,
                        boxes,
                        best[left:right],
                        cost[left:right],
                        found[left:right],
                        wanted[left:right],
                    )
                alive = False
                for n in range(last - first):
                    if extent[row, first + n, side] == k - 1 and best[n] < np.inf and cost[n] <= limit:
                        extent[row, first + n, side] = k
                        path[row, first + n, h + sign * k, 0] = found[n, 0]
                        path[row, first + n, h + sign * k, 1] = found[n, 1]
                        alive = True
                if not alive:
                    break
                middle = (last - first) // 2
                centre = (
                    int(np.rint(np.sort(found[:, 0])[middle] * (k + 1) / k)),
                    int(np.rint(np.sort(found[:, 1])[middle] * (k + 1) / k)),
                )
