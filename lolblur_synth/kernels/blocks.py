"""Copy and add 8x8 blocks of flat float32 planes, row by row as vectors of eight.

Numba checks each index of an array for being negative, which keeps LLVM from seeing eight neighbours as a vector; so
these two write vector IR, which LLVM maps to whatever vectors the machine has.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

SIDE = 8
ROW = ir.VectorType(ir.FloatType(), SIDE)


@intrinsic
def copy_block(typing, pixels, at, width, block, first):
    """block[first : first + 64] = the 8x8 pixels at `at` of a plane `width` wide."""
    signature = types.void(pixels, at, width, block, first)

    def generate(context, builder, signature, arguments):
        pixels, at, width, block, first = arguments
        source, target = (_data(context, builder, signature, k, arguments) for k in (0, 3))
        for row in range(SIDE):
            value = builder.load(_row(builder, source, at, width, row), align=4)
            builder.store(value, _row(builder, target, first, ir.Constant(first.type, SIDE), row), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_block(typing, pixels, at, width, block, first, scale):
    """Add scale * block[first : first + 64] to the 8x8 pixels at `at` of a plane `width` wide."""
    signature = types.void(pixels, at, width, block, first, scale)

    def generate(context, builder, signature, arguments):
        pixels, at, width, block, first, scale = arguments
        target, source = (_data(context, builder, signature, k, arguments) for k in (0, 3))
        none, lane = ir.Constant(ROW, ir.Undefined), ir.IntType(32)
        scale = builder.shuffle_vector(builder.insert_element(none, scale, lane(0)), none,
                                       ir.Constant(ir.VectorType(lane, SIDE), [0] * SIDE))  # fmt: skip
        for row in range(SIDE):
            place = _row(builder, target, at, width, row)
            value = builder.load(_row(builder, source, first, ir.Constant(first.type, SIDE), row), align=4)
            value = builder.fmul(value, scale, flags=("contract",))
            builder.store(builder.fadd(builder.load(place, align=4), value, flags=("contract",)), place, align=4)
        return context.get_dummy_value()

    return signature, generate


def _data(context, builder, signature, k, arguments):
    return cgutils.create_struct_proxy(signature.args[k])(context, builder, arguments[k]).data


def _row(builder, data, first, pitch, row):
    """Pointer to eight values."""
    index = builder.add(first, builder.mul(pitch, ir.Constant(pitch.type, row)))
    return builder.bitcast(builder.gep(data, [index]), ROW.as_pointer())
