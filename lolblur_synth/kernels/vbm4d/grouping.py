"""Grouping of similar volumes and their 4-D transform (V-BM4D, sections III.C to III.E): a spatial transform of each
block, a DCT over time, a Haar transform over the group.

Blocks are n x n with n at most 8 and lie in 8x8 of memory, zero beyond: a zero stays one under every transform, passes
no threshold and has a Wiener gain of zero. A task is one group and writes only what is its own.
"""

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.vbm4d.paper_trajectories import square_distance
from lolblur_synth.kernels.vbm4d.transforms import BLOCK, MATH, VOLUME, haar, haar_back, over_space, over_time
from lolblur_synth.kernels.vbm4d.volumes import _attenuate, _shrink

PACKED = 256  # steps of a code value in a packed plane, of which a Wiener gain sees nothing


@njit(parallel=True, cache=True)
def pack(planes, out):
    """out (channels, H, W) int16 = planes in steps of 1 / PACKED code values, which go from -128 to 128."""
    for y in prange(out.shape[1]):
        for c in range(out.shape[0]):
            for x in range(out.shape[2]):
                out[c, y, x] = np.int16(min(max(np.rint(planes[c, y, x] * PACKED), -32767), 32767))


@njit(parallel=True, cache=True, fastmath=MATH)
def group(pilot, slots, n, refs, path, extent, reach, limits, members, counts):
    """Volumes like those of the references refs (groups, 2) = (y, x) within `reach` pixels of them, the best first.

    A candidate's trajectory must cover the reference's, and is cut to its L frames; its squared distance in channel 0
    must be below limits[L]. Fills members (groups, M, 2) with (y, x), the reference first, and counts (groups,), which
    are powers of two. Of candidates as good as each other the first in raster order is taken.
    """
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
def _spectrum(planes, channel, slots, unit, shape, group, count, path, extent, spatial, matrices, v, out):
    """out = the 4-D transform of the volumes at group[:count] = (y, x) of a channel of planes (slots, channels, H, W),
    whose values count in `unit`, each volume cut to extent."""
    n, height, width = shape
    before, length = extent[0], extent[0] + extent[1] + 1
    size, pixels = length * BLOCK, planes.reshape(-1)
    first = slots.size // 2 - before
    for m in range(count):
        y, x = group[m]
        moved = path[y % len(path), x, first:]
        for k in range(length):
            row = (slots[first + k] * planes.shape[1] + channel) * height + y + moved[k, 0]
            at = row * width + x + moved[k, 1]
            for r in range(n):
                for c in range(n):
                    v[k * BLOCK + r * 8 + c] = np.float32(pixels[at + r * width + c]) * unit
        over_space(v, length, spatial[0], spatial[1])
        over_time(v, out[m * size :], matrices[0, length], length)
    haar(out, count, size)


@njit(fastmath=MATH)
def _put(spectrum, channel, count, length, spatial, matrices, scale, v, blocks):
    """blocks[m, l, channel] = scale * l-th filtered block of member m."""
    size = length * BLOCK
    haar_back(spectrum, count, size)
    for m in range(count):
        over_time(spectrum[m * size :], v, matrices[1, length], length)
        over_space(v, length, spatial[2], spatial[3])
        for k in range(length):
            for i in range(BLOCK):
                blocks[m, k, channel, i] = v[k * BLOCK + i] * scale[i]


@njit(parallel=True, cache=True, fastmath=MATH)
def filter_groups(
    noisy, slots, pilot, chroma, pilot_slots, first_pass, n, refs, members, counts, path, extent, sigma, lam, spatial,
    matrices, window, blocks, weights,
):  # fmt: skip
    """Shrink the groups of `group`: by a hard threshold at lam * sigma, or by the Wiener gain of the pilot.

    slots: the frames in noisy; pilot_slots: in pilot and chroma, which are the first and the other channels of what
    `group` was given, the latter packed; spatial: `spatial_matrices`; window (64,). blocks (groups, M,
    LONGEST, 3, 64) receives the filtered blocks of a volume times window times weight, weights (groups, 3) the weight
    of each channel, 1 / (sigma^2 N_har) or 1 / (sigma^2 ||W||^2).
    """
    one, packed = np.float32(1), np.float32(1 / PACKED)
    for g in prange(len(refs)):
        v = np.zeros(VOLUME, np.float32)
        spectrum = np.zeros((members.shape[1] + 1) * VOLUME, np.float32)
        prior = np.zeros(0 if first_pass else spectrum.size, np.float32)
        reached, shape = extent[refs[g, 0] % len(path), refs[g, 1]], (n, noisy.shape[2], noisy.shape[3])
        length = reached[0] + reached[1] + 1
        values = counts[g] * length * BLOCK
        scale = np.empty(BLOCK, np.float32)
        for c in range(3):
            same = (shape, members[g], counts[g], path, reached, spatial, matrices, v)
            variance = np.float32(sigma[c] * sigma[c])
            _spectrum(noisy, c, slots, one, *same, spectrum)
            if first_pass:
                threshold = np.float32(lam * sigma[c])
                energy = variance * _shrink(spectrum, values, values, threshold, threshold)
            else:
                if c == 0:
                    _spectrum(pilot, 0, pilot_slots, one, *same, prior)
                else:
                    _spectrum(chroma, c - 1, pilot_slots, packed, *same, prior)
                energy = np.float32(1e-6) + variance * _attenuate(spectrum, prior, values, variance)
            weights[g, c] = 1 / energy
            for i in range(BLOCK):
                scale[i] = window[i] / energy
            _put(spectrum, c, counts[g], length, spatial, matrices, scale, v, blocks[g])


@njit(parallel=True, cache=True, fastmath=MATH)
def add_groups(blocks, weights, window, targets, n, refs, members, counts, path, extent, total):
    """Add the blocks of `filter_groups` to planes 0..2 of total (slots, 6, H, W), window times weight to planes 3..5.

    targets: slots as in `aggregate`. One task owns one plane of one frame, as there.
    """
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
