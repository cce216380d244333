"""The separable transform of a volume (V-BM4D, section II): an orthonormal 2-D DCT of each 8x8 block, a DCT over time.

A volume is a flat float32 array of L blocks of 64 values, rows of 8 within a block. Offsets are compile-time constants
on one flat array, and columns and rows are loops of their own: that is what lets the compiler vectorise them.
"""

import numpy as np
from numba import njit

BLOCK = 64  # values of an 8x8 block
LONGEST = 9  # blocks of the longest volume, 2 h + 1 with h = 4
VOLUME = LONGEST * BLOCK
MATH = {"contract", "nsz"}  # fused multiply-add; nothing that makes the order of a sum free

C0 = np.float32(np.sqrt(1 / 8))
C1, C2, C3, C5, C6, C7 = (np.float32(0.5 * np.cos(np.pi * k / 16)) for k in (1, 2, 3, 5, 6, 7))


def dct_matrix(n: int) -> np.ndarray:
    """(n, n) float64 orthonormal DCT-II; rows are basis functions."""
    k = np.arange(n)
    rows = np.sqrt(2 / n) * np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / (2 * n))
    rows[0] = np.sqrt(1 / n)
    return rows


def temporal_matrices() -> np.ndarray:
    """(2, LONGEST + 1, LONGEST^2) float32: [0, L] is the DCT of L blocks, padded with zeros; [1, L] its transpose."""
    matrices = np.zeros((LONGEST + 1, LONGEST, LONGEST), np.float32)
    for length in range(1, LONGEST + 1):
        matrices[length, :length, :length] = dct_matrix(length)
    both = np.stack([matrices, matrices.transpose(0, 2, 1)])
    return both.reshape(2, LONGEST + 1, LONGEST * LONGEST)


@njit(inline="always", fastmath=MATH)
def _forward8(a0, a1, a2, a3, a4, a5, a6, a7):
    s0, s1, s2, s3 = a0 + a7, a1 + a6, a2 + a5, a3 + a4
    d0, d1, d2, d3 = a0 - a7, a1 - a6, a2 - a5, a3 - a4
    e0, e1, o0, o1 = s0 + s3, s1 + s2, s0 - s3, s1 - s2
    return (
        C0 * (e0 + e1),
        C1 * d0 + C3 * d1 + C5 * d2 + C7 * d3,
        C2 * o0 + C6 * o1,
        C3 * d0 - C7 * d1 - C1 * d2 - C5 * d3,
        C0 * (e0 - e1),
        C5 * d0 - C1 * d1 + C7 * d2 + C3 * d3,
        C6 * o0 - C2 * o1,
        C7 * d0 - C5 * d1 + C3 * d2 - C1 * d3,
    )


@njit(inline="always", fastmath=MATH)
def _inverse8(a0, a1, a2, a3, a4, a5, a6, a7):
    e0, e1 = C0 * (a0 + a4), C0 * (a0 - a4)
    p, q = C2 * a2 + C6 * a6, C6 * a2 - C2 * a6
    o0, o1 = C1 * a1 + C3 * a3 + C5 * a5 + C7 * a7, C3 * a1 - C7 * a3 - C1 * a5 - C5 * a7
    o2, o3 = C5 * a1 - C1 * a3 + C7 * a5 + C3 * a7, C7 * a1 - C5 * a3 + C3 * a5 - C1 * a7
    b0, b1, b2, b3 = e0 + p, e1 + q, e1 - q, e0 - p
    return b0 + o0, b1 + o1, b2 + o2, b3 + o3, b3 - o3, b2 - o2, b1 - o1, b0 - o0


@njit(fastmath=MATH)
def _forward_columns(v, blocks):
    for k in range(blocks):
        o = k * 64
        for i in range(o, o + 8):
            q = _forward8(v[i], v[i + 8], v[i + 16], v[i + 24], v[i + 32], v[i + 40], v[i + 48], v[i + 56])
            v[i], v[i + 8], v[i + 16], v[i + 24] = q[0], q[1], q[2], q[3]
            v[i + 32], v[i + 40], v[i + 48], v[i + 56] = q[4], q[5], q[6], q[7]


@njit(fastmath=MATH)
def _forward_rows(v, blocks):
    for k in range(blocks):
        o = k * 64
        for r in range(8):
            i = o + r * 8
            q = _forward8(v[i], v[i + 1], v[i + 2], v[i + 3], v[i + 4], v[i + 5], v[i + 6], v[i + 7])
            v[i], v[i + 1], v[i + 2], v[i + 3] = q[0], q[1], q[2], q[3]
            v[i + 4], v[i + 5], v[i + 6], v[i + 7] = q[4], q[5], q[6], q[7]


@njit(fastmath=MATH)
def _inverse_columns(v, blocks):
    for k in range(blocks):
        o = k * 64
        for i in range(o, o + 8):
            q = _inverse8(v[i], v[i + 8], v[i + 16], v[i + 24], v[i + 32], v[i + 40], v[i + 48], v[i + 56])
            v[i], v[i + 8], v[i + 16], v[i + 24] = q[0], q[1], q[2], q[3]
            v[i + 32], v[i + 40], v[i + 48], v[i + 56] = q[4], q[5], q[6], q[7]


@njit(fastmath=MATH)
def _inverse_rows(v, blocks):
    for k in range(blocks):
        o = k * 64
        for r in range(8):
            i = o + r * 8
            q = _inverse8(v[i], v[i + 1], v[i + 2], v[i + 3], v[i + 4], v[i + 5], v[i + 6], v[i + 7])
            v[i], v[i + 1], v[i + 2], v[i + 3] = q[0], q[1], q[2], q[3]
            v[i + 4], v[i + 5], v[i + 6], v[i + 7] = q[4], q[5], q[6], q[7]


@njit(fastmath=MATH)
def dct_blocks(v, blocks):
    """In place: the 2-D DCT of the first `blocks` blocks of v."""
    _forward_columns(v, blocks)
    _forward_rows(v, blocks)


@njit(fastmath=MATH)
def idct_blocks(v, blocks):
    """In place: inverse of `dct_blocks`."""
    _inverse_rows(v, blocks)
    _inverse_columns(v, blocks)


@njit(fastmath=MATH)
def over_time(v, out, d, length):
    """out[k] = sum over l of d[k, l] v[l] for k < length; d is zero beyond, and so must v be finite there."""
    for k in range(length):
        r = k * 9
        d0, d1, d2, d3, d4 = d[r], d[r + 1], d[r + 2], d[r + 3], d[r + 4]
        d5, d6, d7, d8 = d[r + 5], d[r + 6], d[r + 7], d[r + 8]
        o = k * 64
        for i in range(64):
            out[o + i] = (
                d0 * v[i]
                + d1 * v[i + 64]
                + d2 * v[i + 128]
                + d3 * v[i + 192]
                + d4 * v[i + 256]
                + d5 * v[i + 320]
                + d6 * v[i + 384]
                + d7 * v[i + 448]
                + d8 * v[i + 512]
            )
