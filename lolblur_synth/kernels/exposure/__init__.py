"""The exposure: interpolate, clip_reverse and average in one pass. Specified in reference.py; cpu.py (Numba) and
cuda.py (CUDA C, through CuPy) are its fast twins, and these functions choose one of the three by the frames' device.

The clip-reversed exposure is affine in its draw: mean(light) + amount * mean(mask). `integrate` returns both means, so
that r can be drawn again without another pass; except in space "code", where r is added before linearising.
"""

import itertools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.kernels import cuda as launcher
from lolblur_synth.kernels import switch
from lolblur_synth.kernels.exposure import acceleration, acceleration_cuda, cpu, cuda, reference
from lolblur_synth.recipe.schema import ClipReverseConfig

__all__ = ["average", "bends", "expose", "expose_given", "integrate", "runs_on", "sample"]


def runs_on(device: torch.device) -> bool:
    """Whether there is a fast twin for the device: Numba's for the CPU, CuPy's for CUDA where it is installed."""
    return switch.ON and (device.type == "cpu" or (device.type == "cuda" and launcher.available()))


def _twin(device: torch.device):
    """The module that computes on the device."""
    if not runs_on(device):
        return reference
    return cpu if device.type == "cpu" else cuda


def expose(
    frames: Tensor,
    motion,
    instants: np.ndarray,
    config: ClipReverseConfig | None = None,
    draw=None,
    above: Tensor | None = None,
) -> Tensor:
    """The exposure: mean over `instants` of the interpolated, clip-reversed frames.

    frames: (T, 3, H, W) float32 display, 0..1; motion: `interpolate.Motion` of those frames; instants: positions in
    frames, 0..T-1, ascending; config, draw: of clip_reverse, or None to leave it out; above: (T, 3, H, W) linear light
    above white of the frames, 0 or more, carried along the same motion and added. -> (3, H, W) linear light.
    """
    return _reversed(
        lambda config=None, r=0.0: integrate(frames, motion, instants, config, r, above=above), config, draw
    )


def expose_given(
    frames: Tensor, config: ClipReverseConfig | None = None, draw=None, above: Tensor | None = None
) -> Tensor:
    """The same of frames (T, 3, H, W) display, each a sample as it is: (3, H, W) linear light."""
    light = _reversed(lambda *rule: average(frames, *rule), config, draw)
    return light if above is None else light.add_(above.mean(0))


def _reversed(means, config: ClipReverseConfig | None, draw) -> Tensor:
    """mean(light) with the light that a draw of clip_reverse adds; means: (config, r) -> mean(light), mean(mask)."""
    if draw is None:
        return means()[0]
    if config.space == "code":
        return means(config, draw.r)[0]
    light, mask = means(config)
    return light.add_(mask, alpha=draw.gain if config.space == "hdr" else draw.r / 255)


def integrate(
    frames: Tensor,
    motion,
    instants: np.ndarray,
    config: ClipReverseConfig | None = None,
    r: float = 0.0,
    above: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of the samples at `instants`; r: code values, space "code" only;
    above: as for `expose`, part of the light."""
    return _twin(frames.device).integrate(frames, motion, instants, config, r, above)


def bends(forward: np.ndarray | Tensor, backward: np.ndarray | Tensor, moving: np.ndarray) -> np.ndarray | Tensor:
    """Half the acceleration of each cell, see `acceleration.bends`: of arrays, or of tensors on CUDA."""
    twin = acceleration_cuda if isinstance(forward, Tensor) else acceleration
    return twin.bends(forward, backward, moving)


def sample(frames: Tensor, motion, instant: float) -> Tensor:
    """The frame at the position `instant` of (T, 3, H, W), where neither `still` nor `cut` holds: (3, H, W), 0..1."""
    return _twin(frames.device).sample(frames, motion, instant)


def average(frames: Iterable[Tensor], config: ClipReverseConfig | None = None, r: float = 0.0) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of given frames (3, H, W) display, each a sample as it is.

    They may come one at a time, and are then not all held, except for the CUDA twin, which takes them together.
    r: code values, space "code" only.
    """
    if isinstance(frames, Tensor):
        return _twin(frames.device).average(frames, config, r)
    frames = iter(frames)
    first = next(frames)
    frames, twin = itertools.chain([first], frames), _twin(first.device)
    return twin.average(torch.stack(list(frames)) if twin is cuda else frames, config, r)
