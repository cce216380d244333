"""clip_reverse: give saturated pixels back some of the light that the sensor cut off (section 3.2, Eq. 2).

In   (T, 3, H, W) float32, display sRGB, 0..1, the darkened frames: darkening keeps lights lit
Out  (T, 3, H, W) float32, linear light, 0..1, above 1 where light was added
Random: r (or the gain of space "hdr"), one for a clip: drawn anew for each frame it would bead the streaks, for each
channel colour them, and averaged over 72 frames it would be no draw at all.

A pixel is saturated where CIE L* > 98. L* grows with luminance Y alone, so that is Y > ((98 + 16) / 116)^3: one dot
product, and no Lab.

    linear  light + r / 255                       Eq. 2 as printed: g^-1 works on 0..255
    code    (display + r / 255)^2.2               r in code values: fits the authors' released samples best
    hdr     light + gain * ramp, each channel     a lamp need not be white to clip; closest to real streaks

The ramp of hdr rises over a few code values below white, as decoded video dithers there and a hard edge flickers.
A build with hdr asks `above`, which judges the frames before they are darkened: darkening may change the value of a
lamp, which only says that it was clipped. Where a source holds light above white there is nothing to guess, and the
stage is left out.
"""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.kernels.exposure.reference import clipped, light_and_mask, saturated
from lolblur_synth.recipe.schema import ClipReverseConfig

__all__ = ["Draw", "above", "apply", "draw", "saturated"]


@dataclass(frozen=True)
class Draw:
    """r: 8-bit code values, for linear and code; gain: multiples of white, for hdr. The other one is 0."""

    r: float
    gain: float = 0.0


def draw(config: ClipReverseConfig, rng: np.random.Generator) -> Draw:
    """r ~ U(20, 100), or gain log-uniform."""
    if config.space == "hdr":
        low, high = config.gain
        return Draw(0.0, math.exp(rng.uniform(math.log(low), math.log(high))))
    return Draw(float(rng.uniform(*config.r)))


def apply(frames: Tensor, config: ClipReverseConfig, draw: Draw) -> Tensor:
    """Display frames to linear light with the lights restored. Without a saturated pixel: frames ** 2.2."""
    fr.check(frames, "clip_reverse")
    light, mask = light_and_mask(frames, config, draw.r)
    if config.space == "code":  # r is in it already
        return light
    return light.add_(mask, alpha=draw.gain if config.space == "hdr" else draw.r / 255)


def above(sharp: Tensor, lamp: Tensor | None, config: ClipReverseConfig, draw: Draw) -> Tensor:
    """Space hdr, of a build: the light above white of the darkened frames, (T, 3, H, W) linear, 0 or more.

    sharp: (T, 3, H, W) display, 0..1, before they are darkened; lamp: (T, 1, H, W), how much darkening keeps each pixel
    lit, 0..1, None where there is no darkening.
    """
    gain = clipped(sharp, config.ramp).mul_(draw.gain)
    return gain if lamp is None else gain.mul_(lamp)
