"""A slow, readable V-BM4D, one loop for each thing the paper says: what the fast kernels are compared with."""

import numpy as np
import torch
from scipy.fft import dct, dctn, idct, idctn

from lolblur_synth.kernels.vbm4d.block_matching import TILE
from lolblur_synth.kernels.vbm4d.volumes import RAMP
from lolblur_synth.stages import denoise


def block(plane, y, x):
    return plane[y : y + 8, x : x + 8]


def follow(luma, t, y, tile, asked, radius, penalty, close, limit):
    """Trajectories {x: {frame: (dy, dx)}} of the blocks (y, x), x in tile, of frame t: search, prediction, stop."""
    found = {x: {t: (0, 0)} for x in tile}
    height, width = luma[0].shape
    first = max(0, min(t - denoise.H, len(luma) - 2 * denoise.H - 1))  # as many frames at the ends as inside
    for sign in (-1, 1):
        centre, alive = (0, 0), set(tile)
        for k in range(1, 2 * denoise.H + 1):
            frame = t + sign * k
            if not first <= frame < min(first + 2 * denoise.H + 1, len(luma)) or not alive:
                break
            best = {}
            for x, reach in ((x, reach) for x in tile for reach in (radius[0], radius[min(k, 2)])):
                if x in best and (best[x][1] <= close or x not in asked or x not in alive):
                    continue
                options = [(np.inf, np.inf, centre)]
                for dy in range(centre[0] - reach, centre[0] + reach + 1):
                    for dx in range(centre[1] - reach, centre[1] + reach + 1):
                        if 0 <= y + dy <= height - 8 and 0 <= x + dx <= width - 8:
                            distance = np.square(block(luma[t], y, x) - block(luma[frame], y + dy, x + dx)).sum()
                            away = abs(dy - centre[0]) + abs(dx - centre[1])
                            options.append((distance + penalty * away, distance, (dy, dx)))
                best[x] = min(options, key=lambda option: option[0])
            for x in tile:
                if best[x][1] > limit:
                    alive.discard(x)
                if x in alive:
                    found[x][frame] = best[x][2]
            middle = [sorted(best[x][2][axis] for x in tile)[len(tile) // 2] for axis in (0, 1)]
            centre = tuple(int(np.rint(v * (k + 1) / k)) for v in middle)
    return found


def forward(planes, places):
    """The separable 3-D transform of the blocks at (frame, y, x)."""
    volume = np.stack([block(planes[frame], y, x) for frame, y, x in places])
    return dct(dctn(volume, axes=(1, 2), norm="ortho"), axis=0, norm="ortho")


def one_pass(noisy, pilot, stage, sigma, curve=()):
    """Filter every volume, put it back, divide by the weights: (T, 3, H, W) opponent planes, float64.

    curve: the noise at some levels (level, deviation), taken at the mean luminance of a reference block.
    """
    count, _, height, width = noisy.shape
    clip = sigma * denoise.GAIN
    kaiser = np.kaiser(8, denoise.KAISER[stage])
    window = np.outer(kaiser, kaiser)
    total, weights = np.zeros_like(noisy), np.zeros((count, height, width))
    penalty = denoise.PENALTY * clip[0] ** 2 * (denoise.CALM if stage else 1)
    close, limit = (128 * clip[0] ** 2 * share[stage] for share in (denoise.CLOSE, denoise.MISMATCH))
    for t in range(count):
        before = weights[t].copy()
        from_end = min(t, count - 1 - t)
        everywhere = t % 2 == 0 or t == count - 1 or from_end < denoise.FULL
        phases = (t, t + 1) if from_end < denoise.DENSE else (t,)
        grids = [[denoise._grid(size, n % 2 * denoise.STEP // 2) for size in (height, width)] for n in phases]
        for y, xs in ((y, xs) for ys, xs in grids for y in ys):
            for tile in (xs[n : n + TILE] for n in range(0, len(xs), TILE)):
                asked = [x for x in tile if everywhere or (block(before, y, x) == 0).any()]
                paths = follow(pilot[:, 0], t, y, tile, asked, denoise.RADIUS, penalty, close, limit) if asked else {}
                for x in asked:
                    places = sorted((frame, y + dy, x + dx) for frame, (dy, dx) in paths[x].items())
                    sigmas = denoise.GAIN * noise_at(block(pilot[t, 0], y, x).mean(), sigma, curve)
                    shrunk, energy = [], 0
                    for c in range(3):
                        spectrum = forward(noisy[:, c], places)
                        if stage == 0:
                            gain = hard(spectrum, sigmas[c], over_time(denoise.STRENGTH[0][c], places))
                            energy += sigmas[c] ** 2 * max(gain.sum(), 1)
                            gain[0, 0, 0] = True
                        else:
                            power = np.square(forward(pilot[:, c], places))
                            gain = power / (power + over_time(denoise.STRENGTH[1][c], places) * sigmas[c] ** 2)
                            energy += sigmas[c] ** 2 * np.square(gain).sum()
                        shrunk.append(idctn(idct(spectrum * gain, axis=0, norm="ortho"), axes=(1, 2), norm="ortho"))
                    for n, (frame, v, u) in enumerate(places):
                        if frame < t - denoise.H:
                            continue  # that frame has left the stream
                        block(weights[frame], v, u)[:] += window / energy
                        for c in range(3):
                            block(total[frame, c], v, u)[:] += window / energy * shrunk[c][n]
    return total / weights[:, None]


def noise_at(level, sigma, curve):
    """Deviation of the noise at a level."""
    if not curve:
        return sigma
    levels, deviations = zip(*curve, strict=True)
    if level <= levels[0] or level >= levels[-1]:
        return max(deviations[0 if level <= levels[0] else -1], denoise.LEAST * sigma)
    k = next(k for k in range(len(levels)) if level < levels[k + 1])
    share = (level - levels[k]) / (levels[k + 1] - levels[k])
    return max(deviations[k] + share * (deviations[k + 1] - deviations[k]), denoise.LEAST * sigma)


def over_time(strength, places):
    """(L, 1, 1): the first of two numbers for the mean over time, the second for all other frequencies."""
    mean, others = strength
    return np.array([mean, *[others] * (len(places) - 1)])[:, None, None]


def hard(spectrum, sigma, factor=denoise.LAMBDA):
    """The gain of the hard threshold, and its narrow ramp."""
    return ((np.abs(spectrum) / (factor * sigma) - 1) / RAMP + 1).clip(0, 1)


def chain(luma, t, y, x, n, gd, tau, h=4):
    """Trajectory {frame: (y, x)} of a block, each compared with the one before it: equations 2, 3, 6, 7 and Table I."""
    found = {t: (y, x)}
    height, width = luma[0].shape
    for sign in (-1, 1):
        here, v = np.array([y, x]), np.zeros(2)
        for k in range(1, h + 1):
            before, frame = t + sign * (k - 1), t + sign * k
            if not 0 <= frame < len(luma):
                break
            predicted = here + 0.3 * v
            side = 11 * (1 - 0.5 * np.exp(-(v**2).sum() / (2 * 1.0**2)))
            reach, middle, options = int(side / 2), np.rint(predicted).astype(int), [(np.inf, None)]
            for to in np.ndindex(2 * reach + 1, 2 * reach + 1):
                to = middle - reach + to
                if (to >= 0).all() and to[0] <= height - n and to[1] <= width - n:
                    a = luma[before][here[0] : here[0] + n, here[1] : here[1] + n]
                    b = luma[frame][to[0] : to[0] + n, to[1] : to[1] + n]
                    d = np.linalg.norm(a - b) / n**2 + gd * np.linalg.norm(predicted - to)
                    options.append((d, to))
            d, to = min(options, key=lambda option: option[0])
            if d > tau or to is None:
                break
            v, here = to - here, to
            found[frame] = tuple(int(i) for i in here)
    return found


def cut(places, frames):
    return [(frame, *places[frame]) for frame in frames]


def volume(plane, places, n):
    return np.stack([plane[frame][y : y + n, x : x + n] for frame, y, x in places])


def similar(luma, paths, y, x, n, side, most, limit):
    """The group of the volume at (y, x): lists of (frame, y, x), the best first, as many as a power of two."""
    frames = sorted(paths[y, x])
    own = cut(paths[y, x], frames)
    found = []
    for (v, u), path in paths.items():
        near = max(abs(v - y), abs(u - x)) <= side // 2
        if near and (v, u) != (y, x) and set(frames) <= set(path):
            d = np.square(volume(luma, own, n) - volume(luma, cut(path, frames), n)).sum()
            if d < limit(len(frames)):
                found.append((d, cut(path, frames)))
    group = [own, *(places for _, places in sorted(found, key=lambda pair: pair[0]))][:most]
    return group[: 2 ** int(np.log2(len(group)))]


def wavelet(x):
    """Full periodic decomposition of the first axis by the biorthogonal wavelet 1.5, before normalisation."""
    if len(x) == 1:
        return x
    low = [3, -3, -22, 22, 128, 128, 22, -22, -3, 3]
    half = range(len(x) // 2)
    smooth = np.stack([sum(h * x[(2 * i + k - 4) % len(x)] for k, h in enumerate(low)) for i in half])
    return np.concatenate([wavelet(smooth), np.stack([x[2 * i + 1] - x[2 * i] for i in half])])


def haar(x):
    """Full orthonormal decomposition of the first axis by the Haar wavelet."""
    if len(x) == 1:
        return x
    return np.concatenate([haar((x[0::2] + x[1::2]) / np.sqrt(2)), (x[0::2] - x[1::2]) / np.sqrt(2)])


def matrix_of(transform, n):
    rows = transform(np.eye(n))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def four(spatial, length, members):
    """The matrices of the 4-D transform: group, time, down, across."""
    return matrix_of(haar, members), matrix_of(lambda x: dct(x, axis=0, norm="ortho"), length), spatial, spatial


def transform(values, matrices):
    return np.einsum("am,bl,cy,dx,mlyx->abcd", *matrices, values, optimize=True)


def grouped_pass(noisy, pilot, stage, sigma, profile):
    """As `one_pass`, with groups; Table I written out once more."""
    count, _, height, width = noisy.shape
    sigmas, luma = sigma * denoise.GAIN, pilot[:, 0]
    s = sigmas[0]
    if profile == "vbm4d":
        n, step, side, most = ((8, 6, 19, 32), (7, 4, 27, 8))[stage]
        beta, spatial = 2.0, matrix_of(wavelet if stage == 0 else lambda x: dct(x, axis=0, norm="ortho"), n)
        gd, tau = ((0.0005 * s**2 - 0.0059 * s + 0.04, 0.0047 * s**2 + 0.0676 * s + 0.4564), (0.005, 1))[stage]
        match = (0.0171 * s**2 + 0.452 * s + 47.9294, 13.5)[stage]
    else:
        n, step, side, most = ((8, 4, 13, 16), (8, 4, 11, 16))[stage]
        beta, spatial = (2.0, 1.3)[stage], matrix_of(lambda x: dct(x, axis=0, norm="ortho"), n)
        share = (0.7, 0.07)[stage]
        bounds = [128 * s**2 * share[stage] for share in (denoise.CLOSE, denoise.MISMATCH)]
        follow_limits = denoise.PENALTY * s**2 * (denoise.CALM if stage else 1), *bounds
    window = np.outer(np.kaiser(n, beta), np.kaiser(n, beta))
    total, weights = np.zeros_like(noisy), np.zeros_like(noisy)
    for t in range(count):
        paths = {}
        for y in range(height - n + 1):
            if profile == "vbm4d":
                paths |= {(y, x): chain(luma, t, y, x, n, gd, tau) for x in range(width - n + 1)}
                continue
            for first in range(0, width - n + 1, TILE):
                tile = range(first, min(first + TILE, width - n + 1))
                moved = follow(luma, t, y, tile, tile, denoise.RADIUS, *follow_limits)
                paths |= {(y, x): {f: (y + dy, x + dx) for f, (dy, dx) in moved[x].items()} for x in tile}
        for y in sorted({*range(0, height - n + 1, step), height - n}):
            for x in sorted({*range(0, width - n + 1, step), width - n}):
                if profile == "vbm4d":
                    group = similar(luma, paths, y, x, n, side, most, lambda length: (match * length) ** 2)
                else:
                    group = similar(luma, paths, y, x, n, side, most, lambda length: share * 128 * length * s**2)
                matrices = four(spatial, len(group[0]), len(group))
                for c in range(3):
                    spectrum = transform(np.stack([volume(noisy[:, c], places, n) for places in group]), matrices)
                    if stage == 0:
                        gain = hard(spectrum, sigmas[c])
                        energy = sigmas[c] ** 2 * max(gain.sum(), 1)
                        gain[0, 0, 0, 0] = 1
                    else:
                        power = transform(np.stack([volume(pilot[:, c], places, n) for places in group]), matrices) ** 2
                        gain = power / (power + sigmas[c] ** 2)
                        energy = sigmas[c] ** 2 * np.square(gain).sum()
                    back = transform(spectrum * gain, [np.linalg.inv(matrix) for matrix in matrices])
                    for m, places in enumerate(group):
                        for k, (frame, v, u) in enumerate(places):
                            if frame >= t - denoise.H:
                                total[frame, c, v : v + n, u : u + n] += window / energy * back[m, k]
                                weights[frame, c, v : v + n, u : u + n] += window / energy
    return total / weights


def slow(frames, sigma, profile, curve=()):
    noisy = np.einsum("ij,tjhw->tihw", denoise.OPPONENT * 255, frames.double().numpy())
    one, *names = (one_pass, curve) if profile == "fast" else (grouped_pass, profile)
    basic = one(noisy, noisy, 0, sigma, *names)
    final = one(noisy, basic, 1, sigma, *names)
    return np.einsum("ij,tjhw->tihw", np.linalg.inv(denoise.OPPONENT) / 255, final).clip(0, 1)


def moving(seed, count, height, width, sigma):
    """Noisy texture that moves two pixels a frame, with an object that appears in the middle of the clip."""
    rng = np.random.default_rng(seed)
    wide = rng.random((3, height // 4 + 4, width // 4 + 8)).repeat(4, 1).repeat(4, 2)
    frames = np.stack([wide[:, t : t + height, 2 * t : 2 * t + width] for t in range(count)])
    frames[count // 2 :, :, 4:12, 4:12] = 0.9
    frames = 0.2 + 0.6 * frames + sigma / 255 * rng.standard_normal(frames.shape)
    return torch.from_numpy(frames.astype(np.float32))
