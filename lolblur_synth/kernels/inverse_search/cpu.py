"""Dense inverse search on the CPU: the fast twin of reference.py, where the method is described. A patch is compared,
summed and spread by vector IR (patch.py).

Several times as fast as OpenCV's at the same stride, and as close to real middle frames (docs/notes/motion.md). One
thread searches a level, because a patch waits for its neighbours.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lolblur_synth.kernels.inverse_search.patch import PATCH, Level, Votes, compare, moments, vote
from lolblur_synth.kernels.inverse_search.reference import (
    MAX_STEPS,
    MAX_STRAY,
    PAD,
    PRICE_OF_STRAYING,
    REGULARISATION,
    grid,
    halved,
    trusted,
    where,
)

F = np.float32
COUNT = F(PATCH * PATCH)


class Fit(NamedTuple):
    """How well a moved patch fits, float32: sums over the patch of its difference d."""

    cost: np.float32  # (d - mean of d)^2
    total: np.float32  # d
    by_x: np.float32  # d times the gradient along x
    by_y: np.float32


def flow(
    first: list[Level], second: list[Level], stride: int, passes: int, fine: bool, trust: np.ndarray
) -> np.ndarray:
    """Pyramids of two frames -> (h, w, 3) float32 at half the resolution: motion (dx, dy) in pixels of the frame, and
    trust, 0..1.

    stride: px from patch to patch; passes: sweeps over the patches, there and back; fine: the pyramids begin at the
    full resolution; trust: (256,) float32, by the difference that is left along the motion, in code values.
    """
    motion = np.zeros((1, 1, 2), np.float32)
    for level, other in zip(first[::-1], second[::-1], strict=True):
        motion = _level_flow(level, other.image, motion, stride, passes)
    if fine:
        motion = np.stack([halved(np.ascontiguousarray(motion[..., k])) for k in (0, 1)], -1) / F(2)
    return trusted(first[fine].image, second[fine].image, motion, trust)


@njit(cache=True)
def _level_flow(level, target, above, stride, passes):
    """(h, w, 2) motion on a level, in its pixels, from (h', w', 2) of the level above."""
    ys, xs = grid(level.height, stride), grid(level.width, stride)
    motion = np.empty((len(ys), len(xs), 2), np.float32)
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            up, left = min((y + PATCH // 2) // 2, len(above) - 1), min((x + PATCH // 2) // 2, above.shape[1] - 1)
            motion[row, column] = F(2) * above[up, left]
    for number in range(passes):
        _sweep(level, target, ys, xs, number % 2 == 1, motion)
    return _densified(level, target, ys, xs, motion)


@njit(cache=True)
def _sweep(level, target, ys, xs, back, motion):
    """Register every patch, from the top left to the bottom right or back; starts pass from neighbour to neighbour."""
    step = -1 if back else 1
    for i in range(len(ys)):
        row = len(ys) - 1 - i if back else i
        for j in range(len(xs)):
            column = len(xs) - 1 - j if back else j
            y, x = ys[row] + PAD, xs[column] + PAD
            u, v = motion[row, column]
            best = _compared(level, target, y, x, u, v)
            for other in (motion[row, column - step if j else column], motion[row - step if i else row, column]):
                if other[0] != u or other[1] != v:
                    fit = _compared(level, target, y, x, other[0], other[1])
                    if fit.cost < best.cost:
                        u, v, best = other[0], other[1], fit
            motion[row, column] = _registered(level, target, y, x, u, v, best)


@njit(cache=True)
def _compared(level, target, y, x, u, v):
    """Fit of the patch at (y, x) of the padded image, moved by (u, v)."""
    difference = compare(level, y * level.pitch + x, target, where(level, y, x, u, v))
    cost = difference.squares - difference.total * difference.total / COUNT
    return Fit(cost, difference.total, difference.by_x, difference.by_y)


@njit(cache=True)
def _registered(level, target, y, x, start_u, start_v, start):
    """Where a patch that starts at (start_u, start_v), with the Fit `start`, goes: downhill, as long as that helps more
    than it costs to stray."""
    u, v, cost, total, by_x, by_y = start_u, start_v, start.cost, start.total, start.by_x, start.by_y
    sum_x, sum_y, xx, xy, yy = moments(level, y * level.pitch + x)
    xx, yy = xx - sum_x * sum_x / COUNT + REGULARISATION, yy - sum_y * sum_y / COUNT + REGULARISATION
    xy -= sum_x * sum_y / COUNT
    scale = F(1) / max(xx * yy - xy * xy, F(1e-6))
    for _ in range(MAX_STEPS):
        by_x += F(PRICE_OF_STRAYING) * (u - start_u) - total * sum_x / COUNT
        by_y += F(PRICE_OF_STRAYING) * (v - start_v) - total * sum_y / COUNT
        next_u, next_v = u - (yy * by_x - xy * by_y) * scale, v - (xx * by_y - xy * by_x) * scale
        away_u, away_v = next_u - start_u, next_v - start_v
        if not (abs(away_u) <= F(MAX_STRAY) and abs(away_v) <= F(MAX_STRAY)):
            break
        fit = _compared(level, target, y, x, next_u, next_v)
        reached = fit.cost + F(PRICE_OF_STRAYING) * (away_u * away_u + away_v * away_v)
        if not reached < cost:
            break
        u, v, cost, total, by_x, by_y = next_u, next_v, reached, fit.total, fit.by_x, fit.by_y
    return u, v


@njit(cache=True)
def _densified(level, target, ys, xs, motion):
    """(h, w, 2): at each pixel the mean of the patches over it, by how well each agrees there."""
    sums = np.zeros((3, level.height * level.width), np.float32)
    votes = Votes(sums[0], sums[1], sums[2])
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            u, v = motion[row, column]
            point = where(level, y + PAD, x + PAD, u, v)
            place = (y + PAD) * level.pitch + x + PAD
            vote(level, place, target, point, u, v, votes, y * level.width + x)
    out = np.empty((level.height, level.width, 2), np.float32)
    for y in range(level.height):
        for x in range(level.width):
            at = y * level.width + x
            share = F(1) / votes.weight[at]
            out[y, x, 0], out[y, x, 1] = votes.u[at] * share, votes.v[at] * share
    return out
