"""denoise: V-BM4D style video denoising (section 3.2; Maggioni et al., "Video denoising, deblocking, and enhancement
through separable 4-D nonlocal spatiotemporal transforms", TIP 2012).

In   (T, 3, H, W) float32, display, 0..1, H and W at least 8
Out  (T, 3, H, W) float32, display, 0..1; or the frames of `keep` only
Random: nothing. `Draw` is what is measured or asked for, so that the manifest can record it.

Two passes over time, each a stream. Blocks of 8x8 of the luminance are followed through up to h = 4 frames each way;
the volume of each opponent channel is transformed (2-D DCT, then DCT over time), shrunk, transformed back and averaged
with all others where they overlap. The first pass shrinks by a hard threshold, the second by the empirical Wiener gain
of the first one's result. At the ends of the clip volumes reach further the other way; at cuts and occlusions they are
shorter; no frame is ever repeated.

Profile `fast`: every block of a grid is a reference in one frame of STRIDE and in the last; in others only where no
volume of an earlier frame has left an estimate. At the ends of a clip, where fewer volumes meet, the outermost FULL
frames have all of them, and the first and the last a second grid in between.

Profile `vbm4d`, for comparison: the paper's. Similar volumes are collected round each reference before the transform,
with a Haar transform over the group, blocks are followed as the paper does, and the numbers are those of its Table I
(kernels/vbm4d/paper_profile.py). It is slow, and runs on the CPU.

Real noise depends on the level: where sigma is estimated, `fast` takes that of the level of each reference block.
`vbm4d` and a sigma that was asked for know one number.

Estimate once a clip or segment and hand the same Draw to all of its pairs: pairs denoised with different strengths
would flicker.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError, RecipeError
from lolblur_synth.kernels import cuda, vbm4d
from lolblur_synth.kernels.vbm4d.noise_level import at, noise_curve
from lolblur_synth.kernels.vbm4d.paper_profile import PASSES
from lolblur_synth.kernels.vbm4d.volumes import mix
from lolblur_synth.recipe.schema import DenoiseConfig

OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [1 / 2, 0, -1 / 2], [1 / 4, -1 / 2, 1 / 4]])  # V-BM4D, section VI.D
GAIN = np.linalg.norm(OPPONENT, axis=1)  # standard deviation of each channel for noise of 1 in R, G and B
H = 4  # frames each way: Table I
CONTEXT = H  # frames of context that make the ends of a window as good as its middle
STEP = 4  # pixels between reference blocks: V-BM4D software, normal profile
LAMBDA = 2.7  # hard threshold in sigma: Table I; of `vbm4d`
# How much `fast` takes away in each pass, of Y and of the colour channels, at the mean over time and at other temporal
# frequencies: the hard threshold in sigma, the noise power of the Wiener gain in sigma^2. The mean holds nearly all of
# the picture, so that what is small there is still more often picture than noise; colour has little detail.
STRENGTH = ((2.3, 2.9), (2.3, 3.2), (2.3, 3.2)), ((0.5, 1.0), (0.5, 1.0), (0.5, 1.0))
KAISER = (2.0, 1.3)  # beta of the aggregation window in each pass: V-BM4D software
RADIUS = np.array([2, 8, 3])  # first search; then, where nothing was close, that in the next frame and in later ones
PENALTY = 6.0  # cost of a pixel off the prediction, in noise variances: still blocks must not chase noise
CALM = 0.1  # PENALTY of the second pass is that part of the first one's: the pilot is calmer
CLOSE = (1.1, 0.1)  # a match is good enough at this many expected squared distances of two noisy copies, in each pass
MISMATCH = (8.0, 2.0)  # a trajectory stops at this many
LEAST = 0.1  # least deviation of the noise at a level, in sigma: a weight is the inverse of its square
STRIDE = {"fast": 2, "vbm4d": 1}  # frames from one full set of reference blocks to the next
FULL, DENSE = 2, 1  # frames at each end of a clip with all reference blocks, and with twice as many, if STRIDE is 2


@dataclass(frozen=True)
class Draw:
    """sigma: deviation of the noise to remove, 8-bit code values. None: `apply` estimates it from its frames.
    curve: what it is at some levels, (level, deviation); in between by interpolation. Without one, sigma everywhere.
    """

    sigma: float | None
    curve: tuple[tuple[float, float], ...] = ()


def draw(config: DenoiseConfig, rng: np.random.Generator) -> Draw:
    """The config's sigma, or None where it says auto: then replace it by `estimate(frames)`. Draws nothing."""
    return Draw(None if config.sigma == "auto" else float(config.sigma))


def apply(frames: Tensor, config: DenoiseConfig, draw: Draw, keep: slice | None = None) -> Tensor:
    """Denoise a stack; with `keep`, only these frames, the others serving as context: CONTEXT each side is enough.

    sigma = 0 returns the frames untouched. Raises InputError for frames that are no frames or smaller than a block,
    RecipeError for a sigma that is none. With all frames kept, the result is that of `stream`, bit for bit.
    """
    fr.check(frames, "denoise")
    draw = estimate(frames) if draw.sigma is None else draw
    kept = range(len(frames))[keep or slice(None)]
    if draw.sigma == 0 or len(kept) == 0:
        return frames[kept.start : kept.stop].clone()
    return torch.cat(list(_denoise(frames, config, draw, kept))).to(frames.device)


def stream(frames: Iterable[Tensor], config: DenoiseConfig, draw: Draw) -> Iterator[Tensor]:
    """Denoise a long video of (3, H, W) or (1, 3, H, W) frames; yields (1, 3, H, W), as many as come in.

    The first frame leaves when 4 H + 1 have come in; memory does not grow with the video.
    """
    if draw.sigma == 0:
        return (frame.reshape(1, *frame.shape[-3:]) for frame in frames)
    return _denoise(frames, config, draw, None)


def _denoise(frames: Iterable[Tensor], config: DenoiseConfig, draw: Draw, kept: range | None) -> Iterator[Tensor]:
    if draw.sigma is None or not (math.isfinite(draw.sigma) and 0 < draw.sigma <= 100):
        raise RecipeError(
            f"denoise: sigma is {draw.sigma}", "give a standard deviation of 0 to 100 code values, or auto"
        )
    if config.profile == "vbm4d" or not cuda.available():
        frames = map(Tensor.cpu, frames)
    rings: list = []  # what both passes work on
    basic = _estimates(map(_noisy, frames), 0, draw, config.profile, kept, rings)
    yield from map(_display, _estimates(basic, 1, draw, config.profile, kept, rings))


def _noisy(frame: Tensor) -> tuple:
    """The planes of a frame, and as its own pilot."""
    planes = _opponent(frame)
    return planes, planes


def _display(planes: tuple) -> Tensor:
    """(noisy, estimate) opponent planes -> the estimate, (1, 3, H, W) display."""
    return torch.as_tensor(_mix(np.linalg.inv(OPPONENT) / 255, planes[1])).clamp_(0, 1)[None]


def _opponent(frame: Tensor) -> np.ndarray | Tensor:
    """(3, H, W) or (1, 3, H, W) display -> (3, H, W) opponent planes in 8-bit code values; on CUDA a tensor."""
    fr.check(frame.reshape(1, *frame.shape[-3:]), "denoise")
    _check_size(frame)
    planes = frame.reshape(frame.shape[-3:])
    return _mix(OPPONENT * 255, planes if frame.is_cuda else planes.numpy())


def _check_size(frames: Tensor) -> None:
    height, width = frames.shape[-2:]
    if min(height, width) < 8:
        raise InputError(
            f"denoise: a frame of {width}x{height} is smaller than a block of 8x8", "leave denoise out", "size"
        )


def _mix(matrix: np.ndarray, planes: np.ndarray | Tensor) -> np.ndarray | Tensor:
    """A 3x3 matrix on the channels of (3, H, W) float32; elementwise, since a BLAS may round by its thread count."""
    matrix = matrix.astype(np.float32)
    if isinstance(planes, np.ndarray):
        return mix(matrix, planes, np.empty_like(planes))
    return torch.stack([a * planes[0] + b * planes[1] + c * planes[2] for a, b, c in matrix.tolist()])


def _estimates(pairs: Iterable, stage: int, draw: Draw, profile: str, kept: range | None, rings: list) -> Iterator:
    """One pass: (noisy, pilot) planes in, (noisy, estimate) planes out, in order, H frames later.

    stage 0 is the hard threshold, 1 the Wiener filter. kept: the frames that are wanted in the end, all for None; in
    the second pass no other is a reference. rings: see `groups_cpu.Groups`.
    """
    pairs, stride = iter(pairs), STRIDE[profile]
    count, now = 0, 0
    volumes: Any = None
    while True:
        for planes in islice(pairs, max(0, max(now, H) + H + 1 - count)):
            volumes = volumes or _volumes(planes[0], stage, draw, profile, rings)
            volumes.put(count, *planes)
            count += 1
        planes = None  # they are in the rings
        if now >= count + H or (now >= count and count == 0):
            return
        wanted = range(count) if kept is None or stage == 0 else kept
        if now < count and now in wanted:
            from_end = _from_end(now, count, kept)
            everywhere = (now - wanted.start) % stride == 0 or now == wanted[-1] or from_end < FULL
            for phase in range(now, now + 1 + (stride > 1 and from_end < DENSE)):
                volumes.add(phase % 2, *_reach(now, count, wanted, profile), everywhere)
        if now - H in wanted:
            yield volumes.finish(now - H)
        now += 1


def _from_end(now: int, count: int, kept: range | None) -> int:
    """Frames from `now` to the nearer end of the clip, if it is less than H and the end is wanted."""
    before = now if kept is None or kept[0] == 0 else H
    return min(before, count - 1 - now if kept is None or kept[-1] == count - 1 else H)


def _reach(now: int, count: int, wanted: range, profile: str) -> tuple[np.ndarray, np.ndarray]:
    """Ring slots of the frames around `now`, itself in the middle, and of those that blocks are put back into; or -1.

    count: how many frames have come; wanted: the frames that need an estimate; those before now - H have left.
    Near an end of the clip a volume reaches further the other way: it has 2 H + 1 frames everywhere. In vbm4d it is
    shorter there, as in the paper.
    """
    span = 2 * H + 1
    first = max(0, now - H if profile == "vbm4d" else min(now - H, count - span))
    last = min(now + H if profile == "vbm4d" else first + span - 1, count - 1)
    reach = max(now - first, last - now, H)
    near = range(now - reach, now + reach + 1)
    slots = np.array([t % span if first <= t <= last else -1 for t in near])
    targets = np.array([t % span if t in wanted and now - H <= t <= last else -1 for t in near])
    return slots, targets


def _volumes(planes: np.ndarray | Tensor, stage: int, draw: Draw, profile: str, rings: list):
    """What filters the volumes of one pass: the fast twin for where the planes are, or the reference."""
    deviations, kaiser = draw.sigma * GAIN, np.kaiser(8, KAISER[stage])
    variance, size = deviations[0] ** 2, planes.shape[1:]
    penalty, copies = PENALTY * variance * (CALM if stage else 1), 2 * 64 * variance
    follow = RADIUS, penalty, CLOSE[stage] * copies, MISMATCH[stage] * copies
    if profile == "vbm4d":
        grids = [[_grid(length, 0, PASSES[stage].block, PASSES[stage].step) for length in size]] * 2
        return vbm4d.groups()(planes, stage == 0, H, deviations, LAMBDA, PASSES[stage], grids, rings)
    grids = [[_grid(length, phase) for length in size] for phase in (0, STEP // 2)]
    return vbm4d.volumes(planes)(
        planes, stage == 0, H, deviations, _table(draw), np.outer(kaiser, kaiser).ravel(), STRENGTH[stage],
        *follow, grids,
    )  # fmt: skip


def _table(draw: Draw) -> np.ndarray | None:
    """(256,) variance of the noise at each level, in sigma^2; None where it is one everywhere."""
    return np.maximum(at(list(draw.curve), np.arange(256)) / draw.sigma, LEAST) ** 2 if draw.curve else None


def _grid(size: int, phase: int, block: int = 8, step: int = STEP) -> np.ndarray:
    """Places of the reference blocks along an axis: every `step` pixels from `phase`, and both ends."""
    return np.unique(np.concatenate([[0], np.arange(phase, size - block + 1, step), [size - block]]))


def estimate(frames: Tensor, pairs: int = 6) -> Draw:
    """The noise of a stack (T, 3, H, W), in 8-bit code values: its deviation, mean over R, G and B, and what that is by
    level.

    From changes in time (kernels/vbm4d/noise_level.py): of blocks in up to `pairs` neighbouring frames when the camera
    moves, of blocks and of windows over 9 frames when it rests, which takes a stack of 9. One frame has no difference:
    the median of its finest diagonal detail (MAD) serves instead. At most 100, as `apply` takes no more.
    """
    fr.check(frames, "estimate")
    frames = frames.cpu()
    _check_size(frames)
    if len(frames) == 1:
        detail = 255 * (frames[..., :-1, :-1] + frames[..., 1:, 1:] - frames[..., :-1, 1:] - frames[..., 1:, :-1]) / 2
        return Draw(min(float(detail.abs().median() / 0.6745), 100.0))
    starts = np.unique(np.linspace(0, len(frames) - 2, min(pairs, len(frames) - 1)).astype(int))
    luma = np.stack([_opponent(frame)[:1] for frame in frames])
    variance, knots = noise_curve(255 * frames.permute(0, 2, 3, 1).numpy(), luma, starts)
    curve = tuple((round(level, 1), round(min(math.sqrt(noise), 100.0), 3)) for level, noise in knots)
    return Draw(round(min(math.sqrt(variance), 100.0), 3), curve if len(curve) > 1 else ())
