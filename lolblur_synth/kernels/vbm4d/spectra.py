"""The orthonormal 2-D DCT of 8x8 blocks, and the DCT over the nine blocks of the longest volumes, as vectors.

The spectrum of a block lies transposed: [8 v + u] for the vertical frequency u and the horizontal one v. So one
transposition is enough on the way there, and one on the way back.
"""

import numpy as np
from llvmlite import ir
from numba import njit

from lolblur_synth.kernels.llvm import SIDE, arrays, constant, load, multiply_add, pointer, rows, twin
from lolblur_synth.kernels.vbm4d.transforms import BLOCK, LONGEST, MATH, dct_matrix

C = [0.5 * np.cos(np.pi * k / 16) for k in range(8)]  # of the DCT of eight values
DCT8 = dct_matrix(SIDE).astype(np.float32)
OVER_TIME = dct_matrix(LONGEST).astype(np.float32)
MIDDLE = LONGEST // 2
UNPACKED = [0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15]  # lanes of a transposition in three steps
PAIRED = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]
IN_ORDER = 0, 2, 1, 3, 4, 6, 5, 7
HALVES = [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15]


@njit(fastmath=MATH)
def transform(pixels, at, width, v, first):
    """v[first : first + 64] = the spectrum of the 8x8 block at `at` of a flat plane `width` wide.

    As vectors 5 times as fast.
    """
    for vertical in range(SIDE):
        for horizontal in range(SIDE):
            total = np.float32(0)
            for y in range(SIDE):
                for x in range(SIDE):
                    total += DCT8[vertical, y] * DCT8[horizontal, x] * pixels[at + width * y + x]
            v[first + SIDE * horizontal + vertical] = total


@twin(transform)
def transform(context, builder, signature, arguments):
    _, at, width, _, first = arguments
    pixels, v = arrays(context, builder, signature, arguments, (0, 3))
    block = [load(builder, pixels, row) for row in rows(builder, at, width)]
    block = _forward8(builder, _transposed(builder, _forward8(builder, block)))
    for values, row in zip(block, rows(builder, first, SIDE), strict=True):
        builder.store(values, pointer(builder, v, row), align=4)


@njit(fastmath=MATH)
def transform_back(v, first, scale, out, place):
    """out[place : place + 64] = the block of the spectrum v[first : first + 64], times scale (64,).

    As vectors 5 times as fast.
    """
    for y in range(SIDE):
        for x in range(SIDE):
            total = np.float32(0)
            for vertical in range(SIDE):
                for horizontal in range(SIDE):
                    value = v[first + SIDE * horizontal + vertical]
                    total += DCT8[vertical, y] * DCT8[horizontal, x] * value
            out[place + SIDE * y + x] = total * scale[SIDE * y + x]


@twin(transform_back)
def transform_back(context, builder, signature, arguments):
    _, first, _, _, place = arguments
    v, scale, out = arrays(context, builder, signature, arguments, (0, 2, 3))
    spectrum = [load(builder, v, row) for row in rows(builder, first, SIDE)]
    block = _inverse8(builder, _transposed(builder, _inverse8(builder, spectrum)))
    for values, y, row in zip(block, range(SIDE), rows(builder, place, SIDE), strict=True):
        factor = load(builder, scale, ir.Constant(place.type, SIDE * y))
        builder.store(builder.fmul(values, factor), pointer(builder, out, row), align=4)


@njit(fastmath=MATH)
def over_nine(v, out, first):
    """The DCT over time of eight values, from `first` on, of each of nine blocks of 64: out is that of v.

    As vectors 8 times as fast: half of the products, since even basis functions are symmetric, and odd ones
    antisymmetric.
    """
    for k in range(LONGEST):
        for i in range(first, first + SIDE):
            total = np.float32(0)
            for n in range(LONGEST):
                total += OVER_TIME[k, n] * v[BLOCK * n + i]
            out[BLOCK * k + i] = total


@twin(over_nine)
def over_nine(context, builder, signature, arguments):
    v, out = arrays(context, builder, signature, arguments, (0, 1))
    places = rows(builder, arguments[2], BLOCK, LONGEST)
    values = [load(builder, v, place) for place in places]
    pairs = [(values[n], values[LONGEST - 1 - n]) for n in range(MIDDLE)]
    sums = [builder.fadd(*pair) for pair in pairs] + [values[MIDDLE]]
    differences = [builder.fsub(*pair) for pair in pairs]
    for k, place in enumerate(places):
        total = _sum(builder, OVER_TIME[k], differences if k % 2 else sums)
        builder.store(total, pointer(builder, out, place), align=4)


@njit(fastmath=MATH)
def over_nine_back(v, out, first):
    """Inverse of `over_nine`.

    As vectors 8 times as fast.
    """
    for n in range(LONGEST):
        for i in range(first, first + SIDE):
            total = np.float32(0)
            for k in range(LONGEST):
                total += OVER_TIME[k, n] * v[BLOCK * k + i]
            out[BLOCK * n + i] = total


@twin(over_nine_back)
def over_nine_back(context, builder, signature, arguments):
    v, out = arrays(context, builder, signature, arguments, (0, 1))
    places = rows(builder, arguments[2], BLOCK, LONGEST)
    values = [load(builder, v, place) for place in places]
    for n in range(MIDDLE + 1):
        even = _sum(builder, OVER_TIME[0::2, n], values[0::2])
        odd = _sum(builder, OVER_TIME[1::2, n], values[1::2])
        builder.store(builder.fadd(even, odd), pointer(builder, out, places[n]), align=4)
        if n < MIDDLE:
            builder.store(builder.fsub(even, odd), pointer(builder, out, places[LONGEST - 1 - n]), align=4)


def _sum(builder, factors, vectors):
    """factors[0] vectors[0] + factors[1] vectors[1] + ..., in this order."""
    total = builder.fmul(constant(factors[0]), vectors[0])
    for factor, vector in zip(factors[1:], vectors[1:], strict=False):
        total = multiply_add(builder, constant(factor), vector, total)
    return total


def _butterfly(builder, a, b):
    return builder.fadd(a, b), builder.fsub(a, b)


def _forward8(builder, a):
    """The DCT over eight vectors."""
    s, d = zip(*(_butterfly(builder, a[i], a[7 - i]) for i in range(4)), strict=True)
    (e0, o0), (e1, o1) = _butterfly(builder, s[0], s[3]), _butterfly(builder, s[1], s[2])
    high, low = _butterfly(builder, e0, e1)
    return [
        _sum(builder, (C[4],), (high,)),
        _sum(builder, (C[1], C[3], C[5], C[7]), d),
        _sum(builder, (C[2], C[6]), (o0, o1)),
        _sum(builder, (C[3], -C[7], -C[1], -C[5]), d),
        _sum(builder, (C[4],), (low,)),
        _sum(builder, (C[5], -C[1], C[7], C[3]), d),
        _sum(builder, (C[6], -C[2]), (o0, o1)),
        _sum(builder, (C[7], -C[5], C[3], -C[1]), d),
    ]


def _inverse8(builder, a):
    """Inverse of `_forward8`."""
    e0, e1 = (_sum(builder, (C[4],), (value,)) for value in _butterfly(builder, a[0], a[4]))
    p, q = _sum(builder, (C[2], C[6]), (a[2], a[6])), _sum(builder, (C[6], -C[2]), (a[2], a[6]))
    (b0, b3), (b1, b2) = _butterfly(builder, e0, p), _butterfly(builder, e1, q)
    odd = [
        _sum(builder, factors, a[1::2])
        for factors in (
            (C[1], C[3], C[5], C[7]),
            (C[3], -C[7], -C[1], -C[5]),
            (C[5], -C[1], C[7], C[3]),
            (C[7], -C[5], C[3], -C[1]),
        )
    ]
    pairs = [_butterfly(builder, even, o) for even, o in zip((b0, b1, b2, b3), odd, strict=True)]
    return [high for high, _ in pairs] + [low for _, low in reversed(pairs)]


def _transposed(builder, block):
    """An 8x8 block, a vector a row."""
    for apart, lanes in ((1, UNPACKED), (2, PAIRED), (4, HALVES)):
        low, high = (ir.Constant(ir.VectorType(ir.IntType(32), SIDE), order) for order in lanes)
        mixed = list(block)
        for i in range(SIDE):
            if not i & apart:
                pair = block[i], block[i + apart]
                mixed[i] = builder.shuffle_vector(*pair, low)
                mixed[i + apart] = builder.shuffle_vector(*pair, high)
        block = mixed
    return [block[i] for i in IN_ORDER]
