"""Motion carried along itself: from the motion of a frame pair to the motion at the instants between, on the CPU.

The fast twin of `_at` in stages/interpolate.py. Sums are quadruples (dx, dy, 1, -), times trust, so that a cell is
deposited with one vector addition for each of the four cells it lands on; LLVM finds that shape in no loop that we
could write, so `_deposit` writes it as vector IR. A margin of a cell on each side takes what leaves the frame.
"""

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

CELL = 2  # pixels a cell of the motion grid
BASELINE = 1e-3  # weight of the motion that is not carried: it fills what the splat leaves open
F = np.float32


@njit(cache=True, parallel=True)
def fields(forward, backward, parts):
    """(h, w, 3) motion and trust, both ways -> (n, 2, h, w) motion, pixels an interval, at each of n instants."""
    height, width, _ = forward.shape
    field = np.empty((len(parts), 2, height, width), np.float32)
    for k in prange(len(parts)):
        t = parts[k]
        pitch = (width + 2) * 4
        sums = np.zeros((height + 2) * pitch, np.float32)
        _splat(forward, t, F(1), F(1) - t, sums)
        _splat(backward, F(1) - t, F(-1), t, sums)
        for y in range(height):
            row = sums[(y + 1) * pitch + 4 : (y + 2) * pitch - 4]
            for x in range(width):
                total = F(1) / (row[4 * x + 2] + F(BASELINE))
                for c in range(2):
                    resting = (F(1) - t) * forward[y, x, c] - t * backward[y, x, c]
                    field[k, c, y, x] = (row[4 * x + c] + F(BASELINE) * resting) * total
    return field


@njit(cache=True)
def _splat(flow, t, sign, weight, sums):
    """Carry each cell's motion along the fraction t of itself and add it to the four cells that it lands on."""
    height, width, _ = flow.shape
    pitch = (width + 2) * 4
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
            place = np.int64(top) * pitch + left * 4
            _deposit(sums, place, pitch, sign * dx, sign * dy, upper - upper * fx, upper * fx, lower - lower * fx,
                     lower * fx)


@intrinsic
def _deposit(typing, sums, place, pitch, dx, dy, a, b, c, d):
    """Add (dx, dy, 1, 0) times a, b, c, d to the quadruples at `place`, right of it, below it, and right of that."""
    signature = types.void(sums, place, pitch, dx, dy, a, b, c, d)

    def generate(context, builder, signature, arguments):
        array, place, pitch, dx, dy, *shares = arguments
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, array).data
        quad = ir.VectorType(ir.FloatType(), 4)
        moved = ir.Constant(quad, [0.0, 0.0, 1.0, 0.0])
        for lane, value in enumerate((dx, dy)):
            moved = builder.insert_element(moved, value, ir.Constant(ir.IntType(32), lane))
        below = builder.add(place, pitch)
        for start, step, share in zip((place, place, below, below), (0, 4, 0, 4), shares, strict=True):
            at = builder.add(start, ir.Constant(start.type, step))
            pointer = builder.bitcast(builder.gep(data, [at]), quad.as_pointer())
            spread = builder.insert_element(ir.Constant(quad, ir.Undefined), share, ir.Constant(ir.IntType(32), 0))
            spread = builder.shuffle_vector(spread, ir.Constant(quad, ir.Undefined), ir.Constant(
                ir.VectorType(ir.IntType(32), 4), [0] * 4))
            total = builder.fadd(builder.load(pointer, align=4),
                                 builder.fmul(moved, spread, flags=("contract",)), flags=("contract",))
            builder.store(total, pointer, align=4)
        return context.get_dummy_value()

    return signature, generate


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
