"""What `stage` writes beside its results: the mean masks of average, the maps of darken, the synthetic raw of noise.

Each function yields the results, one at a time, and writes to the given paths, one for each frame.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth import streams
from lolblur_synth.camera import dng
from lolblur_synth.kernels import exposure
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import darken, noise
from lolblur_synth.tools import outputs
from lolblur_synth.tools.sources import Source


def average_and_mask(shown: Iterator[Tensor], drawn, recipe: Recipe, paths: list[Path]) -> Iterator[Tensor]:
    """Yield the exposures of display frames, and write the mean mask of each."""
    outputs.make_folder(paths[0].parent)
    size = drawn.window * recipe.interpolate.factor
    means = streams.windows(shown, size, lambda window: exposure.average(window, recipe.clip_reverse))
    for path, (light, mask) in zip(paths, means, strict=True):
        outputs.write_frame(path, mask.cpu().permute(1, 2, 0).contiguous().numpy(), linear=True)
        yield light[None]


def with_curves(results: Iterable[Tensor], source: Source, config, drawn, paths: list[Path],
                 device: str) -> Iterator[Tensor]:  # fmt: skip
    """Yield `results`, and write darken's map of each frame; the source is read a second time for it."""
    outputs.make_folder(paths[0].parent)
    results, frames, paths_left = iter(results), source.frames(), iter(paths)
    while stack := list(itertools.islice(frames, streams.STACK)):
        curves = darken.maps(torch.cat(stack).to(device), config, drawn).cpu()
        for curve, path, result in zip(curves, paths_left, results, strict=False):
            outputs.write_frame(path, curve.expand(3, -1, -1).permute(1, 2, 0).numpy(), linear=False, bits=16)
            yield result


def with_raws(results: Iterable[Tensor], source: Source, config, drawn: noise.Draw, recipe: Recipe,
               paths: list[tuple[Path, Path]]) -> Iterator[Tensor]:  # fmt: skip
    """Yield `results`, and write the raw of each source frame, without noise and with it."""
    for number, (result, places, frame) in enumerate(zip(results, paths, source.frames(), strict=True)):
        if drawn.applied:
            both = noise.raw_pair(frame, config, streams.of_frame(drawn, number, recipe))
            for path, mosaic in zip(places, both, strict=True):
                dng.write_dng(path, mosaic[0, 0].numpy(), noise.camera(config), drawn.gains, drawn.shot, drawn.read)
        yield result
