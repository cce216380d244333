"""Grouping of similar volumes and their 4-D transform (V-BM4D, sections III.C to III.E): a spatial transform of each
block, a DCT over time, a Haar transform over the group.

Blocks are n x n with n at most 8 and lie in 8x8 of memory, zero beyond: a zero stays one under every transform, passes
no threshold and has a Wiener gain of zero. A task is one group and writes only what is its own.
"""

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.chains import square_distance
from lolblur_synth.kernels.transforms import BLOCK, LONGEST, MATH, VOLUME, haar, haar_back, over_space, over_time
from lolblur_synth.kernels.volumes import _attenuate, _places, _shrink


@njit(parallel=True, cache=True, fastmath=MATH)
def group(pilot, slots, n, refs, path, extent, reach, limits, members, counts):
    """Volumes like those of the references refs (groups, 2) = (y, x) within `reach` pixels of them, the best first.

    A candidate's trajectory must cover the reference's, and is cut to its L frames; its squared distance in channel 0
    must be below limits[L]. Fills members (groups, M, 2) with (y, x), the reference first, and counts (groups,), which
    are powers of two. Of candidates as good as each other the first in raster order is taken.
    """
    h = slots.size // 2
    height, width = pilot.shape[2:]
    most = members.shape[1]
    for g in prange(len(refs)):
        y0, x0 = refs[g]
        before, after = extent[y0, x0]
        distance = np.full(most, limits[before + after + 1], np.float32)
        distance[0] = np.float32(-1)  # nothing comes before the reference itself
        members[g, 0] = refs[g]
        count = 1
        for y in range(max(y0 - reach, 0), min(y0 + reach, height - n) + 1):
            for x in range(max(x0 - reach, 0), min(x0 + reach, width - n) + 1):
                if (y == y0 and x == x0) or extent[y, x, 0] < before or extent[y, x, 1] < after:
                    continue
                d, bound = np.float32(0), distance[most - 1]
                for k in range(h - before, h + after + 1):
                    plane = pilot[slots[k], 0].reshape(-1)
                    first = (y0 + path[y0, x0, k, 0]) * width + x0 + path[y0, x0, k, 1]
                    d += square_distance(
                        plane, first, plane, (y + path[y, x, k, 0]) * width + x + path[y, x, k, 1], width, n
                    )
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
def _spectrum(pixels, slots, channel, shape, group, count, path, extent, spatial, matrices, places, v, out):
    """out = the 4-D transform of the volumes at group[:count] = (y, x) of flat planes, each cut to extent."""
    n, height, width = shape
    before, length = extent[0], extent[0] + extent[1] + 1
    size = length * BLOCK
    for m in range(count):
        y, x = group[m]
        _places(slots, channel, height, width, y, x, path[y, x], before, length, places)
        for k in range(length):
            for r in range(n):
                for c in range(n):
                    v[k * BLOCK + r * 8 + c] = pixels[places[k] + r * width + c]
        over_space(v, length, spatial[0], spatial[1])
        over_time(v, out[m * size :], matrices[0, length], length)
    haar(out, count, size)


@njit(fastmath=MATH)
def _put(spectrum, channel, count, extent, spatial, matrices, scale, h, v, blocks):
    """blocks[m, h + k, channel] = scale * filtered block of member m in the frame k away."""
    before, length = extent[0], extent[0] + extent[1] + 1
    size = length * BLOCK
    haar_back(spectrum, count, size)
    for m in range(count):
        over_time(spectrum[m * size :], v, matrices[1, length], length)
        over_space(v, length, spatial[2], spatial[3])
        for k in range(length):
            for i in range(BLOCK):
                blocks[m, h - before + k, channel, i] = v[k * BLOCK + i] * scale[i]


@njit(parallel=True, cache=True, fastmath=MATH)
def filter_groups(
    noisy, pilot, first_pass, slots, n, refs, members, counts, path, extent, sigma, lam, spatial, matrices, window,
    blocks, weights,
):  # fmt: skip
    """Shrink the groups of `group`: by a hard threshold at lam * sigma, or by the Wiener gain of the pilot.

    spatial: `spatial_matrices`; window (64,). blocks (groups, M, 2 h + 1, 3, 64) receives the filtered blocks times
    window times weight, weights (groups, 3) the weight of each channel, 1 / (sigma^2 N_har) or 1 / (sigma^2 ||W||^2).
    """
    h = slots.size // 2
    height, width = noisy.shape[2:]
    pixels, pilots = noisy.reshape(-1), pilot.reshape(-1)
    for g in prange(len(refs)):
        places = np.empty(LONGEST, np.int64)
        v = np.zeros(VOLUME, np.float32)
        spectrum = np.zeros((members.shape[1] + 1) * VOLUME, np.float32)
        prior = np.zeros(0 if first_pass else spectrum.size, np.float32)
        reached, shape = extent[refs[g, 0], refs[g, 1]], (n, height, width)
        values = counts[g] * (reached[0] + reached[1] + 1) * BLOCK
        scale = np.empty(BLOCK, np.float32)
        for c in range(3):
            same = (slots, c, shape, members[g], counts[g], path, reached, spatial, matrices, places, v)
            variance = np.float32(sigma[c] * sigma[c])
            _spectrum(pixels, *same, spectrum)
            if first_pass:
                energy = variance * _shrink(spectrum, values, np.float32(lam * sigma[c]))
            else:
                _spectrum(pilots, *same, prior)
                energy = np.float32(1e-6) + variance * _attenuate(spectrum, prior, values, variance)
            weights[g, c] = 1 / energy
            for i in range(BLOCK):
                scale[i] = window[i] / energy
            _put(spectrum, c, counts[g], reached, spatial, matrices, scale, h, v, blocks[g])


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
            before, after = extent[refs[g, 0], refs[g, 1]]
            if k < h - before or k > h + after:
                continue
            for m in range(counts[g]):
                y, x = members[g, m]
                v, u = y + path[y, x, k, 0], x + path[y, x, k, 1]
                for r in range(n):
                    row = plane[v + r, u : u + n]
                    if c < 3:
                        block = blocks[g, m, k, c, r * 8 : r * 8 + n]
                        for i in range(n):
                            row[i] += block[i]
                    else:
                        for i in range(n):
                            row[i] += window[r * 8 + i] * weights[g, c - 3]
