"""What the interpolation network is trained on: two frames, their DIS flows and bend, true frames between them.

Most items are taken from videos (two frames some way apart, and frames between them), the others are rendered: layered
scenes, and homography pans over photographs and stills of the videos. The bend of the motion is measured with the frame
before the two and the one after them, at the same distance; where a run has no such frames, paths are straight. An item
is a function of (seed, step, number).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.ndimage import spline_filter
from torch import Tensor

from lolblur_synth import draw
from lolblur_synth.kernels.exposure.reference import CELL
from lolblur_synth.recipe.schema import InterpolateConfig
from lolblur_synth.stages import interpolate
from lolblur_synth.training import scenes
from lolblur_synth.training.footage import Footage

SPANS = (2, 3, 4, 4, 5, 6)  # source frames from the first to the second, one of them drawn
TIMES = 2  # instants between the two, with a true frame each
VIDEO_SHARE = 0.65  # of the items are filmed, where there are videos
LIT_SHARE = 0.25  # of the items change their light between the two frames
LARGEST_LIGHT_CHANGE = 0.7  # natural logarithm of the factor at either frame
TONE = (0.6, 1.7)  # gamma of an item, log-uniform
REDUCTION = (1.0, 1.6)  # of a crop of a video, uniform


class Item(NamedTuple):
    """Pictures of one item, (S, S, 3) uint8 display, before its motion is measured; instants count in the interval."""

    frames: list[np.ndarray]  # the first, the second, and those between
    neighbours: list[np.ndarray]  # the frame before the first and the one after the second, or none
    times: np.ndarray  # (TIMES,) instants of the frames between, 0..1
    flows: tuple[np.ndarray, np.ndarray]  # (S, S, 2) from the first to the second and back, px; zeros: not known
    flow_is_known: bool

    def transposed(self) -> "Item":
        """Rows and columns, and with them the components of the flows, change places."""
        return self._replace(
            frames=[frame.swapaxes(0, 1) for frame in self.frames],
            neighbours=[frame.swapaxes(0, 1) for frame in self.neighbours],
            flows=tuple(flow.swapaxes(0, 1)[..., ::-1] for flow in self.flows),
        )

    def mirrored(self, axis: int) -> "Item":
        """axis: 0 top and bottom, 1 left and right."""
        sign = np.array((1, -1) if axis == 0 else (-1, 1), np.float32)
        return self._replace(
            frames=[np.flip(frame, axis) for frame in self.frames],
            neighbours=[np.flip(frame, axis) for frame in self.neighbours],
            flows=tuple(np.flip(flow, axis) * sign for flow in self.flows),
        )


@dataclass(frozen=True)
class Batch:
    """N items of S x S pixels. Flow lives on cells of 2x2 px (s = S/2), in pixels an interval."""

    first: Tensor  # (N, 3, S, S) display, 0..1
    second: Tensor
    first_spline: Tensor  # (N, 3, S, S) cubic coefficients of the same, see `reference.fetch`
    second_spline: Tensor
    forward: Tensor  # (N, 3, s, s): flow of DIS and its trust, as in interpolate.Motion
    backward: Tensor
    bend: Tensor  # (N, 2, 2, s, s): as in interpolate.Motion
    times: Tensor  # (N, TIMES), 0..1
    targets: Tensor  # (N, TIMES, 3, S, S) display: the true frames at these times
    true_forward: Tensor  # (N, 2, s, s)
    true_backward: Tensor
    known: Tensor  # (N,): 1 where the true flow is known, else 0

    @classmethod
    def stack(cls, items: "Sequence[Batch]") -> "Batch":
        """Single items, without their first axis, as one batch."""
        return cls(**{field.name: torch.stack([getattr(item, field.name) for item in items]) for field in fields(cls)})

    def to(self, device: str | torch.device) -> "Batch":
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def batch(footage: Footage, seed: int, step: int, count: int, size: int, preset: str = "fine") -> Batch:
    """`count` items of `size` x `size` pixels: a function of seed and step, so that a run can resume.

    preset: of the search of motion, see interpolate.PRESETS.
    """
    items = []
    for number in range(count):
        rng = draw.rng(seed, "train-interpolator", f"step-{step}-{number}", "interpolate")
        filmed = footage.runs and rng.random() < VIDEO_SHARE
        item = (_filmed if filmed else _rendered)(rng, footage, size)
        items.append(_measured(*_displayed(rng, _turned(rng, item)), preset))
    return Batch.stack(items)


def _filmed(rng: np.random.Generator, footage: Footage, size: int) -> Item:
    """Frames of a video, some way apart; their flow is not known."""
    run = footage.runs[rng.integers(len(footage.runs))]
    span = min(int(rng.choice(SPANS)), len(run) - 1)
    has_neighbours = len(run) > 3 * span
    start = int(rng.integers(span, len(run) - 2 * span)) if has_neighbours else int(rng.integers(len(run) - span))
    steps = rng.integers(1, span, TIMES)
    side = min(int(size * rng.uniform(*REDUCTION)), *run.shape[1:3])
    top, left = (int(rng.integers(extent - side + 1)) for extent in run.shape[1:3])

    def crops(places: Sequence[int]) -> list[np.ndarray]:
        pixels = (run[start + place, top : top + side, left : left + side] for place in places)
        return [cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in pixels]

    unknown = np.zeros((size, size, 2), np.float32)
    neighbours = crops((-span, 2 * span)) if has_neighbours else []
    return Item(crops((0, span, *steps)), neighbours, steps / span, (unknown, unknown), False)


def _rendered(rng: np.random.Generator, footage: Footage, size: int) -> Item:
    """A scene of layers; the frames that motion is found on have noise."""
    layers = scenes.draw_scene(rng, footage.photos, size)
    times = rng.uniform(0.05, 0.95, TIMES)
    noise = rng.uniform(0, scenes.NOISE)
    frames, neighbours = (
        [scenes.as_camera(rng, scenes.render(layers, t, size), deviation) for t, deviation in group]
        for group in (((0.0, noise), (1.0, noise), *((t, 0.0) for t in times)), ((-1.0, noise), (2.0, noise)))
    )
    flows = scenes.exact_flow(layers, 0, 1, size), scenes.exact_flow(layers, 1, 0, size)
    return Item(frames, neighbours, times, flows, True)


def _turned(rng: np.random.Generator, item: Item) -> Item:
    """The item transposed and mirrored, each with probability 1/2."""
    if rng.random() < 0.5:
        item = item.transposed()
    for axis in (0, 1):
        if rng.random() < 0.5:
            item = item.mirrored(axis)
    return item


def _displayed(rng: np.random.Generator, item: Item) -> tuple[Item, Tensor, Tensor]:
    """The item; its frames and its neighbours, (n, 3, S, S) display, 0..1, in another tone and maybe another light."""
    tone = float(np.exp(rng.uniform(np.log(TONE[0]), np.log(TONE[1]))))
    size = len(item.frames[0])
    frames, neighbours = _as_tensor(item.frames, size, tone), _as_tensor(item.neighbours, size, tone)
    if rng.random() < LIT_SHARE:
        light = changing_light(rng, size)
        frames, neighbours = light(frames, (0.0, 1.0, *item.times)), light(neighbours, (-1.0, 2.0)[: len(neighbours)])
    return item, frames, neighbours


def _as_tensor(pictures: list[np.ndarray], size: int, gamma: float) -> Tensor:
    pixels = np.stack(pictures) if pictures else np.empty((0, size, size, 3), np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).pow(gamma)


def changing_light(rng: np.random.Generator, size: int) -> Callable[[Tensor, Sequence[float]], Tensor]:
    """Something that fades, flares or is dimmed: (frames, their instants) -> frames, brighter or darker.

    The factor of a display value is linear in time; of the whole frame, or of a soft spot in it. It is no motion, and
    the share of either frame in a sample must not depend on it.
    """
    start, end = np.exp(rng.uniform(-LARGEST_LIGHT_CHANGE, LARGEST_LIGHT_CHANGE, 2))
    where = torch.ones(size, size)
    if rng.random() < 0.5:
        y, x = (np.arange(size) - rng.uniform(0, size) for _ in range(2))
        reach = size * rng.uniform(0.1, 0.5)
        where = torch.from_numpy(np.exp(-0.5 * (y[:, None] ** 2 + x**2) / reach**2)).float()

    def light(frames: Tensor, instants: Sequence[float]) -> Tensor:
        factors = torch.tensor([max(0.0, start + t * (end - start)) for t in instants], dtype=torch.float32)
        return (frames * (1 + where * (factors.view(-1, 1, 1, 1) - 1))).clamp(0, 1)

    return light


def _measured(item: Item, frames: Tensor, neighbours: Tensor, preset: str) -> Batch:
    """One item with the DIS flows and the bend of its motion; the fields of Batch, without their first axis."""
    seen = torch.cat((neighbours[:1], frames[:2], neighbours[1:])) if len(neighbours) else frames[:2]
    pair = len(seen) // 2 - 1
    motion = interpolate.motion(seen, InterpolateConfig(method="dis", preset=preset), refuse_cuts=False)
    forward, backward = (torch.from_numpy(flow[pair]).permute(2, 0, 1) for flow in (motion.forward, motion.backward))
    true_forward, true_backward = (
        torch.nn.functional.avg_pool2d(torch.from_numpy(np.ascontiguousarray(flow)).permute(2, 0, 1), CELL)
        for flow in item.flows
    )
    splines = [
        torch.from_numpy(np.stack([spline_filter(channel, 3, np.float32, "mirror") for channel in frame.numpy()]))
        for frame in frames[:2]
    ]
    return Batch(
        first=frames[0],
        second=frames[1],
        first_spline=splines[0],
        second_spline=splines[1],
        forward=forward,
        backward=backward,
        bend=torch.from_numpy(motion.bend[pair]).permute(0, 3, 1, 2),
        times=torch.tensor(item.times, dtype=torch.float32),
        targets=frames[2:],
        true_forward=true_forward,
        true_backward=true_backward,
        known=torch.tensor(float(item.flow_is_known)),
    )
