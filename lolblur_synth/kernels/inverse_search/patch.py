"""What inverse search asks of one patch of 8x8 pixels: its differences from a moved patch, their sums, and its vote;
each as plain loops and as vector IR. A displacement is one number for all of a patch, so that its pixels are eight
shifted rows of eight.

Images are flat float32 arrays; `place`, `base`: index of the first pixel of a patch; pitch: from one row to the next.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types

from lolblur_synth.kernels.llvm import ROW, SIDE, arrays, lanes, load, multiply_add, pointer, rows, spread, twin

PATCH = SIDE  # px a side
ZERO, ONE = ir.Constant(ROW, [0.0] * PATCH), ir.Constant(ROW, [1.0] * PATCH)
F = np.float32


@njit
def _difference(target, at, fx, fy, pitch, value):
    """`target` at `at` + (fx, fy), bilinear, less a value."""
    above = target[at] + fx * (target[at + 1] - target[at])
    below = target[at + pitch] + fx * (target[at + pitch + 1] - target[at + pitch])
    return above + fy * (below - above) - value


@njit
def compare(target, base, fx, fy, image, along_x, along_y, place, pitch):
    """Sums of a patch's differences from the one at base + (fx, fy), their squares, and times either gradient. As
    vectors 40 times as fast."""
    total = squares = by_x = by_y = F(0)
    for y in range(PATCH):
        for x in range(PATCH):
            at = place + y * pitch + x
            error = _difference(target, base + y * pitch + x, fx, fy, pitch, image[at])
            total += error
            squares += error * error
            by_x += error * along_x[at]
            by_y += error * along_y[at]
    return total, squares, by_x, by_y


@twin(compare, types.UniTuple(types.float32, 4))
def compare(context, builder, signature, arguments):
    _, base, fx, fy, _, _, _, place, pitch = arguments
    target, image, along_x, along_y = arrays(context, builder, signature, arguments, (0, 4, 5, 6))
    sums = [ZERO] * 4
    places = rows(builder, place, pitch, PATCH)
    for error, at in zip(_errors(builder, target, base, fx, fy, image, places, pitch), places, strict=True):
        factors = ONE, error, load(builder, along_x, at), load(builder, along_y, at)
        sums = [multiply_add(builder, error, factor, total) for factor, total in zip(factors, sums, strict=True)]
    return [_sum(builder, total) for total in sums]


@njit
def moments(along_x, along_y, place, pitch):
    """Sums of a patch's gradients x and y, and of their products xx, xy and yy. As vectors 11 times as
    fast."""
    sum_x = sum_y = xx = xy = yy = F(0)
    for row in range(PATCH):
        for column in range(PATCH):
            x, y = along_x[place + row * pitch + column], along_y[place + row * pitch + column]
            sum_x += x
            sum_y += y
            xx += x * x
            xy += x * y
            yy += y * y
    return sum_x, sum_y, xx, xy, yy


@twin(moments, types.UniTuple(types.float32, 5))
def moments(context, builder, signature, arguments):
    along_x, along_y = arrays(context, builder, signature, arguments, (0, 1))
    sums = [ZERO] * 5
    for at in rows(builder, *arguments[2:], PATCH):
        x, y = load(builder, along_x, at), load(builder, along_y, at)
        products = (x, ONE), (y, ONE), (x, x), (x, y), (y, y)
        sums = [multiply_add(builder, *pair, total) for pair, total in zip(products, sums, strict=True)]
    return [_sum(builder, total) for total in sums]


@njit
def vote(target, base, fx, fy, image, place, pitch, u, v, sum_u, sum_v, sum_w, out, width):
    """Add w u, w v and w to the pixels under a patch, from index `out` on; w = 1 / max(1, |difference| there). As
    vectors 27 times as fast."""
    for y in range(PATCH):
        for x in range(PATCH):
            value, to = image[place + y * pitch + x], out + y * width + x
            share = F(1) / max(F(1), abs(_difference(target, base + y * pitch + x, fx, fy, pitch, value)))
            sum_u[to] += share * u
            sum_v[to] += share * v
            sum_w[to] += share


@twin(vote)
def vote(context, builder, signature, arguments):
    _, base, fx, fy, _, place, pitch, u, v, _, _, _, out, width = arguments
    target, image, *sums = arrays(context, builder, signature, arguments, (0, 4, 9, 10, 11))
    absolute = builder.module.declare_intrinsic("llvm.fabs.v8f32", (), ir.FunctionType(ROW, [ROW]))
    factors, places = (spread(builder, u), spread(builder, v), ONE), rows(builder, place, pitch, PATCH)
    errors = _errors(builder, target, base, fx, fy, image, places, pitch)
    for error, at in zip(errors, rows(builder, out, width, PATCH), strict=True):
        error = builder.call(absolute, [error])
        share = builder.fdiv(ONE, builder.select(builder.fcmp_ordered(">", error, ONE), error, ONE))
        for data, factor in zip(sums, factors, strict=True):
            total = multiply_add(builder, share, factor, load(builder, data, at))
            builder.store(total, pointer(builder, data, at), align=4)


def _errors(builder, target, base, fx, fy, image, places, pitch):
    """Row by row: the patch at base + (fx, fy), bilinear, less that at `places`."""
    fx, fy, lines = spread(builder, fx), spread(builder, fy), []
    for at in rows(builder, base, pitch, PATCH + 1):
        left, right = load(builder, target, at), load(builder, target, builder.add(at, ir.Constant(at.type, 1)))
        lines.append(multiply_add(builder, fx, builder.fsub(right, left), left))
    for above, below, at in zip(lines, lines[1:], places, strict=False):
        moved = multiply_add(builder, fy, builder.fsub(below, above), above)
        yield builder.fsub(moved, load(builder, image, at))


def _sum(builder, vector):
    for half in (4, 2, 1):
        vector = builder.fadd(lanes(builder, vector, range(half)), lanes(builder, vector, range(half, 2 * half)))
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))
