"""Eight neighbouring 8x8 blocks of a reference frame, compared with the same place of another frame at once.

Blocks that stand 4 pixels apart share their columns: five sums of eight rows, from left to right, serve all eight.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit

from lolblur_synth.kernels.llvm import SIDE, load, multiply_add, pointer, spread, twin, unpacked

NEIGHBOURS = 8  # blocks that are compared at once
APART = 4  # px, from one to the next
COLUMNS = APART * (NEIGHBOURS - 1) + 8  # px, of all of them


class Candidate(NamedTuple):
    """A place of another frame, where the blocks may be. number tells it from the other candidates."""

    pixels: np.ndarray  # flat float32 rows of the frame
    width: int  # px, of a row
    at: int  # index of the first block's first pixel; all COLUMNS are inside the frame
    fee: float  # float32, added to the squared distance
    number: float  # float32


class Matches(NamedTuple):
    """The best candidate so far of each of n blocks, n a multiple of NEIGHBOURS; float32."""

    cost: np.ndarray  # (n,) squared distance and fee; infinite: there is no match; minus infinity: none is sought
    distance: np.ndarray  # (n,) squared distance
    best: np.ndarray  # (n,) number of the candidate; -1: no better one was found


@njit
def improve(reference, pitch, candidate, n, matches):
    """For each of the blocks n..n + 7: where a candidate costs less than the best one so far, it takes its place.

    reference: flat float32 rows of `pitch` pixels, from the first of the blocks on.

    As vectors 4 times as fast.
    """
    for b in range(NEIGHBOURS):
        total = np.float32(0)
        for y in range(8):
            for x in range(APART * b, APART * b + 8):
                there = candidate.pixels[candidate.at + candidate.width * y + x]
                difference = reference[pitch * y + x] - there
                total += difference * difference
        if total + candidate.fee < matches.cost[n + b]:
            matches.cost[n + b], matches.distance[n + b] = total + candidate.fee, total
            matches.best[n + b] = candidate.number


@twin(improve)
def improve(context, builder, signature, arguments):
    reference, pitch, candidate, n, matches = unpacked(context, builder, signature, arguments)
    columns = [_columns(builder, reference, pitch, candidate, first) for first in range(0, COLUMNS, SIDE)]

    # Sums of four columns, in order; a block has two of them, its own and the next one's.
    pairs = [_halved(builder, *columns[i : i + 2]) for i in (0, 2)]
    fours = _halved(builder, *pairs)
    last = _halved(builder, *[_halved(builder, columns[4], columns[4])] * 2)
    following = builder.shuffle_vector(fours, last, _order(range(1, SIDE + 1)))
    total = builder.fadd(fours, following)

    price, number = builder.fadd(total, spread(builder, candidate.fee)), spread(builder, candidate.number)
    better = builder.fcmp_ordered("<", price, load(builder, matches.cost, n))
    for target, value in zip(matches, (price, total, number), strict=True):
        chosen = builder.select(better, value, load(builder, target, n))
        builder.store(chosen, pointer(builder, target, n), align=4)


def _columns(builder, reference, pitch, candidate, first):
    """Squared differences of eight columns from `first` on, summed over eight rows. Of the last of the COLUMNS only
    four are there; the others are zero."""
    count, total = min(SIDE, COLUMNS - first), None
    kind, n_type = ir.VectorType(ir.FloatType(), count), candidate.at.type
    for y in range(8):
        row, column = ir.Constant(n_type, y), ir.Constant(n_type, first)
        ours = builder.add(builder.mul(pitch, row), column)
        theirs = builder.add(builder.add(candidate.at, builder.mul(candidate.width, row)), column)
        a, b = (
            builder.load(builder.bitcast(builder.gep(data, [index]), kind.as_pointer()), align=4)
            for data, index in ((reference, ours), (candidate.pixels, theirs))
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
