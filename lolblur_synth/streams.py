"""Each stage over a stream of frames, as `lolblur-synth stage` runs it: what must be seen together, and no more.

A step takes the stage, frames (1, 3, H, W) one at a time, the stage's config and draw, the recipe, and whether the
frames are linear light; it yields results, (1, 3, H, W) each.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw, frames
from lolblur_synth.files import video
from lolblur_synth.kernels import exposure
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import average, darken, denoise, interpolate, noise

log = logging.getLogger(__name__)

STACK = 16  # frames that darken calibrates together: enough for a steady exposure, little enough for memory
GROUP = 8  # intervals whose motion is held at once
UNMET = 0.02  # of the exposure asked for: said, not passed over

Step = Callable[[Any, Iterator[Tensor], Any, Any, Recipe, bool], Iterable[Tensor]]


def each(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    """Frame by frame."""
    for frame in shown:
        yield stage.apply(frame, config, drawn)


def _denoise(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    return (frame[None] if frame.ndim == 3 else frame for frame in denoise.stream(shown, config, drawn))


def _darken(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    told = False
    while stack := list(itertools.islice(shown, STACK)):
        window = torch.cat(stack)
        result = darken.apply(window, config, drawn)
        if not told and not darken.achievable(window, drawn.exposure):
            told = True
            log.warning(f"frames of mean L*/100 {darken.exposure_of(window):.3f} over unsaturated pixels are darker "
                        f"than the exposure {drawn.exposure:.3f} and stay as they are")  # fmt: skip
        elif not told and (got := darken.exposure_of(result, window)) > drawn.exposure + UNMET:
            told = True
            log.warning(
                f"the exposure is {got:.3f}, not {drawn.exposure:.3f}: too much of the frames is saturated and "
                "kept; --lamp-area 0.015 darkens large clipped areas"
            )
        yield from result.split(1)


def _interpolate(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    """A few intervals at a time, whatever the length; the last frame closes the sequence.

    One frame more on each side tells how motion bends, and whether a scene ends there: then each frame is held for half
    of the interval.
    """
    cuts, differences, frame = [], [], next(shown)
    for window, begin, end in _overlapping(itertools.chain([frame], shown)):
        motion = interpolate.motion(window, config, refuse_cuts=False)
        cuts += [len(differences) + pair - begin for pair in range(begin, end) if motion.cut[pair]]
        thin = window[begin : end + 1, :, ::4, ::4]
        differences += (thin[1:] - thin[:-1]).abs().mean((1, 2, 3)).tolist()
        times = begin + np.arange((end - begin) * config.factor) / config.factor
        yield from (sample[None] for sample in interpolate.samples(window, motion, times))
        frame = window[end, None]
    yield frame
    if cuts:
        log.warning(f"{video.cuts_in_words(cuts)}: there each frame is held for half of the interval")
    if (stored := video.repeated(np.array(differences))) > 1:
        log.warning(f"{video.repeats_in_words(stored)}, so motion will stutter")


def _overlapping(shown: Iterator[Tensor]) -> Iterator[tuple[Tensor, int, int]]:
    """(T, 3, H, W) of neighbouring frames, and which of their T - 1 intervals are new: from `begin`, before `end`.

    Each new interval has the frame before it and the one after it beside it, where the sequence has them.
    """
    window, begin = list(itertools.islice(shown, GROUP + 2)), 0
    while len(window) > 1:
        more = list(itertools.islice(shown, GROUP))
        yield torch.cat(window), begin, len(window) - (2 if more else 1)
        if not more:
            return
        window, begin = window[-3:] + more, 1


def _average(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    """One exposure from each window of consecutive frames; recipe.interpolate.factor of them are a source frame."""
    mean = average.mean if linear else lambda window: exposure.average(window)[0]
    return (light[None] for light in windows(shown, drawn.window * recipe.interpolate.factor, mean))


def windows(shown: Iterator[Tensor], size: int, mean: Callable) -> Iterator:
    """`mean` of each window of `size` frames, (3, H, W) each, that come one at a time and are not held.

    A last, short window is left out.
    """
    while (first := next(shown, None)) is not None:
        counted = itertools.count()
        window = itertools.chain([first], itertools.islice(shown, size - 1))
        result = mean(frame[0] for frame, _ in zip(window, counted, strict=False))
        if next(counted) == size:
            yield result


def _in_light(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    """A stage of linear light, frame by frame, there and back where the frames are display values."""
    for frame in shown:
        light = stage.apply(frame if linear else frames.to_linear(frame), config, drawn)
        yield light if linear else frames.to_display(light)


def _noise(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    for number, frame in enumerate(shown):
        yield noise.apply(frame, config, of_frame(drawn, number, recipe))


def of_frame(drawn: noise.Draw, number: int, recipe: Recipe) -> noise.Draw:
    """The clip's noise level with the field of one frame."""
    return noise.reseed(drawn, draw.rng(recipe.dataset.seed, str(drawn.seed), f"pair-{number}", "noise"))


APPLY: dict[str, Step] = {
    "denoise": _denoise, "darken": _darken, "interpolate": _interpolate, "average": _average, "defocus": _in_light,
    "noise": _noise,
}  # fmt: skip
