"""Copy and add 8x8 blocks of flat float32 planes, row by row as vectors: Numba looks at each index for being negative,
which keeps LLVM from seeing eight neighbours as one.
"""

from numba import types
from numba.extending import intrinsic

from lolblur_synth.kernels.llvm import SIDE, arrays, load, multiply_add, pointer, rows, spread


@intrinsic
def copy_block(typing, pixels, at, width, block, first):
    """block[first : first + 64] = the 8x8 pixels at `at` of a plane `width` wide."""
    signature = types.void(pixels, at, width, block, first)

    def generate(context, builder, signature, arguments):
        _, at, width, _, first = arguments
        pixels, block = arrays(context, builder, signature, arguments, (0, 3))
        for source, target in zip(rows(builder, at, width), rows(builder, first, SIDE), strict=True):
            builder.store(load(builder, pixels, source), pointer(builder, block, target), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_block(typing, pixels, at, width, block, first, scale):
    """Add scale * block[first : first + 64] to the 8x8 pixels at `at` of a plane `width` wide."""
    signature = types.void(pixels, at, width, block, first, scale)

    def generate(context, builder, signature, arguments):
        _, at, width, _, first, scale = arguments
        pixels, block = arrays(context, builder, signature, arguments, (0, 3))
        scale = spread(builder, scale)
        for source, target in zip(rows(builder, first, SIDE), rows(builder, at, width), strict=True):
            total = multiply_add(builder, load(builder, block, source), scale, load(builder, pixels, target))
            builder.store(total, pointer(builder, pixels, target), align=4)
        return context.get_dummy_value()

    return signature, generate
