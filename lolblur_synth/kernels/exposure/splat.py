"""Motion carried along itself: from the motion of a frame pair to the motion at the instants between, on the CPU.

`fields` is the fast twin of that in reference.py. Sums are vectors (dx, dy, 1, bend x, bend y, -, -, -), times trust,
so that a cell is deposited with one vector addition for each of the four cells it lands on; LLVM finds that shape in no
loop that we could write, so `deposit` writes it as vector IR. A margin of a cell on each side takes what leaves the
frame.
"""

import numpy as np
from llvmlite import ir
from numba import njit, prange

from lolblur_synth.kernels.exposure.reference import BASELINE, CELL
from lolblur_synth.kernels.llvm import ROW, SIDE, arrays, load, multiply_add, pointer, spread, twin

LANES = SIDE  # of a vector; five are used
F = np.float32


@njit(cache=True, parallel=True)
def fields(forward, backward, bend, parts):
    """(h, w, 3) motion and trust, both ways, (2, h, w, 2) bend of either frame -> (n, 4, h, w) at each of n instants:
    motion, pixels an interval, and how far the path is off the straight one, pixels."""
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
            deposit(
                sums,
                place,
                pitch,
                sign * dx,
                sign * dy,
                bend[y, x, 0],
                bend[y, x, 1],
                upper - upper * fx,
                upper * fx,
                lower - lower * fx,
                lower * fx,
            )


@njit
def deposit(sums, place, pitch, dx, dy, bx, by, a, b, c, d):
    """Add (dx, dy, 1, bx, by, 0 ...) times a, b, c, d to the vectors at `place`, right of it, below, right of that. As
    vectors 4 times as fast."""
    below = place + pitch
    for at, share in ((place, a), (place + LANES, b), (below, c), (below + LANES, d)):
        sums[at] += share * dx
        sums[at + 1] += share * dy
        sums[at + 2] += share
        sums[at + 3] += share * bx
        sums[at + 4] += share * by


@twin(deposit)
def deposit(context, builder, signature, arguments):
    _, place, pitch, dx, dy, bx, by, *shares = arguments
    (data,) = arrays(context, builder, signature, arguments, (0,))
    moved = ir.Constant(ROW, [0.0, 0.0, 1.0] + [0.0] * (LANES - 3))
    for lane, value in ((0, dx), (1, dy), (3, bx), (4, by)):
        moved = builder.insert_element(moved, value, ir.Constant(ir.IntType(32), lane))
    below = builder.add(place, pitch)
    for start, step, share in zip((place, place, below, below), (0, LANES, 0, LANES), shares, strict=True):
        at = builder.add(start, ir.Constant(start.type, step))
        total = multiply_add(builder, moved, spread(builder, share), load(builder, data, at))
        builder.store(total, pointer(builder, data, at), align=4)


@njit(cache=True)
def motion_row(field, y, row, out):
    """Row y of the pixels from (C, h, w) cells of 2x2 pixels, bilinear: (C, W); row: scratch (w)."""
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
