"""Collaborative filtering of volumes: gather the blocks of a trajectory, transform, shrink, transform back.

The first pass of V-BM4D is a hard threshold, the second a Wiener filter with the first one's result as pilot. One task
is a run of reference blocks; it writes only its own part of `blocks` and `weights`: threads do not change the result.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.llvm import SIDE
from lolblur_synth.kernels.vbm4d.gains import attenuate, shrink
from lolblur_synth.kernels.vbm4d.spectra import over_nine, over_nine_back, transform, transform_back
from lolblur_synth.kernels.vbm4d.transforms import BLOCK, LONGEST, MATH, VOLUME, over_time

RUN = 16  # reference blocks of one task


class Volume(NamedTuple):
    """The blocks of one trajectory."""

    y: int  # px, of the reference block
    x: int
    path: np.ndarray  # (2 h + 1, 2) displacements, px, the reference in the middle
    before: int  # blocks before the reference
    length: int  # blocks


@njit(parallel=True, cache=True)
def mix(matrix, planes, out):
    """out (3, H, W) = a 3x3 matrix on the channels of planes; returns it."""
    for y in prange(out.shape[1]):
        for c in range(3):
            first, second, third = matrix[c]
            for x in range(out.shape[2]):
                out[c, y, x] = first * planes[0, y, x] + second * planes[1, y, x] + third * planes[2, y, x]
    return out


@njit(parallel=True, cache=True, fastmath=MATH)
def noise_at(luma, ys, xs, table, noise):
    """noise (rows, columns) = table[level], the level being the mean of an 8x8 block of luma (H, W); table (256,) is
    read between its entries."""
    for row in prange(ys.size):
        for n in range(xs.size):
            level = np.float32(0)
            for y in range(ys[row], ys[row] + 8):
                for x in range(xs[n], xs[n] + 8):
                    level += luma[y, x]
            level = min(max(level / 64, np.float32(0)), np.float32(254.99))
            below = int(level)
            noise[row, n] = table[below] + (table[below + 1] - table[below]) * (level - below)


@njit(fastmath=MATH)
def _forward(pixels, places, width, length, matrix, v, out):
    """out = the transform of the volume of the blocks at places[:length] of flat pixels."""
    for n in range(length):
        transform(pixels, places[n], width, v, n * BLOCK)
    if length == LONGEST:
        for i in range(0, BLOCK, SIDE):
            over_nine(v, out, i)
    else:
        over_time(v, out, matrix, length)


@njit(fastmath=MATH)
def _places(volume, slots, channel, height, width, places):
    """places[n] = offset of the n-th block of a Volume in flat (slots, 3, H, W) planes."""
    first = slots.size // 2 - volume.before
    for n in range(volume.length):
        dy, dx = volume.path[first + n]
        places[n] = ((slots[first + n] * 3 + channel) * height + volume.y + dy) * width + volume.x + dx


@njit(fastmath=MATH)
def _inverse(spectrum, v, volume, transposed, scale, channel, blocks):
    """blocks[reach + k, channel] = scale * filtered block of the frame k away, for |k| <= reach; blocks (2 reach + 1,
    3, 64)."""
    reach, flat = len(blocks) // 2, blocks.reshape(-1)
    if volume.length == LONGEST:
        for i in range(0, BLOCK, SIDE):
            over_nine_back(spectrum, v, i)
    else:
        over_time(spectrum, v, transposed, volume.length)
    for n in range(volume.length):
        k = n - volume.before
        if -reach <= k <= reach:
            transform_back(v, n * BLOCK, scale, flat, ((reach + k) * 3 + channel) * BLOCK)


class Shrinkage(NamedTuple):
    """How volumes are shrunk in one pass, all float32."""

    sigma: np.ndarray  # (3,) deviation of the noise in each channel
    noise: np.ndarray  # (rows, columns) its variance at each reference block, in sigma^2
    strength: np.ndarray  # (3, 2) for each channel, at the mean over time and at other temporal frequencies: the hard
    # threshold in sigma, or the noise power of the Wiener gain in sigma^2
    window: np.ndarray  # (64,) of the aggregation
    matrices: np.ndarray  # `temporal_matrices`


@njit(parallel=True, cache=True, fastmath=MATH)
def filter_volumes(noisy, pilot, first_pass, paths, rows, shrinkage, blocks, weights):
    """Filter the active volumes of the grid rows `rows` = (first, last): in the first pass zero what is below a
    threshold, in the second apply the empirical Wiener gain of `pilot`, the basic estimate.

    noisy, pilot (slots, 3, H, W) opponent planes; paths: Paths of the reference blocks; shrinkage: Shrinkage. blocks
    (rows, columns, 2 reach + 1, 3, 64) receives the filtered blocks times window times weight, weights (rows, columns)
    the weight 1 / (sigma^2 N_har), or 1 / (sigma^2 ||W||^2), one for the three channels of a volume.
    """
    slots, ys, xs, active, path, extent = paths
    sigma, noise, strength, window, matrices = shrinkage
    runs = (xs.size + RUN - 1) // RUN
    height, width = noisy.shape[2], noisy.shape[3]
    pixels, pilots = noisy.reshape(-1), pilot.reshape(-1)
    for task in prange((rows[1] - rows[0]) * runs):
        row = rows[0] + task // runs
        places = np.empty(LONGEST, np.int64)
        v = np.zeros(VOLUME, np.float32)
        spectra = np.zeros((3, VOLUME), np.float32)
        prior = np.zeros(VOLUME, np.float32)
        scale = np.empty(BLOCK, np.float32)
        for n in range((task % runs) * RUN, min((task % runs + 1) * RUN, xs.size)):
            if not active[row, n]:
                continue
            before, after = extent[row, n]
            length = before + after + 1
            volume = Volume(ys[row], xs[n], path[row, n], before, length)
            energy = np.float32(0) if first_pass else np.float32(1e-6)
            for c in range(3):
                _places(volume, slots, c, height, width, places)
                _forward(pixels, places, width, length, matrices[0, length], v, spectra[c])
                variance = sigma[c] * sigma[c] * noise[row, n]
                if first_pass:
                    deviation, values = sigma[c] * np.sqrt(noise[row, n]), length * BLOCK
                    mean, others = strength[c, 0] * deviation, strength[c, 1] * deviation
                    energy += variance * shrink(spectra[c], BLOCK, values, mean, others)
                else:
                    _forward(pilots, places, width, length, matrices[0, length], v, prior)
                    mean, others = strength[c, 0] * variance, strength[c, 1] * variance
                    energy += variance * attenuate(spectra[c], prior, 0, BLOCK, mean)
                    energy += variance * attenuate(spectra[c], prior, BLOCK, length * BLOCK, others)
            weights[row - rows[0], n] = 1 / energy
            for i in range(BLOCK):
                scale[i] = window[i] / energy
            for c in range(3):
                _inverse(spectra[c], v, volume, matrices[1, length], scale, c, blocks[row - rows[0], n])
