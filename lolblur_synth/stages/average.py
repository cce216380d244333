"""average: the exposure (section 3.2, Eq. 1): the mean of 56 or 72 frames of 2000 fps in linear light.

In   (T, 3, H, W) float32, linear light, 0..1 and above 1 where clip_reverse added light, in frame order
Out  (1, 3, H, W) float32, linear light
Random: the window, 7 or 9 source-frame intervals, one for a clip.

The instants are the midpoints of the window's 7 x 8 or 9 x 8 equal parts, so their centroid is the mid frame itself,
and with it the ground truth: (k + 0.5) / factor - window / 2. Seven frames with seven new ones after each, taken
literally, would be centred 0.44 frame late.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.recipe.schema import AverageConfig


@dataclass(frozen=True)
class Draw:
    """window: source-frame intervals in the exposure."""

    window: int


def draw(config: AverageConfig, rng: np.random.Generator) -> Draw:
    """One of the config's windows, each as likely."""
    return Draw(int(config.window[int(rng.integers(len(config.window)))]))


def times(window: int, factor: int) -> np.ndarray:
    """The window * factor instants of an exposure, in source frames from the mid frame, float64, ascending."""
    return (np.arange(window * factor) + 0.5) / factor - window / 2


def reach(window: int) -> int:
    """Source frames that an exposure needs on each side of its mid frame: 4 for window 7, 5 for window 9."""
    return math.ceil(window / 2)


def apply(frames: Tensor, config: AverageConfig, draw: Draw | None = None) -> Tensor:
    """(T, 3, H, W) linear light -> (1, 3, H, W), the mean of all T. What is passed is the window: draw is not used."""
    fr.check(frames, "average")
    return mean(frames)[None]


def mean(frames: Iterable[Tensor]) -> Tensor:
    """Mean of (3, H, W) frames that may come one at a time and are not kept: (3, H, W)."""
    total, count = torch.zeros(()), 0
    for frame in frames:
        total, count = total + frame, count + 1
    return total / count
