"""Powers of float32 that vectorise: 2^y from the integer and the fractional part of y, log2 x from the exponent and the
mantissa of x, each by a polynomial. The relative error of x^2.2 is below 2e-6.
"""

import numpy as np
from numba import njit

from lolblur_synth import frames as fr

F = np.float32
MIN_EXPONENT = F(-126)  # of a normal number; what is smaller is as good as no light
BITS_OF_ROOT_HALF = 0x3F3504F3  # of sqrt(1/2): mantissas are taken from there to sqrt(2)
# Chebyshev fits: log2(1 + z) / z for a mantissa 1 + z, and 2^f for f in -1/2..1/2
LOG2 = tuple(F(c) for c in (1.4426966, -0.7213602, 0.4806131, -0.35952446, 0.29611957, -0.26796386, 0.16818659))
EXP2 = tuple(F(c) for c in (1.0, 0.6931472, 0.24022107, 0.05550357, 0.009676032, 0.0013390863))


@njit(cache=True)
def power(x):
    """x^2.2 for x >= 0, float32."""
    return exp2(log2(x) * F(fr.GAMMA))


@njit(cache=True)
def log2(x):
    """log2 of a normal number x > 0; some number below -126 for smaller ones and for 0."""
    bits = F(x).view(np.int32)
    exponent = np.int32((bits - np.int32(BITS_OF_ROOT_HALF)) >> 23)
    z = np.int32(bits - (exponent << 23)).view(np.float32) - F(1)
    log = LOG2[6]
    for k in range(5, -1, -1):
        log = log * z + LOG2[k]
    return F(exponent) + log * z


@njit(cache=True)
def exp2(y):
    """2^y for y < 127, but at least the smallest normal number."""
    y = max(y, MIN_EXPONENT)
    whole = np.int32(y + F(127.5))  # rounds to nearest, because the sum is above 0
    f = y - F(whole - 127)
    value = EXP2[5]
    for k in range(4, -1, -1):
        value = value * f + EXP2[k]
    return value * np.int32(whole << 23).view(np.float32)
