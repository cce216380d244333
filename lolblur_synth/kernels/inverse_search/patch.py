"""What inverse search asks of one patch of 8x8 pixels, as vector IR: its differences from a moved patch, their sums,
and its vote. For the reason told in kernels/exposure/bspline.py; a displacement is one number for all of a patch,
so that its pixels are eight shifted rows of eight.

Images are flat float32 arrays; `place`, `base`: index of the first pixel of a patch; pitch: from one row to the next.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lolblur_synth.kernels.llvm import ROW, SIDE, arrays, lanes, load, multiply_add, pointer, rows, spread

PATCH = SIDE  # px a side
ZERO, ONE = ir.Constant(ROW, [0.0] * PATCH), ir.Constant(ROW, [1.0] * PATCH)


@intrinsic
def compare(typing, target, base, fx, fy, image, along_x, along_y, place, pitch):
    """Sums of a patch's differences from the one at base + (fx, fy), their squares, and times either gradient."""
    signature = types.UniTuple(types.float32, 4)(target, base, fx, fy, image, along_x, along_y, place, pitch)

    def generate(context, builder, signature, arguments):
        _, base, fx, fy, _, _, _, place, pitch = arguments
        target, image, along_x, along_y = arrays(context, builder, signature, arguments, (0, 4, 5, 6))
        sums = [ZERO] * 4
        places = rows(builder, place, pitch, PATCH)
        for error, at in zip(_errors(builder, target, base, fx, fy, image, places, pitch), places, strict=True):
            factors = ONE, error, load(builder, along_x, at), load(builder, along_y, at)
            sums = [multiply_add(builder, error, factor, total) for factor, total in zip(factors, sums, strict=True)]
        return context.make_tuple(builder, signature.return_type, [_sum(builder, total) for total in sums])

    return signature, generate


@intrinsic
def moments(typing, along_x, along_y, place, pitch):
    """Sums of a patch's gradients x and y, and of their products xx, xy and yy."""
    signature = types.UniTuple(types.float32, 5)(along_x, along_y, place, pitch)

    def generate(context, builder, signature, arguments):
        along_x, along_y = arrays(context, builder, signature, arguments, (0, 1))
        sums = [ZERO] * 5
        for at in rows(builder, *arguments[2:], PATCH):
            x, y = load(builder, along_x, at), load(builder, along_y, at)
            products = (x, ONE), (y, ONE), (x, x), (x, y), (y, y)
            sums = [multiply_add(builder, *pair, total) for pair, total in zip(products, sums, strict=True)]
        return context.make_tuple(builder, signature.return_type, [_sum(builder, total) for total in sums])

    return signature, generate


@intrinsic
def vote(typing, target, base, fx, fy, image, place, pitch, u, v, sum_u, sum_v, sum_w, out, width):
    """Add w u, w v and w to the pixels under a patch, from index `out` on; w = 1 / max(1, |difference| there)."""
    signature = types.void(target, base, fx, fy, image, place, pitch, u, v, sum_u, sum_v, sum_w, out, width)

    def generate(context, builder, signature, arguments):
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
        return context.get_dummy_value()

    return signature, generate


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
