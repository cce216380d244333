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

Profile `fast`: in every third frame of the first pass, in every second one of the second, and in the last one, all
blocks of a grid are references; in other frames only those over pixels that no volume of an earlier frame has
estimated. The grid moves by half of its step from one of these frames to the next. Fewer volumes overlap at the ends of
a clip, so the two outermost frames there have the whole grid, and the first and the last frame a second grid between it
as well.

Profile `vbm4d`, for comparison: the paper's. Similar volumes round each reference are collected before the transform,
which gets a Haar transform over the group; blocks are followed as in the paper, with the numbers of its Table I
(kernels/vbm4d/paper_profile.py). It is slow, and runs on the CPU.

Real noise depends on the level. Where sigma is estimated, `fast` uses the noise at the level of each reference block;
profile `vbm4d`, and a sigma that was asked for, are one number for all levels.

Estimate once a clip or segment and give all of its pairs the same Draw: pairs denoised with different strengths
flicker.
"""

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError, RecipeError
from lolblur_synth.kernels import cuda
from lolblur_synth.kernels.vbm4d.noise_level import noise_curve
from lolblur_synth.recipe.schema import DenoiseConfig
from lolblur_synth.stages.denoise import passes
from lolblur_synth.stages.denoise.passes import H

CONTEXT = H  # frames on each side of a window that make its ends as good as its middle
MAX_SIGMA = 100.0  # 8-bit code values
MAD_OF_UNIT_NORMAL = 0.6745  # median of |x| for normal x of deviation 1


@dataclass(frozen=True)
class Draw:
    """sigma: deviation of the noise to remove, 8-bit code values. None: `apply` estimates it from its frames.
    curve: (level, deviation) at some levels, between which it is interpolated; empty: sigma at all levels.
    """

    sigma: float | None
    curve: tuple[tuple[float, float], ...] = ()


def draw(config: DenoiseConfig, rng: np.random.Generator) -> Draw:
    """The config's sigma, or None for "auto": the caller then takes `estimate(frames)` instead. Draws nothing."""
    return Draw(None if config.sigma == "auto" else float(config.sigma))


def apply(frames: Tensor, config: DenoiseConfig, draw: Draw, keep: slice | None = None) -> Tensor:
    """Denoise a stack, (T, 3, H, W) display -> the same; `keep`: return only these frames, the others are context.

    CONTEXT frames on each side are enough. sigma = 0 returns the frames untouched. With all frames kept, the result is
    that of `stream`, bit for bit. InputError: not frames, or smaller than a block; RecipeError: sigma out of range.
    """
    fr.check(frames, "denoise")
    draw = estimate(frames) if draw.sigma is None else draw
    kept = range(len(frames))[keep or slice(None)]
    if draw.sigma == 0 or len(kept) == 0:
        return frames[kept.start : kept.stop].clone()
    return torch.cat(list(_denoise(frames, config, draw, kept))).to(frames.device)


def stream(frames: Iterable[Tensor], config: DenoiseConfig, draw: Draw, kept: range | None = None) -> Iterator[Tensor]:
    """Denoise a long video of (3, H, W) or (1, 3, H, W) frames; yields (1, 3, H, W), as many as come in.

    kept: yield only these of the frames, counted from 0; the others are context, as for `apply`. The first frame leaves
    when 4 H + 1 have come in; memory does not grow with the video.
    """
    if draw.sigma == 0:
        shown = kept or range(sys.maxsize)
        return (frame.reshape(1, *frame.shape[-3:]) for number, frame in enumerate(frames) if number in shown)
    return _denoise(frames, config, draw, kept)


def _denoise(frames: Iterable[Tensor], config: DenoiseConfig, draw: Draw, kept: range | None) -> Iterator[Tensor]:
    if draw.sigma is None or not (math.isfinite(draw.sigma) and 0 < draw.sigma <= MAX_SIGMA):
        raise RecipeError(
            f"denoise: sigma is {draw.sigma}", "give a standard deviation of 0 to 100 code values, or auto"
        )
    if config.profile == "vbm4d" or not cuda.available():
        frames = map(Tensor.cpu, frames)
    rings: list = []  # shared by both passes
    noisy = map(_opponent, frames)
    basic = passes.estimates(((planes, planes) for planes in noisy), 0, draw, config.profile, kept, rings)
    for _, estimate in passes.estimates(basic, 1, draw, config.profile, kept, rings):
        yield passes.display(estimate)


def _opponent(frame: Tensor) -> np.ndarray | Tensor:
    """`passes.opponent` of a frame that is one. InputError: it is not, or smaller than a block."""
    fr.check(frame.reshape(1, *frame.shape[-3:]), "denoise")
    _check_size(frame)
    return passes.opponent(frame)


def _check_size(frames: Tensor) -> None:
    height, width = frames.shape[-2:]
    if min(height, width) < 8:
        raise InputError(
            f"denoise: a frame of {width}x{height} is smaller than a block of 8x8", "leave denoise out", "size"
        )


def estimate(frames: Tensor, pairs: int = 6) -> Draw:
    """The noise of a stack (T, 3, H, W) display, in 8-bit code values: its deviation, mean over R, G and B, for all
    levels and by level. InputError: not frames, or smaller than a block.

    It is measured from changes in time (kernels/vbm4d/noise_level.py): of blocks in up to `pairs` pairs of neighbouring
    frames, and, where the camera rests and the stack has 9 frames, of blocks and windows over 9 frames. In a single
    frame the median of the finest diagonal detail (MAD) serves instead. At most MAX_SIGMA, the limit of `apply`.
    """
    fr.check(frames, "estimate")
    frames = frames.cpu()
    _check_size(frames)
    if len(frames) == 1:
        detail = 255 * (frames[..., :-1, :-1] + frames[..., 1:, 1:] - frames[..., :-1, 1:] - frames[..., 1:, :-1]) / 2
        return Draw(min(float(detail.abs().median() / MAD_OF_UNIT_NORMAL), MAX_SIGMA))
    starts = np.unique(np.linspace(0, len(frames) - 2, min(pairs, len(frames) - 1)).astype(int))
    luma = np.stack([_opponent(frame)[:1] for frame in frames])
    variance, knots = noise_curve(255 * frames.permute(0, 2, 3, 1).numpy(), luma, starts)
    curve = tuple((round(level, 1), round(min(math.sqrt(noise), MAX_SIGMA), 3)) for level, noise in knots)
    return Draw(round(min(math.sqrt(variance), MAX_SIGMA), 3), curve if len(curve) > 1 else ())
