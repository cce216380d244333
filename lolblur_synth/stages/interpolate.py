"""interpolate: raise the frame rate by optical flow (section 3.2: 250 to 2000 fps, there by a network).

In   (T, 3, H, W) float32, display sRGB, 0..1, neighbouring frames of one shot
Out  ((T - 1) * factor + 1, 3, H, W) float32, display sRGB, 0..1; every factor-th frame is a source frame
Random: nothing.

Motion is estimated once for each pair of frames, both ways (kernels/inverse_search, after Kroeger 2016, "Fast optical
flow using dense inverse search"), and serves any number of instants. At the instant t of a pair both motions are
carried along themselves to where things are at t ("splatted"), and each frame is fetched from there by a cubic spline:

    sample(x) = (1 - m) first(x - t v(x) + q(x)) + m second(x + (1 - t) v(x) + q(x)),
    m = t, or the frame that sees x alone;    q = t (1 - t) b, b half the acceleration (exposure/acceleration.py)

Acceleration is known where there is a frame before the pair and one after it; elsewhere the path is straight. The
method `net` lets a network correct all of it: both motions, v, q and m at each instant (models/flow.py). The method
`sepconv` knows no motion: the paper's network finds the frame halfway, and again halfway to it, up to 1/64.

Motion lives on cells of 2x2 pixels: by default nothing finer is searched. It may be estimated on a brighter `guide`
than the frames that are fetched. A cut has no in-between: `motion` refuses it, or holds each frame for its half of the
interval.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.kernels import exposure
from lolblur_synth.kernels import inverse_search as search
from lolblur_synth.kernels.exposure.acceleration import bends
from lolblur_synth.kernels.exposure.reference import CELL
from lolblur_synth.models import flow, sepconv
from lolblur_synth.recipe.schema import InterpolateConfig

TRUST = np.exp(-np.arange(256) / (255 * flow.TOLERANCE)).astype(np.float32)  # by difference of code values
PRESETS = {  # px between patches, sweeps over them, down to the full resolution
    "ultrafast": (8, 1, False),
    "fast": (4, 1, False),
    "medium": (4, 3, False),
    "fine": (4, 3, True),
}
MIN_SIDE = 32  # px; below it there is no pyramid
GUIDE_MEDIAN = 0.4  # a darker guide is brightened by a power curve until its median is there ...
GUIDE_GAMMA = 0.4  # ... but by no stronger one than this: it lifts the noise as well
FLAT = (1 / 255) ** 2  # variance of a frame without content, where correlation would be that of noise
PERCENTILE = 99.5  # of the motion's length, which the adaptive factor follows


@dataclass(frozen=True)
class Draw:
    """Nothing is random here."""


@dataclass(frozen=True)
class Motion:
    """Of each of T - 1 frame pairs. h, w = ceil(H / CELL), ceil(W / CELL); float32.

    forward, backward: (T-1, h, w, 3), where each cell goes from the first to the second frame, and back:
        (dx, dy) in pixels an interval, and trust, 0..1: how well the two frames agree along it.
    bend: (T-1, 2, h, w, 2), half the acceleration of each cell of the first frame, and of the second
        (kernels/exposure/acceleration.py).
    confidence: (T-1,), mean trust; NaN where a method knows none.
    still: (T-1,) bool, nothing moves: cross-fade. cut: (T-1,) bool, hold.
    fuse: None, or (pair, n instants of its interval, v and q there (n, 4, h, w)) -> (n, 6, h, w): both corrected, the
        share of the second frame, and that of a cross-fade (models/flow.py).
    render: None, or (frames, pair, t, above=None) -> the sample (3, H, W), by a network that knows no motion
        (models/sepconv.py); with light above white, (T, 3, H, W) linear, that of the sample follows: (6, H, W).
    """

    forward: np.ndarray
    backward: np.ndarray
    bend: np.ndarray
    confidence: np.ndarray
    still: np.ndarray
    cut: np.ndarray
    fuse: Callable[[int, np.ndarray, np.ndarray], np.ndarray] | None = None
    render: Callable[..., Tensor] | None = None


def draw(config: InterpolateConfig, rng: np.random.Generator) -> Draw:
    return Draw()


def apply(frames: Tensor, config: InterpolateConfig, draw: Draw | None = None, guide: Tensor | None = None) -> Tensor:
    """All samples of a stack. A cut is held, not refused: this is for a video as a whole."""
    fr.check(frames, "interpolate")
    found = motion(frames if guide is None else guide, config, refuse_cuts=False)
    steps = factor(found, config)
    times = np.arange((len(frames) - 1) * steps + 1) / steps
    return torch.stack(list(samples(frames, found, times)))


def motion(guide: Tensor, config: InterpolateConfig, refuse_cuts: bool = True) -> Motion:
    """Motion between neighbouring frames of (T, 3, H, W) display, T >= 2. Raises InputError("cut") at a scene cut."""
    fr.check(guide, "interpolate")
    if len(guide) < 2:
        raise InputError("interpolate: one frame has no motion", "pass at least two frames", "too-short")
    height, width = guide.shape[2:]
    grey = _grey(guide)
    cut = cuts(guide, config.cut)
    if refuse_cuts and cut.any():
        where = f"frames {cut.argmax()} and {cut.argmax() + 1}"
        hint = "choose a window within one shot, or raise interpolate.cut"
        raise InputError(f"interpolate: scene cut between {where}", hint, "cut")
    still = np.array([np.array_equal(a, b) for a, b in zip(grey[:-1], grey[1:], strict=True)])
    if config.method == "blend":
        still[:] = True
    moving = ~(still | cut)
    if config.method != "sepconv" and min(height, width) < MIN_SIDE and moving.any():
        hint = f"use frames of at least {MIN_SIDE} pixels a side, or interpolate.method=blend"
        raise InputError(f"interpolate: {width}x{height} is too small for optical flow", hint, "too-small")
    cells = (len(grey) - 1, -(-height // CELL), -(-width // CELL), 3)
    forward, backward = np.zeros(cells, np.float32), np.zeros(cells, np.float32)
    forward[..., 2] = backward[..., 2] = 1
    bend = np.zeros((cells[0], 2, *cells[1:3], 2), np.float32)
    if config.method == "sepconv":
        unknown = np.where(still, 1, np.where(cut, 0, np.nan)).astype(np.float32)
        return Motion(forward, backward, bend, unknown, still, cut, render=_halving(guide, config))
    preset = PRESETS["fine" if config.method == "net" else config.preset]  # it costs little beside the network
    for pair, both in _flows(grey, np.flatnonzero(moving), preset):
        forward[pair], backward[pair] = both
    if config.path == "curved":
        bend = bends(forward, backward, moving)
    trust = 0.5 * (forward[..., 2].mean((1, 2)) + backward[..., 2].mean((1, 2)))
    fuse = None
    if config.method == "net":
        pairs = np.flatnonzero(moving).tolist()
        fuse = flow.correct(config.weights or flow.BUNDLED, guide, forward, backward, trust, pairs)
    confidence = np.where(cut, 0, trust)
    return Motion(forward, backward, bend, confidence.astype(np.float32), still, cut, fuse)


def factor(motion: Motion, config: InterpolateConfig) -> int:
    """Samples an interval: the config's, or for "adaptive" 8 and more, so that next to nothing jumps over a pixel."""
    if config.factor != "adaptive":
        return config.factor
    length = np.hypot(motion.forward[..., 0], motion.forward[..., 1])
    fastest = max(float(np.percentile(pair, PERCENTILE)) for pair in length)
    return int(np.clip(np.ceil(fastest), 8, config.most))


def samples(frames: Tensor, motion: Motion, times: np.ndarray) -> Iterator[Tensor]:
    """The frames at `times`, positions 0..T-1, one (3, H, W) at a time."""
    for time in times:
        yield sample(frames, motion, float(time))


def sample(frames: Tensor, motion: Motion, time: float) -> Tensor:
    """The frame at position `time`, 0..T-1, of (T, 3, H, W): (3, H, W) display, 0..1."""
    if not 0 <= time <= len(frames) - 1:
        raise UsageError(f"interpolate: time {time} is outside of 0..{len(frames) - 1}", "pass more frames")
    pair = min(int(time), len(frames) - 2)
    t = time - pair
    first, second = frames[pair], frames[pair + 1]
    if t in (0, 1) or motion.cut[pair]:
        return (first if t < 0.5 else second).clone()
    if motion.still[pair]:
        return first + t * (second - first)
    if motion.render:
        return motion.render(frames, pair, t)
    return exposure.sample(frames, motion, time)


def _halving(guide: Tensor, config: InterpolateConfig) -> Callable[[Tensor, int, float], Tensor]:
    """`Motion.render` by SepConv, which finds the frame halfway, then those halfway to it, as the guide moves.

    Of the frames on the way it keeps those that led to the last instant: later ones of the interval begin there.
    """
    net, known, source = sepconv.load(sepconv.required(config)).to(guide.device), {}, None

    @torch.inference_mode()
    def render(frames: Tensor, pair: int, t: float, above: Tensor | None = None) -> Tensor:
        nonlocal known, source
        if source is None or frames is not source[0] or above is not source[1]:
            known, source = {}, (frames, above)
        stacks = [guide, frames] if above is None else [guide, frames, above]
        first, second = (torch.cat([stack[i] for stack in stacks])[None] for i in (pair, pair + 1))
        low, high, way = 0.0, 1.0, {}
        while (pair, t) not in way:
            middle = (low + high) / 2
            half = known.get((pair, middle))
            way[pair, middle] = half = net.between(first, second) if half is None else half
            low, high, first, second = (low, middle, first, half) if t < middle else (middle, high, half, second)
        known = way
        return way[pair, t][0, 3:]

    return render


def _grey(guide: Tensor) -> np.ndarray:
    """(T, H, W) uint8 for the flow. A dark guide is brightened, by one curve for all frames."""
    red, green, blue = guide[len(guide) // 2, :, ::2, ::2].clamp(0, 1)
    median = float((0.299 * red + 0.587 * green + 0.114 * blue).median().clamp_min(1e-4))
    gamma = min(1.0, max(GUIDE_GAMMA, np.log(GUIDE_MEDIAN) / np.log(min(median, 0.99))))
    return np.stack([search.grey(frame, np.float32(gamma)) for frame in guide.cpu().numpy()])


def _flows(grey: np.ndarray, pairs: np.ndarray, preset: tuple[int, int, bool]) -> Iterator[tuple[int, tuple]]:
    """(pair, (forward, backward)) of each of `pairs`, ascending, as `Motion` holds them; two pyramids at a time."""
    levels: dict[int, list] = {}
    for pair in pairs.tolist():
        levels = {i: levels[i] if i in levels else search.pyramid(grey[i], preset[2]) for i in (pair, pair + 1)}
        first, second = levels[pair], levels[pair + 1]
        yield pair, (search.flow(first, second, *preset, TRUST), search.flow(second, first, *preset, TRUST))


def cuts(guide: Tensor, limit: float) -> np.ndarray:
    """(T-1,) bool: two frames of (T, 3, H, W) do not look alike, and 4 times less than the pairs before and after.

    The measure is 1 - r, the correlation of thumbnails: dark scenes differ by few code values, and yet they differ.
    Two frames alone are no cut: there is nothing to compare them with, and who passes them wants what is between.
    """
    size = min(90, guide.shape[2]), min(160, guide.shape[3])
    small = F.interpolate(guide.clamp(0, 1).mean(1, keepdim=True), size=size, mode="area").sqrt().flatten(1)
    small = small - small.mean(1, keepdim=True)
    power = small.square().mean(1)
    change = (small[1:] - small[:-1]).square().mean(1) / (power[1:] + power[:-1] + FLAT)
    beside = F.pad(change, (1, 1), value=0 if len(change) > 1 else torch.inf)
    return ((change > limit) & (change > 4 * torch.maximum(beside[:-2], beside[2:]))).cpu().numpy()
