"""The fast kernels against a slow, readable V-BM4D of a few lines: one loop for each thing the paper says."""

import numpy as np
import pytest
import torch
from scipy.fft import dct, dctn, idct, idctn

from lolblur_synth.kernels.motion import TILE, trajectories
from lolblur_synth.kernels.transforms import VOLUME, dct_blocks, idct_blocks, over_time, temporal_matrices
from lolblur_synth.kernels.volumes import RAMP
from lolblur_synth.recipe import DenoiseConfig
from lolblur_synth.stages import denoise


def block(plane, y, x):
    return plane[y : y + 8, x : x + 8]


def follow(luma, t, y, tile, radius, penalty, limit):
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
            reach, best = radius[min(k, 2) - 1], {}
            for x in tile:
                options = [(np.inf, np.inf, centre)]
                for dy in range(centre[0] - reach, centre[0] + reach + 1):
                    for dx in range(centre[1] - reach, centre[1] + reach + 1):
                        if 0 <= y + dy <= height - 8 and 0 <= x + dx <= width - 8:
                            distance = np.square(block(luma[t], y, x) - block(luma[frame], y + dy, x + dx)).sum()
                            away = abs(dy - centre[0]) + abs(dx - centre[1])
                            options.append((distance + penalty * away, distance, (dy, dx)))
                best[x] = min(options, key=lambda option: option[0])
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


def one_pass(noisy, pilot, stage, sigma, stride):
    """Filter every volume, put it back, divide by the weights: (T, 3, H, W) opponent planes, float64."""
    count, _, height, width = noisy.shape
    sigmas = sigma * denoise.GAIN
    kaiser = np.kaiser(8, denoise.KAISER[stage])
    window = np.outer(kaiser, kaiser)
    total, weights = np.zeros_like(noisy), np.zeros((count, height, width))
    penalty = denoise.PENALTY * sigmas[0] ** 2 * (denoise.CALM if stage else 1)
    limit = denoise.MISMATCH[stage] * 2 * 64 * sigmas[0] ** 2
    for t in range(count):
        before = weights[t].copy()
        ys, xs = (denoise._grid(size, t % 2 * denoise.STEP // 2) for size in (height, width))
        for y in ys:
            for tile in (xs[n : n + TILE] for n in range(0, len(xs), TILE)):
                asked = [x for x in tile if t % stride == 0 or t == count - 1 or (block(before, y, x) == 0).any()]
                paths = follow(pilot[:, 0], t, y, tile, denoise.RADIUS, penalty, limit) if asked else {}
                for x in asked:
                    places = sorted((frame, y + dy, x + dx) for frame, (dy, dx) in paths[x].items())
                    shrunk, energy = [], 0
                    for c in range(3):
                        spectrum = forward(noisy[:, c], places)
                        if stage == 0:
                            threshold = denoise.LAMBDA * sigmas[c]
                            gain = ((np.abs(spectrum) / threshold - 1) / RAMP + 1).clip(0, 1)
                            energy += sigmas[c] ** 2 * max(gain.sum(), 1)
                            gain[0, 0, 0] = True
                        else:
                            power = np.square(forward(pilot[:, c], places))
                            gain = power / (power + sigmas[c] ** 2)
                            energy += sigmas[c] ** 2 * np.square(gain).sum()
                        shrunk.append(idctn(idct(spectrum * gain, axis=0, norm="ortho"), axes=(1, 2), norm="ortho"))
                    for n, (frame, v, u) in enumerate(places):
                        if frame < t - denoise.H:
                            continue  # that frame has left the stream
                        block(weights[frame], v, u)[:] += window / energy
                        for c in range(3):
                            block(total[frame, c], v, u)[:] += window / energy * shrunk[c][n]
    return total / weights[:, None]


def slow(frames, sigma, profile):
    noisy = np.einsum("ij,tjhw->tihw", denoise.OPPONENT * 255, frames.double().numpy())
    basic = one_pass(noisy, noisy, 0, sigma, denoise.STRIDE[profile])
    final = one_pass(noisy, basic, 1, sigma, denoise.STRIDE[profile])
    return np.einsum("ij,tjhw->tihw", np.linalg.inv(denoise.OPPONENT) / 255, final).clip(0, 1)


def moving(seed, count, height, width, sigma):
    """Noisy texture that moves two pixels a frame, with an object that appears in the middle of the clip."""
    rng = np.random.default_rng(seed)
    wide = rng.random((3, height // 4 + 4, width // 4 + 8)).repeat(4, 1).repeat(4, 2)
    frames = np.stack([wide[:, t : t + height, 2 * t : 2 * t + width] for t in range(count)])
    frames[count // 2 :, :, 4:12, 4:12] = 0.9
    frames = 0.2 + 0.6 * frames + sigma / 255 * rng.standard_normal(frames.shape)
    return torch.from_numpy(frames.astype(np.float32))


@pytest.mark.parametrize(
    "count,height,width,profile",
    [(5, 18, 21, "fast"), (4, 12, 80, "fast"), (3, 14, 15, "np"), (12, 12, 14, "fast")],
)
def test_the_fast_path_is_the_slow_reference(count, height, width, profile):
    frames = moving(3, count, height, width, 12)
    fast = denoise.apply(frames, DenoiseConfig(profile=profile), denoise.Draw(12.0)).numpy()
    difference = np.abs(fast - slow(frames, 12.0, profile)) * 255
    assert difference.max() < 0.5 and difference.mean() < 0.02


def test_blocks_are_transformed_like_scipy_does():
    v = np.random.default_rng(0).standard_normal(VOLUME).astype(np.float32)
    spectrum = v.copy()
    dct_blocks(spectrum, 9)
    assert np.allclose(spectrum.reshape(9, 8, 8), dctn(v.reshape(9, 8, 8), axes=(1, 2), norm="ortho"), atol=1e-5)
    idct_blocks(spectrum, 9)
    assert np.allclose(spectrum, v, atol=1e-5)


@pytest.mark.parametrize("length", range(1, 10))
def test_time_is_transformed_like_scipy_does(length):
    v = np.random.default_rng(length).standard_normal(VOLUME).astype(np.float32)
    out, back = np.full(VOLUME, 7, np.float32), np.empty(VOLUME, np.float32)
    matrices = temporal_matrices()
    over_time(v, out, matrices[0, length], length)
    blocks = v.reshape(9, 64)[:length]
    assert np.allclose(out.reshape(9, 64)[:length], dct(blocks, axis=0, norm="ortho"), atol=1e-5)
    over_time(out, back, matrices[1, length], length)
    assert np.allclose(back.reshape(9, 64)[:length], blocks, atol=1e-5)


@pytest.mark.parametrize("dy,dx", [(0, 0), (1, -1), (-2, 3)])
def test_trajectories_find_the_motion_and_stop_at_a_cut(dy, dx):
    rng = np.random.default_rng(1)
    wide = rng.random((80, 120)).astype(np.float32) * 100
    frames = np.zeros((5, 3, 40, 72), np.float32)
    for t in range(4):
        frames[t, 0] = wide[20 - dy * t :, 24 - dx * t :][:40, :72]
    frames[4, 0] = rng.random((40, 72)) * 100
    ys, xs = np.arange(12, 21, 4), np.arange(16, 41, 4)
    path, extent = np.zeros((3, 7, 9, 2), np.int16), np.zeros((3, 7, 2), np.int16)
    slots = np.array([-1, -1, -1, 0, 1, 2, 3, 4, -1])
    radius, active = np.array([4, 2]), np.ones((3, 7), bool)
    trajectories(frames, slots, ys, xs, radius, np.float32(1), np.float32(100), active, path, extent)
    assert (extent == [1, 2]).all()
    for k in (-1, 0, 1, 2):
        assert (path[:, :, 4 + k] == [dy * k, dx * k]).all()
