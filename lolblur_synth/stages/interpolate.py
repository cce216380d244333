"""interpolate: raise the frame rate by optical flow (section 3.2: 250 to 2000 fps, there by a network).

In   (T, 3, H, W) float32, display sRGB, 0..1, neighbouring frames of one shot
Out  ((T - 1) * factor + 1, 3, H, W) float32, display sRGB, 0..1; every factor-th frame is a source frame
Random: nothing.

Motion is estimated once for each pair of frames, in both directions (kernels/inverse_search, after Kroeger 2016, "Fast
optical flow using dense inverse search"), and serves any number of instants. At the instant t of a pair each cell of
both motions is carried along its own motion to where it is at t ("splatted"), and both frames are fetched along that by
a cubic spline:

    sample(x) = (1 - m) first(x - t v(x) + q(x)) + m second(x + (1 - t) v(x) + q(x)),
    v  motion at t;    q = t (1 - t) b, b half the acceleration (kernels/exposure/acceleration.py)
    m = t, or 0 or 1 where only one of the two frames shows the point

Acceleration is measured where there is a frame before the pair and one after it; elsewhere the path is straight. With
method `net` a network corrects both motions, and v, q and m at each instant (models/flow.py). Method `sepconv` uses no
motion: the paper's network makes the frame halfway, then the frames halfway to that one, down to 1/64 of the interval.

Motion is held on cells of 2x2 pixels, because by default the search stops at half the resolution. It may be estimated
on a brighter `guide` than the frames that are fetched. Nothing lies between two shots: at a scene cut `motion` raises
InputError, or each frame is held for its half of the interval.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.kernels import exposure, inverse_search
from lolblur_synth.models import flow, sepconv
from lolblur_synth.recipe.schema import InterpolateConfig


class Preset(NamedTuple):
    """How thoroughly motion is searched."""

    stride: int  # px from patch to patch
    passes: int  # sweeps over the patches
    fine: bool  # down to the full resolution, instead of half of it


PRESETS = {
    "ultrafast": Preset(8, 1, False),
    "fast": Preset(4, 1, False),
    "medium": Preset(4, 3, False),
    "fine": Preset(4, 3, True),
}
TRUST = np.exp(-np.arange(256) / (255 * flow.TOLERANCE)).astype(np.float32)  # 0..1, by difference in code values
MIN_SIDE = 32  # px; a smaller frame has no pyramid
GUIDE_MEDIAN = 0.4  # display value, 0..1: a darker guide is brightened by a power curve until its median is this ...
GUIDE_GAMMA = 0.4  # ... but by no smaller exponent than this, because the curve amplifies noise as well
NOISE_VARIANCE = (1 / 255) ** 2  # of display values; added, so that two frames without content count as alike
MOTION_PERCENTILE = 99.5  # of the length of the motion in a frame pair: what the adaptive factor follows
THUMBNAIL = 90, 160  # px, height and width at most: frames are compared at this size to find cuts
CUT_RATIO = 4  # a cut changes the picture by this many times what the pairs before and after it do


@dataclass(frozen=True)
class Draw:
    """Nothing is random here."""


@dataclass(frozen=True)
class Motion:
    """The motion of each of T - 1 frame pairs; float32, on cells, h, w = ceil(H / CELL), ceil(W / CELL).

    The first three are arrays; where the search ran on a CUDA device they are tensors that stay there.

    forward, backward: (T-1, h, w, 3), where each cell goes from the first to the second frame, and back:
        (dx, dy) in pixels an interval, and trust, 0..1: how well the two frames agree along it.
    bend: (T-1, 2, h, w, 2), half the acceleration of each cell of the first frame, and of the second, pixels an
        interval^2 (kernels/exposure/acceleration.py).
    confidence: (T-1,), mean trust, 0..1; NaN where the method measures none.
    still: (T-1,) bool: nothing moves, samples are cross-fades. cut: (T-1,) bool: each frame is held for its half.
    correct_fields: None, or (pair, n instants of its interval, v and q there (n, 4, h, w)) -> (n, 6, h, w): v and q
        corrected, the share of the second frame, and the share of a cross-fade, both 0..1 (models/flow.py).
    render_sample: None, or (frames, pair, t, above=None) -> the sample (3, H, W), by a network without motion
        (models/sepconv.py); with light above white, (T, 3, H, W) linear, that of the sample follows: (6, H, W).
    """

    forward: np.ndarray | Tensor
    backward: np.ndarray | Tensor
    bend: np.ndarray | Tensor
    confidence: np.ndarray
    still: np.ndarray
    cut: np.ndarray
    correct_fields: Callable[[int, np.ndarray, np.ndarray], np.ndarray] | None = None
    render_sample: Callable[..., Tensor] | None = None


def draw(config: InterpolateConfig, rng: np.random.Generator) -> Draw:
    return Draw()


def apply(frames: Tensor, config: InterpolateConfig, draw: Draw | None = None, guide: Tensor | None = None) -> Tensor:
    """All samples of a stack, (T, 3, H, W) display -> ((T - 1) * factor + 1, 3, H, W).

    guide: frames of the same size to estimate motion on; None: `frames`. At a cut frames are held, because a whole
    video may have some. InputError: no frames, fewer than two, or too small.
    """
    fr.check(frames, "interpolate")
    field = motion(frames if guide is None else guide, config, refuse_cuts=False)
    steps = factor(field, config)
    times = np.arange((len(frames) - 1) * steps + 1) / steps
    return torch.stack(list(samples(frames, field, times)))


def motion(guide: Tensor, config: InterpolateConfig, refuse_cuts: bool = True) -> Motion:
    """Motion between neighbouring frames of (T, 3, H, W) display, T >= 2.

    InputError: no frames, fewer than two, too small, or, with `refuse_cuts`, a scene cut (reason "cut").
    """
    fr.check(guide, "interpolate")
    if len(guide) < 2:
        raise InputError("interpolate: one frame has no motion", "pass at least two frames", "too-short")
    height, width = guide.shape[2:]
    grey = grey_codes(guide)
    cut = cuts(guide, config.cut)
    if refuse_cuts and cut.any():
        where = f"frames {cut.argmax()} and {cut.argmax() + 1}"
        hint = "choose a window within one shot, or raise interpolate.cut"
        raise InputError(f"interpolate: scene cut between {where}", hint, "cut")
    still = (grey[1:] == grey[:-1]).flatten(1).all(1).cpu().numpy()
    if config.method == "blend":
        still[:] = True
    moving = ~(still | cut)
    if config.method != "sepconv" and min(height, width) < MIN_SIDE and moving.any():
        hint = f"use frames of at least {MIN_SIDE} pixels a side, or interpolate.method=blend"
        raise InputError(f"interpolate: {width}x{height} is too small for optical flow", hint, "too-small")
    searched = moving & (config.method != "sepconv")
    preset = PRESETS["fine" if config.method == "net" else config.preset]  # "fine" costs little beside the network
    forward, backward = inverse_search.flows(grey, searched, *preset, TRUST)
    bend = exposure.bends(forward, backward, searched & (config.path == "curved"))
    if config.method == "sepconv":
        unknown = np.where(still, 1, np.where(cut, 0, np.nan)).astype(np.float32)
        return Motion(forward, backward, bend, unknown, still, cut, render_sample=_halving(guide, config))
    trust = _on_host(0.5 * (forward[..., 2].mean((1, 2)) + backward[..., 2].mean((1, 2))))
    correct_fields = None
    if config.method == "net":
        forward, backward = _on_host(forward), _on_host(backward)  # where the network runs
        pairs = np.flatnonzero(moving).tolist()
        correct_fields = flow.correct(config.weights or flow.BUNDLED, guide, forward, backward, trust, pairs)
    confidence = np.where(cut, 0, trust)
    return Motion(forward, backward, bend, confidence.astype(np.float32), still, cut, correct_fields)


def _on_host(values: np.ndarray | Tensor) -> np.ndarray:
    return torch.as_tensor(values).cpu().numpy()


def factor(motion: Motion, config: InterpolateConfig) -> int:
    """Samples in a source-frame interval: the config's number; for "adaptive" 8 to `config.most`, enough that hardly
    anything moves by more than a pixel from one to the next."""
    if not isinstance(config.factor, str):  # "adaptive"
        return config.factor
    length = torch.as_tensor(motion.forward)[..., :2].norm(dim=-1).flatten(1)
    fastest = float(torch.stack([pair.quantile(MOTION_PERCENTILE / 100) for pair in length]).max())
    return int(np.clip(np.ceil(fastest), 8, config.most))


def samples(frames: Tensor, motion: Motion, times: np.ndarray) -> Iterator[Tensor]:
    """The frames at `times`, positions 0..T-1, one (3, H, W) at a time."""
    for time in times:
        yield sample(frames, motion, float(time))


def sample(frames: Tensor, motion: Motion, time: float) -> Tensor:
    """The frame at position `time`, 0..T-1, of (T, 3, H, W): (3, H, W) display, 0..1. UsageError: outside of that."""
    if not 0 <= time <= len(frames) - 1:
        raise UsageError(f"interpolate: time {time} is outside of 0..{len(frames) - 1}", "pass more frames")
    pair = min(int(time), len(frames) - 2)
    t = time - pair
    first, second = frames[pair], frames[pair + 1]
    if t in (0, 1) or motion.cut[pair]:
        return (first if t < 0.5 else second).clone()
    if motion.still[pair]:
        return first + t * (second - first)
    if motion.render_sample:
        return motion.render_sample(frames, pair, t)
    return exposure.sample(frames, motion, time)


def _halving(guide: Tensor, config: InterpolateConfig) -> Callable[[Tensor, int, float], Tensor]:
    """`Motion.render_sample` by SepConv: the frame halfway, then the frame halfway to that one, and so on.

    Kernels are found on the guide, which is halved along with the frames. The frames on the way to the last instant are
    kept, because later instants of the interval start from them.
    """
    net, source = sepconv.load(sepconv.required(config)).to(guide.device), None
    kept: dict[tuple[int, float], Tensor] = {}

    @torch.inference_mode()
    def render_sample(frames: Tensor, pair: int, t: float, above: Tensor | None = None) -> Tensor:
        nonlocal kept, source
        if source is None or frames is not source[0] or above is not source[1]:
            kept, source = {}, (frames, above)
        stacks = [guide, frames] if above is None else [guide, frames, above]
        first, second = (torch.cat([stack[i] for stack in stacks])[None] for i in (pair, pair + 1))
        low, high, way = 0.0, 1.0, {}
        while (pair, t) not in way:
            middle = (low + high) / 2
            half = kept.get((pair, middle))
            way[pair, middle] = half = net.between(first, second) if half is None else half
            low, high, first, second = (low, middle, first, half) if t < middle else (middle, high, half, second)
        kept = way
        return way[pair, t][0, 3:]

    return render_sample


def grey_codes(guide: Tensor) -> Tensor:
    """(T, H, W) uint8 for the search. A dark guide is brightened, by one curve for all frames."""
    red, green, blue = guide[len(guide) // 2, :, ::2, ::2].clamp(0, 1)
    median = float((0.299 * red + 0.587 * green + 0.114 * blue).median().clamp_min(1e-4))
    gamma = min(1.0, max(GUIDE_GAMMA, np.log(GUIDE_MEDIAN) / np.log(min(median, 0.99))))
    return inverse_search.codes(guide, gamma)


def cuts(guide: Tensor, limit: float) -> np.ndarray:
    """(T-1,) bool: where a scene cut lies between two frames of (T, 3, H, W) display: their decorrelation is above
    `limit`, 0..1, and above CUT_RATIO times that of the pairs before and after.

    The measure is 1 - r, r the correlation of thumbnails, and does not depend on brightness: cuts between dark scenes,
    which differ by few code values, are found. Two frames alone are never a cut, because there is nothing to compare
    their difference with.
    """
    size = min(THUMBNAIL[0], guide.shape[2]), min(THUMBNAIL[1], guide.shape[3])
    small = F.interpolate(guide.clamp(0, 1).mean(1, keepdim=True), size=size, mode="area").sqrt().flatten(1)
    small = small - small.mean(1, keepdim=True)
    power = small.square().mean(1)
    change = (small[1:] - small[:-1]).square().mean(1) / (power[1:] + power[:-1] + NOISE_VARIANCE)
    beside = F.pad(change, (1, 1), value=0 if len(change) > 1 else torch.inf)
    return ((change > limit) & (change > CUT_RATIO * torch.maximum(beside[:-2], beside[2:]))).cpu().numpy()
