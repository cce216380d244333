"""The separable transform of a volume (V-BM4D, section II): matrices, and the transforms over time and over a group.

A volume is a flat float32 array of L blocks of 64 values. The compiler vectorises the loops because offsets are
constants on one flat array. The 2-D DCT of profile `fast` is in spectra.py.
"""

import numpy as np
from numba import njit

BLOCK = 64  # values of an 8x8 block
LONGEST = 9  # blocks of the longest volume, 2 h + 1 with h = 4
VOLUME = LONGEST * BLOCK
MATH = {"contract", "nsz"}  # fused multiply-add; nothing that lets the compiler reorder a sum


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


def wavelet_matrix(n: int) -> np.ndarray:
    """(n, n) float64 biorthogonal 1.5 wavelet (Cohen, Daubechies, Feauveau), n a power of two, decomposed to the end.

    Rows are analysis functions, the mean first, each of norm 1, so that white noise keeps its variance; periodic at the
    ends. Not orthonormal: its inverse is not its transpose.
    """
    low = np.array([3, -3, -22, 22, 128, 128, 22, -22, -3, 3]) / 256
    level, details = np.eye(n), []
    while len(level) > 1:
        size = len(level)
        rows = (np.arange(-4, 6) + np.arange(0, size, 2)[:, None]) % size  # the filter of ten, two samples at a time
        details.append(level[1::2] - level[0::2])
        level = np.einsum("k,rkn->rn", low, level[rows])
    rows = np.concatenate([level, *reversed(details)])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def spatial_matrices(kind: str, n: int) -> np.ndarray:
    """(4, 64) float32: a transform of n <= 8 values, padded with zeros to 8, its transpose, its inverse, and the
    transpose of the inverse."""
    matrix = dct_matrix(n) if kind == "dct" else wavelet_matrix(n)
    padded = np.zeros((4, 8, 8), np.float32)
    inverse = np.linalg.inv(matrix)
    padded[:, :n, :n] = matrix, matrix.T, inverse, inverse.T
    return padded.reshape(4, 64)


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


@njit(fastmath=MATH)
def over_space(v, blocks, d, transposed):
    """In place: d B d^T of the first `blocks` 8x8 blocks B of v, for any flat 8x8 matrix d."""
    t = np.empty(64, np.float32)
    for k in range(blocks):
        b = v[k * 64 : k * 64 + 64]
        for r in range(0, 64, 8):
            d0, d1, d2, d3 = d[r], d[r + 1], d[r + 2], d[r + 3]
            d4, d5, d6, d7 = d[r + 4], d[r + 5], d[r + 6], d[r + 7]
            for i in range(8):
                t[r + i] = (d0 * b[i] + d1 * b[i + 8] + d2 * b[i + 16] + d3 * b[i + 24]) + (
                    d4 * b[i + 32] + d5 * b[i + 40] + d6 * b[i + 48] + d7 * b[i + 56]
                )
        for r in range(0, 64, 8):
            d0, d1, d2, d3 = t[r], t[r + 1], t[r + 2], t[r + 3]
            d4, d5, d6, d7 = t[r + 4], t[r + 5], t[r + 6], t[r + 7]
            e = transposed
            for i in range(8):
                b[r + i] = (d0 * e[i] + d1 * e[i + 8] + d2 * e[i + 16] + d3 * e[i + 24]) + (
                    d4 * e[i + 32] + d5 * e[i + 40] + d6 * e[i + 48] + d7 * e[i + 56]
                )


@njit(fastmath=MATH)
def _butterflies(v, count, size, step):
    half = np.float32(np.sqrt(0.5))
    for m in range(0, count, 2 * step):
        a, b = v[m * size : (m + 1) * size], v[(m + step) * size : (m + step + 1) * size]
        for i in range(size):
            x, y = a[i], b[i]
            a[i], b[i] = (x + y) * half, (x - y) * half


@njit(fastmath=MATH)
def haar(v, count, size):
    """In place: the orthonormal Haar transform over `count` volumes of `size` values each, count a power of two."""
    step = 1
    while step < count:
        _butterflies(v, count, size, step)
        step *= 2


@njit(fastmath=MATH)
def haar_back(v, count, size):
    """In place: inverse of `haar`."""
    step = count // 2
    while step > 0:
        _butterflies(v, count, size, step)
        step //= 2
