"""Grouping of similar volumes and their 4-D transform (V-BM4D, sections III.C to III.E): a spatial transform of each
block, a DCT over time, a Haar transform over the group.

Blocks are n x n with n at most 8 and lie in 8x8 of memory, zero beyond: a zero stays one under every transform, passes
no threshold and has a Wiener gain of zero. A task is one group and writes only what is its own.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.vbm4d.gains import attenuate, shrink
from lolblur_synth.kernels.vbm4d.paper_trajectories import square_distance
from lolblur_synth.kernels.vbm4d.transforms import BLOCK, MATH, VOLUME, haar, haar_back, over_space, over_time

PACKED = 256  # steps of a code value in a packed plane: too fine for a Wiener gain to change


class Batch(NamedTuple):
    """Groups that are filtered together. Rows of path and extent are a ring: row y lies at y modulo their number."""

    block: int  # px a side, n
    refs: np.ndarray  # (groups, 2) int32, (y, x) of the reference of each group, px
    members: np.ndarray  # (groups, M, 2) int32, (y, x) of its volumes, px, the reference first
    counts: np.ndarray  # (groups,) of them, a power of two
    path: np.ndarray  # (rows, W - n + 1, 2 h + 1, 2) int16: displacements (dy, dx) of the block of each pixel, px
    extent: np.ndarray  # (rows, W - n + 1, 2) int16: frames before and after through which it was followed


class Ring(NamedTuple):
    """One channel of the frames round the reference."""

    planes: np.ndarray  # (slots, channels, H, W)
    channel: int
    slots: np.ndarray  # (2 h + 1,) where each frame lies, the reference in the middle; -1: there is none
    unit: np.float32  # code values that a step of the planes is worth


class GroupShrinkage(NamedTuple):
    """How groups are shrunk in one pass."""

    sigma: np.ndarray  # (3,) float32 deviation of the noise in each channel, code values
    threshold: np.float32  # hard threshold of the first pass, in sigma
    window: np.ndarray  # (64,) float32, of the aggregation
    spatial: np.ndarray  # `spatial_matrices`
    temporal: np.ndarray  # `temporal_matrices`


@njit(parallel=True, cache=True)
def pack(planes, out):
    """out (channels, H, W) int16 = planes in steps of 1 / PACKED code values, which go from -128 to 128."""
    for y in prange(out.shape[1]):
        for c in range(out.shape[0]):
            for x in range(out.shape[2]):
                out[c, y, x] = np.int16(min(max(np.rint(planes[c, y, x] * PACKED), -32767), 32767))


@njit(parallel=True, cache=True, fastmath=MATH)
def group(pilot, slots, batch, reach, limits):
    """Fill members and counts of a Batch: volumes like those of the references, within `reach` pixels of them, the best
    first.

    pilot (slots, channels, H, W), compared in channel 0. A candidate's trajectory must cover the reference's, and is
    cut to its L frames; its squared distance must be below limits[L]. Of candidates that are equally good the first in
    raster order is taken.
    """
    n, refs, members, counts, path, extent = batch
    h = slots.size // 2
    height, width = pilot.shape[2:]
    most, rows = members.shape[1], len(path)
    for g in prange(len(refs)):
        y0, x0 = refs[g]
        own = path[y0 % rows, x0]
        before, after = extent[y0 % rows, x0]
        distance = np.full(most, limits[before + after + 1], np.float32)
        distance[0] = np.float32(-1)  # nothing comes before the reference itself
        members[g, 0] = refs[g]
        count = 1
        for y in range(max(y0 - reach, 0), min(y0 + reach, height - n) + 1):
            for x in range(max(x0 - reach, 0), min(x0 + reach, width - n) + 1):
                if (y == y0 and x == x0) or extent[y % rows, x, 0] < before or extent[y % rows, x, 1] < after:
                    continue
                other = path[y % rows, x]
                d, bound = np.float32(0), distance[most - 1]
                for k in range(h - before, h + after + 1):
                    plane = pilot[slots[k], 0].reshape(-1)
                    first = (y0 + own[k, 0]) * width + x0 + own[k, 1]
                    d += square_distance(plane, first, plane, (y + other[k, 0]) * width + x + other[k, 1], width, n)
                    if d >= bound:
                        break
                if d >= bound:
                    continue
                count = min(count + 1, most)
                at = count - 1
                while distance[at - 1] > d:
                    distance[at] = distance[at - 1]
                    members[g, at] = members[g, at - 1]
                    at -= 1
                distance[at] = d
                members[g, at, 0], members[g, at, 1] = y, x
        counts[g] = 1
        while 2 * counts[g] <= count:
            counts[g] *= 2


@njit(fastmath=MATH)
def _spectrum(ring, batch, g, shrinkage, v, out):
    """out = the 4-D transform of the volumes of group g of a Batch, in code values; v: scratch, zero beyond a block."""
    n, (height, width) = batch.block, ring.planes.shape[2:]
    y0, x0 = batch.refs[g]
    before, after = batch.extent[y0 % len(batch.extent), x0]
    length = before + after + 1
    size, pixels = length * BLOCK, ring.planes.reshape(-1)
    first = ring.slots.size // 2 - before
    for m in range(batch.counts[g]):
        y, x = batch.members[g, m]
        moved = batch.path[y % len(batch.path), x, first:]
        for k in range(length):
            plane = ring.slots[first + k] * ring.planes.shape[1] + ring.channel
            at = (plane * height + y + moved[k, 0]) * width + x + moved[k, 1]
            for r in range(n):
                for c in range(n):
                    v[k * BLOCK + r * 8 + c] = np.float32(pixels[at + r * width + c]) * ring.unit
        over_space(v, length, shrinkage.spatial[0], shrinkage.spatial[1])
        over_time(v, out[m * size :], shrinkage.temporal[0, length], length)
    haar(out, batch.counts[g], size)


@njit(fastmath=MATH)
def _put(spectrum, count, length, shrinkage, scale, v, channel, blocks):
    """blocks[m, l, channel] = scale * l-th filtered block of member m."""
    size = length * BLOCK
    haar_back(spectrum, count, size)
    for m in range(count):
        over_time(spectrum[m * size :], v, shrinkage.temporal[1, length], length)
        over_space(v, length, shrinkage.spatial[2], shrinkage.spatial[3])
        for k in range(length):
            for i in range(BLOCK):
                blocks[m, k, channel, i] = v[k * BLOCK + i] * scale[i]


@njit(parallel=True, cache=True, fastmath=MATH)
def filter_groups(noisy, pilot, chroma, first_pass, batch, shrinkage, blocks, weights):
    """Shrink the groups of a Batch: by a hard threshold, or by the Wiener gain of the pilot.

    noisy, pilot, chroma: Ring; pilot holds channel 0 of the pilot, chroma the other channels, packed. blocks (groups,
    M, LONGEST, 3, 64) receives the filtered blocks of a volume times window times weight, weights (groups, 3) the
    weight of each channel, 1 / (sigma^2 N_har) or 1 / (sigma^2 ||W||^2).
    """
    for g in prange(len(batch.refs)):
        v = np.zeros(VOLUME, np.float32)
        spectrum = np.zeros((batch.members.shape[1] + 1) * VOLUME, np.float32)
        prior = np.zeros(0 if first_pass else spectrum.size, np.float32)
        before, after = batch.extent[batch.refs[g, 0] % len(batch.extent), batch.refs[g, 1]]
        length, count = before + after + 1, batch.counts[g]
        values = count * length * BLOCK
        scale = np.empty(BLOCK, np.float32)
        for c in range(3):
            sigma = shrinkage.sigma[c]
            variance = np.float32(sigma * sigma)
            _spectrum(Ring(noisy.planes, c, noisy.slots, noisy.unit), batch, g, shrinkage, v, spectrum)
            if first_pass:
                threshold = np.float32(shrinkage.threshold * sigma)
                energy = variance * shrink(spectrum, values, values, threshold, threshold)
            else:
                if c == 0:
                    _spectrum(pilot, batch, g, shrinkage, v, prior)
                else:
                    _spectrum(Ring(chroma.planes, c - 1, chroma.slots, chroma.unit), batch, g, shrinkage, v, prior)
                energy = np.float32(1e-6) + variance * attenuate(spectrum, prior, 0, values, variance)
            weights[g, c] = 1 / energy
            for i in range(BLOCK):
                scale[i] = shrinkage.window[i] / energy
            _put(spectrum, count, length, shrinkage, scale, v, c, blocks[g])


@njit(parallel=True, cache=True, fastmath=MATH)
def add_groups(blocks, weights, window, targets, batch, total):
    """Add the blocks of `filter_groups` to planes 0..2 of total (slots, 6, H, W), window times weight to planes 3..5.

    targets: the slot of each of the 2 h + 1 frames round the reference, -1 for none. One task owns one plane of one
    frame, so that no two tasks write the same pixel, and the order of sums does not depend on threads.
    """
    n, refs, members, counts, path, extent = batch
    h = targets.size // 2
    for task in prange(targets.size * 6):
        k, c = task // 6, task % 6
        if targets[k] < 0:
            continue
        plane = total[targets[k], c]
        for g in range(len(refs)):
            before, after = extent[refs[g, 0] % len(path), refs[g, 1]]
            if k < h - before or k > h + after:
                continue
            for m in range(counts[g]):
                y, x = members[g, m]
                v, u = y + path[y % len(path), x, k, 0], x + path[y % len(path), x, k, 1]
                for r in range(n):
                    row = plane[v + r, u : u + n]
                    if c < 3:
                        block = blocks[g, m, k - h + before, c, r * 8 : r * 8 + n]
                        for i in range(n):
                            row[i] += block[i]
                    else:
                        for i in range(n):
                            row[i] += window[r * 8 + i] * weights[g, c - 3]
