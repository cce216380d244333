"""Trajectories of blocks through time: where the blocks of a reference frame are in the frames before and after it.

Blocks of every frame are compared with the *reference* block, not with the block before them in time: at 250 frames/s
the motion of one interval rounds to zero, and concatenated integer vectors drift away from the block.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.vbm4d.neighbours import APART, COLUMNS, NEIGHBOURS, Candidate, Matches, improve
from lolblur_synth.kernels.vbm4d.reference import TILE
from lolblur_synth.kernels.vbm4d.transforms import MATH

SPAN = 8 * TILE + 8  # room for the columns of a tile, whose blocks are at most 8 apart


class Paths(NamedTuple):
    """The 8x8 blocks of a grid of one frame, and where they are in the frames round it."""

    slots: np.ndarray  # (2 h + 1,) ring slot of each frame, the reference in the middle; -1: there is none
    ys: np.ndarray  # (rows,) of the grid, pixels
    xs: np.ndarray  # (columns,)
    active: np.ndarray  # (rows, columns) bool: blocks that are asked for
    path: np.ndarray  # (rows, columns, 2 h + 1, 2) int16: displacements (dy, dx), px
    extent: np.ndarray  # (rows, columns, 2) int16: frames before and after through which the block was followed


class Tile(NamedTuple):
    """Neighbouring 8x8 blocks of the reference frame."""

    pixels: np.ndarray  # flat float32: eight rows of SPAN pixels, from the first block on
    y: int  # px, of the blocks
    xs: np.ndarray  # px, ascending


class Buffers(NamedTuple):
    """Rows of SPAN values, float32."""

    sums: np.ndarray  # squared differences of columns of eight pixels
    boxes: np.ndarray  # those of 8x8 pixels


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
def _search(tile, frame, centre, inner, radius, penalty, matches, buffers):
    """Look for the blocks of a Tile in `frame` (H, W), more than `inner` and up to `radius` px from the displacement
    `centre`, by squared distance and penalty; improve Matches."""
    height, width = frame.shape
    y, xs, pixels, flat = tile.y, tile.xs, tile.pixels, frame.reshape(-1)
    for first in range(0, xs.size, NEIGHBOURS):
        last = min(first + NEIGHBOURS, xs.size)
        if not (matches.cost[first:last] > -np.inf).any():
            continue
        x, start = xs[first], xs[first] - xs[0]
        together = xs[last - 1] - x == APART * (last - 1 - first)
        reference, number = pixels[start:], np.float32(-1)
        for dy in range(centre[0] - radius, centre[0] + radius + 1):
            for dx in range(centre[1] - radius, centre[1] + radius + 1):
                number += np.float32(1)
                away = abs(dy - centre[0]), abs(dx - centre[1])
                if max(away) <= inner or not 0 <= y + dy <= height - 8:
                    continue
                fee = penalty * np.float32(away[0] + away[1])
                if together and 0 <= x + dx <= width - COLUMNS:
                    candidate = Candidate(flat, width, (y + dy) * width + x + dx, fee, number)
                    improve(reference, SPAN, candidate, first, matches)
                else:
                    part = Tile(reference, y, xs[first:last])
                    _improve_apart(part, frame, (dy, dx), fee, number, first, matches, buffers)


@njit(fastmath=MATH)
def _improve_apart(tile, frame, moved, fee, number, first, matches, buffers):
    """`improve`, for blocks of a Tile that stand otherwise than 4 px apart, or of which some would leave the frame."""
    (dy, dx), y, xs, width = moved, tile.y, tile.xs, frame.shape[1]
    cost, distance, best = matches
    left = max(xs[0], -dx)
    columns = min(xs[-1] + 8, width - dx) - left
    if columns < 8:
        return
    buffers.sums[:columns] = np.float32(0)
    for r in range(0, 8, 4):
        _squares(tile.pixels, r * SPAN + left - xs[0], frame, y + dy + r, left + dx, columns, buffers.sums)
    _boxes(buffers.sums, columns - 7, buffers.boxes)
    for n in range(xs.size):
        i = xs[n] - left
        if 0 <= i < columns - 7 and buffers.boxes[i] + fee < cost[first + n]:
            cost[first + n], distance[first + n] = buffers.boxes[i] + fee, buffers.boxes[i]
            best[first + n] = number


@njit(parallel=True, cache=True, fastmath=MATH)
def trajectories(frames, paths, search):
    """Follow the blocks of a grid: fill `path` and `extent` of Paths, as Search says.

    frames (slots, 3, H, W) float32, searched in channel 0. Neighbouring blocks share the centre of their search: the
    median of their displacements, continued at constant speed.
    """
    tiles = (paths.xs.size + TILE - 1) // TILE
    for task in prange(paths.ys.size * tiles):
        first = (task % tiles) * TILE
        _follow_tile(frames, paths, search, task // tiles, first, min(first + TILE, paths.xs.size))


@njit(fastmath=MATH)
def _follow_tile(frames, paths, search, row, first, last):
    """Follow the blocks first..last - 1 of a grid row, backwards and forwards in time."""
    if not paths.active[row, first:last].any():
        return
    y, xs, h, count = paths.ys[row], paths.xs[first:last], paths.slots.size // 2, last - first
    span = xs[-1] - xs[0] + 8
    pixels = np.zeros(8 * SPAN, np.float32)
    for r in range(8):
        pixels[r * SPAN : r * SPAN + span] = frames[paths.slots[h], 0, y + r][xs[0] : xs[0] + span]
    tile, buffers = Tile(pixels, y, xs), Buffers(np.empty(SPAN, np.float32), np.empty(SPAN, np.float32))
    matches = Matches(np.empty(TILE, np.float32), np.empty(TILE, np.float32), np.empty(TILE, np.float32))
    moved = np.empty((count, 2), np.int64)
    paths.path[row, first:last, h] = 0
    paths.extent[row, first:last] = 0
    for side in range(2):
        centre = (0, 0)
        for k in range(1, h + 1):
            slot = paths.slots[h + (2 * side - 1) * k]
            if slot < 0:
                break
            frame, (near, far) = frames[slot, 0], (search.radius[0], search.radius[min(k, 2)])
            matches.cost[:count], matches.best[:] = np.float32(np.inf), np.float32(-1)
            moved[:, 0], moved[:, 1] = centre
            _search(tile, frame, centre, -1, near, search.penalty, matches, buffers)
            _move(moved, matches, centre, near)
            for n in range(count):
                if matches.cost[n] == np.inf:  # no place of the frame is near the centre
                    matches.distance[n] = np.float32(np.inf)
                good = matches.distance[n] <= search.good
                if good or not paths.active[row, first + n] or paths.extent[row, first + n, side] < k - 1:
                    matches.cost[n] = -np.float32(np.inf)
            _search(tile, frame, centre, near, far, search.penalty, matches, buffers)
            _move(moved, matches, centre, far)
            if not _extend(paths, search.limit, row, first, side, k, matches, moved):
                break
            centre = _predicted(moved, k)


@njit(inline="always", fastmath=MATH)
def _move(moved, matches, centre, radius):
    """Displacements (n, 2) of the blocks for which a search found a better candidate; none has, for the next one."""
    side = 2 * radius + 1
    for n in range(len(moved)):
        number = int(matches.best[n])
        if number >= 0:
            moved[n, 0] = centre[0] - radius + number // side
            moved[n, 1] = centre[1] - radius + number % side
            matches.best[n] = np.float32(-1)


@njit(inline="always", fastmath=MATH)
def _extend(paths, limit, row, first, side, k, matches, moved):
    """Extend to k intervals the trajectories that reached k - 1 and have a match within the limit; whether any did."""
    middle, extended = paths.slots.size // 2, False
    for n in range(len(moved)):
        matched = matches.cost[n] < np.inf and matches.distance[n] <= limit
        if paths.extent[row, first + n, side] == k - 1 and matched:
            paths.extent[row, first + n, side] = k
            paths.path[row, first + n, middle + (2 * side - 1) * k, 0] = moved[n, 0]
            paths.path[row, first + n, middle + (2 * side - 1) * k, 1] = moved[n, 1]
            extended = True
    return extended


@njit(inline="always", fastmath=MATH)
def _predicted(moved, k):
    """The displacement k + 1 intervals away: the median of those k intervals away, continued at constant speed."""
    middle = len(moved) // 2
    return (
        int(np.rint(np.sort(moved[:, 0])[middle] * (k + 1) / k)),
        int(np.rint(np.sort(moved[:, 1])[middle] * (k + 1) / k)),
    )
