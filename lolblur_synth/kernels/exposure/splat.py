"""Motion carried along itself: from the motion of a frame pair to the motion at the instants between, on the CPU.

`fields` is the fast twin of `reference.fields`. Sums are vectors (dx, dy, 1, bend x, bend y, unused, unused, unused)
times trust, so that a cell is deposited with one vector addition on each of the four cells that it lands on. LLVM
vectorises no loop that we could write for this, so `deposit` is vector IR. A margin of one cell on each side takes what
leaves the frame.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, prange

from lolblur_synth.kernels.exposure.reference import BASELINE, CELL
from lolblur_synth.kernels.llvm import ROW, SIDE, load, multiply_add, pointer, spread, twin, unpacked

LANES = SIDE  # of a vector; five are used
F = np.float32


class Carried(NamedTuple):
    """What a cell takes along, float32."""

    dx: np.float32  # its motion, px an interval
    dy: np.float32
    bend_x: np.float32  # half its acceleration, px an interval^2
    bend_y: np.float32


class Shares(NamedTuple):
    """How much of a cell lands on each of four neighbours, times its weight, float32."""

    upper_left: np.float32
    upper_right: np.float32
    lower_left: np.float32
    lower_right: np.float32


@njit(cache=True, parallel=True)
def fields(forward, backward, bend, parts):
    """Motion and trust (h, w, 3) of a frame pair, forward and backward, and bend (2, h, w, 2), half the acceleration of
    each cell of either frame -> (n, 4, h, w) at n instants: motion, pixels an interval, and how far the path is off
    the straight one, pixels. parts: (n,) float32, the instants as fractions of the interval."""
    height, width, _ = forward.shape
    field = np.empty((len(parts), 4, height, width), np.float32)
    for k in prange(len(parts)):
        t = parts[k]
        pitch = (width + 2) * LANES
        sums = np.zeros((height + 2) * pitch, np.float32)
        _splat(forward, bend[0], t, F(1), F(1) - t, sums)
        _splat(backward, bend[1], F(1) - t, F(-1), t, sums)
        for y in range(height):
            row = sums[(y + 1) * pitch + LANES : (y + 2) * pitch - LANES]
            for x in range(width):
                total = F(1) / (row[LANES * x + 2] + F(BASELINE))
                for c in range(2):
                    resting = (F(1) - t) * forward[y, x, c] - t * backward[y, x, c]
                    field[k, c, y, x] = (row[LANES * x + c] + F(BASELINE) * resting) * total
                    field[k, 2 + c, y, x] = t * (F(1) - t) * row[LANES * x + 3 + c] * total
    return field


@njit(cache=True)
def _splat(flow, bend, t, sign, weight, sums):
    """Carry each cell's motion and bend along the fraction t of it, and add them to the four cells they land on."""
    height, width, _ = flow.shape
    pitch = (width + 2) * LANES
    last_x, last_y = F(width), F(height)
    for y in range(height):
        for x in range(width):
            dx, dy = flow[y, x, 0], flow[y, x, 1]
            px, py = F(x) + t * dx / F(CELL), F(y) + t * dy / F(CELL)
            if not (F(-1) < px < last_x and F(-1) < py < last_y):
                continue
            left, top = np.int32(px + F(1)), np.int32(py + F(1))  # counted from the margin, so never negative
            fx, fy = px + F(1) - F(left), py + F(1) - F(top)
            trust = weight * flow[y, x, 2]
            lower = trust * fy
            upper = trust - lower
            place = np.int64(top) * pitch + left * LANES
            carried = Carried(sign * dx, sign * dy, bend[y, x, 0], bend[y, x, 1])
            shares = Shares(upper - upper * fx, upper * fx, lower - lower * fx, lower * fx)
            deposit(sums, place, pitch, carried, shares)


@njit
def deposit(sums, place, pitch, carried, shares):
    """Add (dx, dy, 1, bend x, bend y, 0, 0, 0), times the Shares, to the vectors of the cell at `place` and of its
    neighbours to the right, below, and below to the right.

    As vectors 4 times as fast.
    """
    left, right = shares.upper_left, shares.upper_right
    for row in range(2):
        for at, share in ((place + row * pitch, left), (place + row * pitch + LANES, right)):
            sums[at] += share * carried.dx
            sums[at + 1] += share * carried.dy
            sums[at + 2] += share
            sums[at + 3] += share * carried.bend_x
            sums[at + 4] += share * carried.bend_y
        left, right = shares.lower_left, shares.lower_right


@twin(deposit)
def deposit(context, builder, signature, arguments):
    data, place, pitch, carried, shares = unpacked(context, builder, signature, arguments)
    moved = ir.Constant(ROW, [0.0, 0.0, 1.0] + [0.0] * (LANES - 3))
    for lane, value in zip((0, 1, 3, 4), carried, strict=True):
        moved = builder.insert_element(moved, value, ir.Constant(ir.IntType(32), lane))
    below = builder.add(place, pitch)
    for start, step, share in zip((place, place, below, below), (0, LANES, 0, LANES), shares, strict=True):
        at = builder.add(start, ir.Constant(start.type, step))
        total = multiply_add(builder, moved, spread(builder, share), load(builder, data, at))
        builder.store(total, pointer(builder, data, at), align=4)


@njit(cache=True)
def motion_row(field, y, row, out):
    """Row y of the pixels from (C, h, w) cells of 2x2 pixels, bilinear, into out (C, W); row: (w,), overwritten."""
    channels, height, width = field.shape
    up, down = max((y - 1) // 2, 0), min((y + 1) // 2, height - 1)
    share = F(0.75) if y % 2 else F(0.25)
    for c in range(channels):
        for x in range(width):
            row[x] = share * field[c, up, x] + (F(1) - share) * field[c, down, x]
        out[c, 0] = row[0]
        for x in range(1, width):
            out[c, 2 * x - 1] = F(0.75) * row[x - 1] + F(0.25) * row[x]
            out[c, 2 * x] = F(0.25) * row[x - 1] + F(0.75) * row[x]
        if out.shape[1] % 2 == 0:
            out[c, 2 * width - 1] = row[width - 1]
