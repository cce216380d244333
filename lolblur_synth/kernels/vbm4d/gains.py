"""The gains of V-BM4D's two passes on the spectrum of a volume: a hard threshold, and the empirical Wiener filter.

Both sum as they go, eight sums side by side, added at the end in one fixed order: were the order left to the compiler,
the last bit of a sum would depend on where the arrays lie in memory.
"""

from contextlib import contextmanager

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from lolblur_synth.kernels.llvm import SIDE, arrays, constant, load, multiply_add, pointer, spread, sum_of_lanes, twin
from lolblur_synth.kernels.vbm4d.reference import RAMP
from lolblur_synth.kernels.vbm4d.transforms import MATH


@njit
def zero_below(spectrum, begin, end, threshold):
    """Zero what is below the threshold in spectrum[begin:end], a multiple of eight values; return the number kept.

    Within RAMP below the threshold the gain rises from 0 to 1: were it a step, a value that rounds to either side on
    the CPU and on a device would change pixels by whole code values.

    As vectors.
    """
    first, slope = threshold * np.float32(1 - RAMP), np.float32(1) / (threshold * np.float32(RAMP))
    kept = np.float32(0)
    for i in range(begin, end):
        gain = min(max((abs(spectrum[i]) - first) * slope, np.float32(0)), np.float32(1))
        spectrum[i] *= gain
        kept += gain
    return kept


@twin(zero_below, types.float32)
def zero_below(context, builder, signature, arguments):
    spectrum, (begin, end, threshold) = arrays(context, builder, signature, arguments, (0,))[0], arguments[1:]
    scalar = threshold.type
    first = spread(builder, builder.fmul(threshold, ir.Constant(scalar, float(np.float32(1 - RAMP)))))
    ramp = builder.fmul(threshold, ir.Constant(scalar, float(np.float32(RAMP))))
    slope = spread(builder, builder.fdiv(ir.Constant(scalar, 1.0), ramp))
    with _sum_over(builder, begin, end) as (i, kept):
        values = load(builder, spectrum, i)
        size = _larger(builder, values, builder.fneg(values))
        gain = builder.fmul(builder.fsub(size, first), slope)
        gain = _smaller(builder, _larger(builder, gain, constant(0)), constant(1))
        builder.store(builder.fmul(values, gain), pointer(builder, spectrum, i), align=4)
        builder.store(builder.fadd(builder.load(kept), gain), kept)
    return sum_of_lanes(builder, builder.load(kept))


@njit
def attenuate(spectrum, pilot, begin, end, variance):
    """Multiply spectrum[begin:end], a multiple of eight values, by the empirical Wiener gain W = p^2 / (p^2 +
    variance) of the pilot's; return ||W||^2.

    As vectors.
    """
    norm = np.float32(0)
    for i in range(begin, end):
        power = pilot[i] * pilot[i]
        gain = power / (power + variance)
        spectrum[i] *= gain
        norm += gain * gain
    return norm


@twin(attenuate, types.float32)
def attenuate(context, builder, signature, arguments):
    spectrum, pilot = arrays(context, builder, signature, arguments, (0, 1))
    variance = spread(builder, arguments[4])
    with _sum_over(builder, arguments[2], arguments[3]) as (i, norm):
        prior = load(builder, pilot, i)
        power = builder.fmul(prior, prior)
        gain = builder.fdiv(power, builder.fadd(power, variance))
        filtered = builder.fmul(load(builder, spectrum, i), gain)
        builder.store(filtered, pointer(builder, spectrum, i), align=4)
        builder.store(multiply_add(builder, gain, gain, builder.load(norm)), norm)
    return sum_of_lanes(builder, builder.load(norm))


@njit(fastmath=MATH)
def shrink(spectrum, first, values, threshold, later):
    """Zero what is below `threshold` in the first values, below `later` in the rest of `values`, except the mean.

    Returns the number of values kept, at least one.
    """
    mean = spectrum[0]
    kept = zero_below(spectrum, 0, first, threshold) + zero_below(spectrum, first, values, later)
    spectrum[0] = mean
    return max(kept, np.float32(1))


@contextmanager
def _sum_over(builder, begin, end):
    """A loop over rows from begin to end: yields the index of a row, and the place of eight sums, zero at first."""
    sums = cgutils.alloca_once_value(builder, constant(0))
    step = ir.Constant(begin.type, SIDE)
    with cgutils.for_range_slice(builder, begin, end, step, begin.type) as (i, _):
        yield i, sums


def _larger(builder, a, b):
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _smaller(builder, a, b):
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)
