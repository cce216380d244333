"""Dense inverse search on the CPU: the fast twin of reference.py, where the method is described. A patch is compared,
summed and spread by vector IR (patch.py), and what a patch is asked is passed round as one tuple.

Several times as fast as OpenCV's at the same stride, and as close to real middle frames (docs/notes/motion.md). One
thread searches a level: a patch waits for its neighbours.
"""

import numpy as np
from numba import njit

from lolblur_synth.kernels.inverse_search.patch import PATCH, compare, moments, vote
from lolblur_synth.kernels.inverse_search.reference import FAR, FLAT, PAD, STEPS, STRAY, grid, halved, trusted, where

F = np.float32
COUNT = F(PATCH * PATCH)


def flow(first: list[tuple], second: list[tuple], stride: int, passes: int, fine: bool, trust: np.ndarray):
    """Pyramids of two frames -> (h, w, 3) at half the resolution: motion (dx, dy) in pixels of the frame, and trust.

    stride: px from patch to patch; passes: sweeps over the patches, there and back; fine: the pyramids begin at the
    full resolution; trust: (256), by difference.
    """
    found = None
    for (image, along_x, along_y, *size), (target, *_) in zip(first[::-1], second[::-1], strict=True):
        above = np.zeros((1, 1, 2), np.float32) if found is None else found
        found = _level_flow(image, along_x, along_y, target, *size, above, stride, passes)
    if fine:
        found = np.stack([halved(np.ascontiguousarray(found[..., k])) for k in (0, 1)], -1) / F(2)
    return trusted(first[fine][0], second[fine][0], found, trust)


@njit(cache=True)
def _level_flow(image, along_x, along_y, target, height, width, above, stride, passes):
    """(h, w, 2) motion on a level, in its pixels, from (h', w', 2) of the level above."""
    ys, xs = grid(height, stride), grid(width, stride)
    found = np.empty((len(ys), len(xs), 2), np.float32)
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            up, left = min((y + PATCH // 2) // 2, len(above) - 1), min((x + PATCH // 2) // 2, above.shape[1] - 1)
            found[row, column] = F(2) * above[up, left]
    for number in range(passes):
        _sweep(image, along_x, along_y, target, height, width, ys, xs, number % 2 == 1, found)
    return _densified(image, target, height, width, ys, xs, found)


@njit(cache=True)
def _sweep(image, along_x, along_y, target, height, width, ys, xs, back, found):
    """Register every patch, from the top left to the bottom right or back; starts pass from neighbour to neighbour."""
    pitch, step = np.int64(width + 2 * PAD), -1 if back else 1
    for i in range(len(ys)):
        row = len(ys) - 1 - i if back else i
        for j in range(len(xs)):
            column = len(xs) - 1 - j if back else j
            place = (ys[row] + PAD) * pitch + xs[column] + PAD
            spot = image, along_x, along_y, target, place, pitch, ys[row] + PAD, xs[column] + PAD, height, width
            u, v = found[row, column]
            best = _compared(spot, u, v)
            for other in (found[row, column - step if j else column], found[row - step if i else row, column]):
                if other[0] != u or other[1] != v:
                    result = _compared(spot, other[0], other[1])
                    if result[0] < best[0]:
                        u, v, best = other[0], other[1], result
            found[row, column] = _registered(spot, u, v, best)


@njit(cache=True)
def _compared(spot, u, v):
    """Of a patch moved by (u, v): squared difference less that of the means, and the sums it is made of."""
    image, along_x, along_y, target, place, pitch, y, x, height, width = spot
    base, fx, fy = where(y, x, u, v, height, width, pitch)
    total, squares, by_x, by_y = compare(target, base, fx, fy, image, along_x, along_y, place, pitch)
    return squares - total * total / COUNT, total, by_x, by_y


@njit(cache=True)
def _registered(spot, u, v, best):
    """Where a patch that starts at (u, v) goes: downhill, as long as that helps more than it costs to stray."""
    _, along_x, along_y, _, place, pitch, _, _, _, _ = spot
    start_u, start_v, (cost, total, by_x, by_y) = u, v, best
    x, y, xx, xy, yy = moments(along_x, along_y, place, pitch)
    xx, xy, yy = xx - x * x / COUNT + FLAT, xy - x * y / COUNT, yy - y * y / COUNT + FLAT
    scale = F(1) / max(xx * yy - xy * xy, F(1e-6))
    for _ in range(STEPS):
        by_x += F(STRAY) * (u - start_u) - total * x / COUNT
        by_y += F(STRAY) * (v - start_v) - total * y / COUNT
        next_u, next_v = u - (yy * by_x - xy * by_y) * scale, v - (xx * by_y - xy * by_x) * scale
        away_u, away_v = next_u - start_u, next_v - start_v
        if not (abs(away_u) <= F(FAR) and abs(away_v) <= F(FAR)):
            break
        changed, total, by_x, by_y = _compared(spot, next_u, next_v)
        changed += F(STRAY) * (away_u * away_u + away_v * away_v)
        if not changed < cost:
            break
        u, v, cost = next_u, next_v, changed
    return u, v


@njit(cache=True)
def _densified(image, target, height, width, ys, xs, found):
    """(h, w, 2): at each pixel the mean of the patches over it, by how well each agrees there."""
    pitch, sums = np.int64(width + 2 * PAD), np.zeros((3, height * width), np.float32)
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            u, v = found[row, column]
            base, fx, fy = where(y + PAD, x + PAD, u, v, height, width, pitch)
            vote(target, base, fx, fy, image, (y + PAD) * pitch + x + PAD, pitch, u, v, sums[0], sums[1], sums[2],
                 y * width + x, np.int64(width))  # fmt: skip
    out = np.empty((height, width, 2), np.float32)
    for y in range(height):
        for x in range(width):
            share = F(1) / sums[2, y * width + x]
            out[y, x, 0], out[y, x, 1] = sums[0, y * width + x] * share, sums[1, y * width + x] * share
    return out
