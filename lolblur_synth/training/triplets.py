"""What the interpolation network is trained on: two frames, their DIS flows and bend, true frames between them.

Most of a batch is taken from videos (two frames some way apart, and frames between them), the rest is rendered: layered
scenes and homography pans over photographs and stills of the videos. The frame before the two and the one after them,
as far away again, tell how the motion bends; where a run of frames ends before, the path is straight. An item is a
function of (seed, step, number).
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.ndimage import spline_filter
from torch import Tensor

from lolblur_synth import draw
from lolblur_synth.errors import InputError
from lolblur_synth.files import listing
from lolblur_synth.files.images import read_display
from lolblur_synth.files.video import IMAGE_SUFFIXES, Input, digest, display, find, probe, survey
from lolblur_synth.recipe.schema import InputConfig, InterpolateConfig
from lolblur_synth.stages import interpolate
from lolblur_synth.training import scenes

WIDTH = 576  # px: stored frames are reduced to it
RUN, RUNS = 19, 18  # frames in a row, and how many such rows of a video
SPANS = (2, 3, 4, 4, 5, 6)  # source frames between the two, drawn alike
TIMES = 2  # instants of each pair
VIDEO_SHARE = 0.65  # of the items, where there are videos
LIT_SHARE, LIT = 0.25, 0.7  # of the items change their light between the two frames, by so much at most (logarithm)
ENLARGED = (1.0, 1.6)  # side of a crop of a video, in sides of an item: it is reduced so much
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footage:
    """runs: (frames, h, w, 3) uint8 each, without a scene cut; photos: (h, w, 3) uint8; files: (name, sha256)."""

    runs: list[np.ndarray]
    photos: list[np.ndarray]
    files: list[tuple[str, str]]


@dataclass(frozen=True)
class Batch:
    """first, second (N, 3, S, S) display; first_spline, second_spline: coefficients of the same, see `reference.fetch`;
    forward, backward (N, 3, S/2, S/2) and bend (N, 2, 2, S/2, S/2) of DIS, as interpolate.Motion; times (N, TIMES);
    targets (N, TIMES, 3, S, S); true_forward, true_backward (N, 2, S/2, S/2), and known (N,): 1 where they are."""

    first: Tensor
    second: Tensor
    first_spline: Tensor
    second_spline: Tensor
    forward: Tensor
    backward: Tensor
    bend: Tensor
    times: Tensor
    targets: Tensor
    true_forward: Tensor
    true_backward: Tensor
    known: Tensor

    def to(self, device: str) -> "Batch":
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def gather(photos: Sequence[str | Path], videos: Sequence[str | Path], size: int,
           held_out: Sequence[str | Path] = ()) -> Footage:  # fmt: skip
    """Read photographs and runs of frames of videos, but for videos that are held out, told by their sha256.

    Raises InputError for a file that cannot be read, or none.
    """
    runs, stills, files = [], [], []
    unseen = {digest(source) for source in _sources(held_out)}
    for path in sorted(file for top in photos for file in _pictures(Path(top))):
        stills.append(_small(read_display(path), WIDTH, size))
        files.append((path.name, hashlib.sha256(path.read_bytes()).hexdigest()))
    for source in _sources(videos):
        if digest(source) in unseen:
            log.warning("%s is held out, and not trained on", source.name)
            continue
        taken = _runs(source, WIDTH, size)
        runs += taken
        stills += [run[0] for run in taken]
        files.append((source.name, digest(source)))
    if not stills:
        raise InputError("there is nothing to train on", "give --photos, --videos or both", "no-input")
    return Footage(runs, stills, files)


def runs_of(videos: Sequence[str | Path], width: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    """(name, runs of frames of that width) of each video. Raises InputError."""
    for source in _sources(videos):
        yield source.name, _runs(source, width)


def _sources(videos: Sequence[str | Path]) -> list[Input]:
    sources, refused = find([Path(path) for path in videos])
    if videos and not sources:
        raise InputError(refused[0].message if refused else f"{videos[0]}: no video", "give video files", "no-input")
    return sources


def _pictures(top: Path) -> list[Path]:
    if top.is_dir():
        return listing.files(top, IMAGE_SUFFIXES, below=True)
    if not top.is_file():
        raise InputError(f"{top}: no such file or folder", "give images, or folders of images", "no-input")
    return [top]


def _small(frame: np.ndarray, width: int, least: int = 1) -> np.ndarray:
    """(H, W, 3) float32 display -> uint8, at most `width` wide, but at least `least` on both sides."""
    factor = max(min(1.0, width / frame.shape[1]), least / min(frame.shape[:2]))
    target = max(least, round(frame.shape[1] * factor)), max(least, round(frame.shape[0] * factor))
    frame = cv2.resize(frame, target, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return np.round(frame * 255).clip(0, 255).astype(np.uint8)


def _runs(source: Input, width: int, least: int = 1) -> list[np.ndarray]:
    video = probe(source, InputConfig(), fps=30.0)  # slow motion and sequences may lack a rate; it does not matter here
    cuts = survey(video).cuts
    starts = np.unique(np.linspace(0, max(0, video.frames - RUN), RUNS).round().astype(int))
    taken: dict[int, list[np.ndarray]] = {int(start): [] for start in starts}
    for index, frame in enumerate(display(video)):
        for start, run in taken.items():
            if start <= index < start + RUN and not any(start <= cut < index for cut in cuts):
                run.append(_small(frame, width, least))
    return [np.stack(run) for run in taken.values() if len(run) > min(SPANS)]


def batch(footage: Footage, seed: int, step: int, count: int, size: int, preset: str = "fine") -> Batch:
    """`count` items of `size` x `size` pixels: a function of seed and step, so that a run can resume.

    preset: of the search of motion, see interpolate.PRESETS.
    """
    items = []
    for number in range(count):
        rng = draw.rng(seed, "train-interpolator", f"step-{step}-{number}", "interpolate")
        real = footage.runs and rng.random() < VIDEO_SHARE
        items.append(_finish(rng, *(_filmed if real else _rendered)(rng, footage, size), size, preset))
    return Batch(*(torch.stack(part) for part in zip(*items, strict=True)))


def _filmed(rng, footage: Footage, size: int):
    """Frames uint8 [first, second, between ...] and [before, after] or [], times, flow there and back (zeros: not
    known), known."""
    run = footage.runs[rng.integers(len(footage.runs))]
    span = min(int(rng.choice(SPANS)), len(run) - 1)
    whole = len(run) > 3 * span  # with the frame before and the one after
    start = int(rng.integers(span, len(run) - 2 * span)) if whole else int(rng.integers(len(run) - span))
    steps = rng.integers(1, span, TIMES)
    side = min(int(size * rng.uniform(*ENLARGED)), *run.shape[1:3])
    top, left = (int(rng.integers(extent - side + 1)) for extent in run.shape[1:3])
    frames, beside = (
        [
            cv2.resize(run[start + k, top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
            for k in places
        ]
        for places in ((0, span, *steps), (-span, 2 * span) if whole else ())
    )
    nothing = np.zeros((size, size, 2), np.float32)
    return frames, beside, steps / span, nothing, nothing, 0.0


def _rendered(rng, footage: Footage, size: int):
    layers = scenes.draw_scene(rng, footage.photos, size)
    times = rng.uniform(0.05, 0.95, TIMES)
    noise = rng.uniform(0, scenes.NOISE)
    frames, beside = (
        [scenes.as_camera(rng, scenes.render(layers, t, size), deviation) for t, deviation in group]
        for group in (((0.0, noise), (1.0, noise), *((t, 0.0) for t in times)), ((-1.0, noise), (2.0, noise)))
    )
    return frames, beside, times, *(scenes.exact_flow(layers, a, b, size) for a, b in ((0, 1), (1, 0))), 1.0


def _light(rng, size: int) -> Callable[[Tensor, Sequence[float]], Tensor]:
    """Something that fades, flares or is dimmed: (frames, their instants) -> frames, brighter or darker.

    The factor of a display value is linear in time; of the whole frame, or of a soft spot in it. It is no motion, and
    the share of either frame in a sample must not hang on it.
    """
    start, end = np.exp(rng.uniform(-LIT, LIT, 2))
    where = torch.ones(size, size)
    if rng.random() < 0.5:
        y, x = (np.arange(size) - rng.uniform(0, size) for _ in range(2))
        reach = size * rng.uniform(0.1, 0.5)
        where = torch.from_numpy(np.exp(-0.5 * (y[:, None] ** 2 + x**2) / reach**2)).float()

    def light(frames: Tensor, instants: Sequence[float]) -> Tensor:
        factors = torch.tensor([max(0.0, start + t * (end - start)) for t in instants], dtype=torch.float32)
        return (frames * (1 + where * (factors.view(-1, 1, 1, 1) - 1))).clamp(0, 1)

    return light


def _finish(rng, frames, beside, times, there, back, known: float, size: int, preset: str) -> list[Tensor]:
    """Turn and mirror the item, change its tone and maybe its light, and find its DIS flows and bend."""
    turn = np.array(((1, 0), (0, 1)), np.float32)
    if rng.random() < 0.5:
        frames, beside, there, back = ([a.swapaxes(0, 1) for a in group] for group in (frames, beside, [there], [back]))
        (there,), (back,) = there, back
        turn = turn[::-1]
    for axis in (0, 1):
        if rng.random() < 0.5:
            frames, beside = ([np.flip(frame, axis) for frame in group] for group in (frames, beside))
            there, back = np.flip(there, axis), np.flip(back, axis)
            turn = turn * (np.array(((1,), (-1,))) if axis == 0 else np.array(((-1,), (1,))))
    tone = float(np.exp(rng.uniform(np.log(0.6), np.log(1.7))))
    stack, beside = (
        torch.from_numpy(np.stack(group)).permute(0, 3, 1, 2).float().div(255).pow(tone) if group else None
        for group in (frames, beside)
    )
    if rng.random() < LIT_SHARE:
        light = _light(rng, size)
        stack = light(stack, (0.0, 1.0, *times))
        beside = None if beside is None else light(beside, (-1.0, 2.0))
    seen = stack[:2] if beside is None else torch.cat((beside[:1], stack[:2], beside[1:]))
    config, pair = InterpolateConfig(method="dis", preset=preset), len(seen) // 2 - 1
    motion = interpolate.motion(seen, config, refuse_cuts=False)
    dis = [torch.from_numpy(flow[pair]).permute(2, 0, 1) for flow in (motion.forward, motion.backward)]
    bend = torch.from_numpy(motion.bend[pair]).permute(0, 3, 1, 2)
    true = [
        torch.from_numpy(np.ascontiguousarray(flow @ turn.T.astype(np.float32))).permute(2, 0, 1)
        for flow in (there, back)
    ]
    true = [torch.nn.functional.avg_pool2d(flow, interpolate.CELL) for flow in true]
    splines = [
        torch.from_numpy(np.stack([spline_filter(c, 3, np.float32, "mirror") for c in frame.numpy()]))
        for frame in stack[:2]
    ]
    times = torch.tensor(times, dtype=torch.float32)
    return [stack[0], stack[1], *splines, *dis, bend, times, stack[2:], *true, torch.tensor(known)]
