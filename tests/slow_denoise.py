"""A slow, readable V-BM4D of a whole clip: the references of kernels/vbm4d, frame by frame, with the rules of the stage
written a second time. The streaming stage with its fast kernels is compared with it.
"""

import numpy as np
import torch

from lolblur_synth.kernels.vbm4d import grouped_reference, reference
from lolblur_synth.kernels.vbm4d.paper_profile import Shape
from lolblur_synth.kernels.vbm4d.settings import PassSettings, Search
from lolblur_synth.stages.denoise import passes

FIRST = Shape(8, 6, 19, 32, "bior1.5", 2.0, lambda s, n: ((0.0171 * s**2 + 0.452 * s + 47.9294) * n) ** 2,
              lambda s: (0.0005 * s**2 - 0.0059 * s + 0.04, 0.0047 * s**2 + 0.0676 * s + 0.4564))  # fmt: skip
SECOND = Shape(7, 4, 27, 8, "dct", 2.0, lambda s, n: (13.5 * n) ** 2, lambda s: (0.005, 1))


def one_pass(noisy, pilot, stage, sigma, curve=()):
    """Filter every volume, put it back, divide by the weights: (T, 3, H, W) opponent planes.

    curve: the noise at some levels (level, deviation), taken at the mean luminance of a reference block.
    """
    count, _, height, width = noisy.shape
    stride = 2 if stage else 3  # frames from one full set of reference blocks to the next
    clip = sigma * passes.GAIN
    kaiser = np.kaiser(8, passes.KAISER_BETA[stage])
    penalty = passes.PRICE_OF_STRAYING[stage] * clip[0] ** 2
    good, limit = (128 * clip[0] ** 2 * share[stage] for share in (passes.MATCH_GOOD_ENOUGH, passes.MATCH_LOST))
    table = [(noise_at(level, sigma, curve) / sigma) ** 2 for level in range(256)]
    grids = [[passes.grid(size, phase) for size in (height, width)] for phase in (0, passes.STEP // 2)]
    volumes = reference.Volumes(noisy[0], PassSettings(
        first_pass=stage == 0, h=count, sigma=clip, table=table, window=np.outer(kaiser, kaiser),
        strength=passes.STRENGTH[stage], search=Search(passes.SEARCH_RADIUS, penalty, good, limit), grids=grids,
    ))  # fmt: skip
    for t in range(count):
        volumes.put(t, noisy[t], pilot[t])
    for t in range(count):
        from_end = min(t, count - 1 - t)
        everywhere = t % stride == 0 or t == count - 1 or from_end < passes.FULL_ENDS
        first = max(0, min(t - passes.H, count - 2 * passes.H - 1))  # as many frames at the ends as inside
        slots, targets = around(t, range(first, min(first + 2 * passes.H + 1, count)))
        for number in (t // stride, t // stride + 1) if from_end < passes.DENSE_ENDS else (t // stride,):
            volumes.add(number % 2, slots, targets, everywhere)
    return np.stack([volumes.finish(t)[1] for t in range(count)])


def around(t, frames):
    """Slots of the frames round t, -1 for those that a volume does not reach, and of those that have not left."""
    near = range(t - 2 * passes.H, t + 2 * passes.H + 1)
    slots = np.array([frame if frame in frames else -1 for frame in near])
    return slots, np.where(slots >= t - passes.H, slots, -1)


def noise_at(level, sigma, curve):
    """Deviation of the noise at a level."""
    if not curve:
        return sigma
    levels, deviations = zip(*curve, strict=True)
    if level <= levels[0] or level >= levels[-1]:
        return max(deviations[0 if level <= levels[0] else -1], passes.MIN_DEVIATION * sigma)
    k = next(k for k in range(len(levels)) if level < levels[k + 1])
    share = (level - levels[k]) / (levels[k + 1] - levels[k])
    return max(deviations[k] + share * (deviations[k + 1] - deviations[k]), passes.MIN_DEVIATION * sigma)


def grouped_pass(noisy, pilot, stage, sigma):
    """As `one_pass`, with groups; Table I written out once more."""
    count, shape = len(noisy), (FIRST, SECOND)[stage]
    ends = [size - shape.block for size in noisy.shape[2:]]
    grid = [sorted({*range(0, end + 1, shape.step), end}) for end in ends]
    groups = grouped_reference.Groups(noisy[0], stage == 0, count, sigma * passes.GAIN, 2.7, shape, [grid], [])
    for t in range(count):
        groups.put(t, noisy[t], pilot[t])
    for t in range(count):
        frames = np.arange(t - passes.H, t + passes.H + 1)
        slots = np.where((frames >= 0) & (frames < count), frames, -1)
        groups.add(0, slots, slots, True)
    return np.stack([groups.finish(t)[1] for t in range(count)])


def slow(frames, sigma, profile, curve=()):
    noisy = np.einsum("ij,tjhw->tihw", passes.OPPONENT * 255, frames.double().numpy())
    one, *more = (one_pass, curve) if profile == "fast" else (grouped_pass,)
    basic = one(noisy, noisy, 0, sigma, *more)
    final = one(noisy, basic, 1, sigma, *more)
    return np.einsum("ij,tjhw->tihw", np.linalg.inv(passes.OPPONENT) / 255, final).clip(0, 1)


def moving(seed, count, height, width, sigma):
    """Noisy texture that moves two pixels a frame, with an object that appears in the middle of the clip."""
    rng = np.random.default_rng(seed)
    wide = rng.random((3, height // 4 + 4, width // 4 + 8)).repeat(4, 1).repeat(4, 2)
    frames = np.stack([wide[:, t : t + height, 2 * t : 2 * t + width] for t in range(count)])
    frames[count // 2 :, :, 4:12, 4:12] = 0.9
    frames = 0.2 + 0.6 * frames + sigma / 255 * rng.standard_normal(frames.shape)
    return torch.from_numpy(frames.astype(np.float32))
