"""Eight neighbouring 8x8 blocks of a reference frame, compared with the same place of another frame at once.

Blocks that stand 4 pixels apart share their columns: five sums of eight rows, from left to right, serve all eight.
"""

import numpy as np
from llvmlite import ir
from numba import njit

from lolblur_synth.kernels.llvm import SIDE, arrays, load, multiply_add, pointer, spread, twin

NEIGHBOURS = 8  # blocks that are compared at once
APART = 4  # px, from one to the next
COLUMNS = APART * (NEIGHBOURS - 1) + 8  # px, of all of them


@njit
def improve(reference, pitch, frame, at, width, fee, number, n, cost, distance, best):
    """Where a candidate costs less than the best one so far, it takes its place.

    reference: flat rows of `pitch` pixels, from the first block on; frame: flat rows of `width` pixels, the candidate's
    blocks from `at` on, all COLUMNS of them inside. Of the blocks n..n + 7 cost and distance receive the squared
    distance, with and without the fee, and best the candidate's number. All float32.

    As vectors 4 times as fast.
    """
    for b in range(NEIGHBOURS):
        total = np.float32(0)
        for y in range(8):
            for x in range(APART * b, APART * b + 8):
                difference = reference[pitch * y + x] - frame[at + width * y + x]
                total += difference * difference
        if total + fee < cost[n + b]:
            cost[n + b], distance[n + b], best[n + b] = total + fee, total, number


@twin(improve)
def improve(context, builder, signature, arguments):
    _, pitch, _, at, width, fee, number, n, *_ = arguments
    reference, frame, cost, distance, best = arrays(context, builder, signature, arguments, (0, 2, 8, 9, 10))
    columns = [_columns(builder, reference, pitch, frame, at, width, first) for first in range(0, COLUMNS, SIDE)]

    # Sums of four columns, in order; a block has two of them, its own and the next one's.
    pairs = [_halved(builder, *columns[i : i + 2]) for i in (0, 2)]
    fours = _halved(builder, *pairs)
    last = _halved(builder, *[_halved(builder, columns[4], columns[4])] * 2)
    following = builder.shuffle_vector(fours, last, _order(range(1, SIDE + 1)))
    total = builder.fadd(fours, following)

    price = builder.fadd(total, spread(builder, fee))
    better = builder.fcmp_ordered("<", price, load(builder, cost, n))
    for target, value in ((cost, price), (distance, total), (best, spread(builder, number))):
        chosen = builder.select(better, value, load(builder, target, n))
        builder.store(chosen, pointer(builder, target, n), align=4)


def _columns(builder, reference, pitch, frame, at, width, first):
    """Squared differences of eight columns from `first` on, summed over eight rows. Of the last of the COLUMNS only
    four are there; the others are zero."""
    count, total = min(SIDE, COLUMNS - first), None
    kind = ir.VectorType(ir.FloatType(), count)
    for y in range(8):
        row = ir.Constant(at.type, y)
        ours = builder.add(builder.mul(pitch, row), ir.Constant(at.type, first))
        theirs = builder.add(builder.add(at, builder.mul(width, row)), ir.Constant(at.type, first))
        a, b = (
            builder.load(builder.bitcast(builder.gep(data, [index]), kind.as_pointer()), align=4)
            for data, index in ((reference, ours), (frame, theirs))
        )
        difference = builder.fsub(a, b)
        square = builder.fmul(difference, difference)
        total = square if total is None else multiply_add(builder, difference, difference, total)
    if count == SIDE:
        return total
    return builder.shuffle_vector(total, ir.Constant(kind, [0.0] * count), _order(range(SIDE)))


def _halved(builder, low, high):
    """Sums of neighbouring lanes of two vectors of eight, in order."""
    even = builder.shuffle_vector(low, high, _order(range(0, 2 * SIDE, 2)))
    odd = builder.shuffle_vector(low, high, _order(range(1, 2 * SIDE, 2)))
    return builder.fadd(even, odd)


def _order(numbers):
    return ir.Constant(ir.VectorType(ir.IntType(32), SIDE), list(numbers))
