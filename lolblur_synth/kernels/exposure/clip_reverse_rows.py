"""Linearise, threshold and accumulate rows of display values on the CPU: what clip_reverse and average do to a sample.

The saturation test, Y > threshold, takes three powers a pixel. But Y grows with each channel, so that a pixel can only
pass if each channel reaches the value that it would need beside two white ones. In rows without such a pixel the test
is three comparisons a pixel.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from lolblur_synth import frames as fr
from lolblur_synth.kernels.powers import power
from lolblur_synth.recipe.schema import ClipReverseConfig

SPACES = {"none": 0, "linear": 1, "code": 2, "hdr": 3}
F = np.float32
SLACK = 1e-4  # display values within which a pixel is tested exactly
LUMA = fr.LUMA


class ClipRule(NamedTuple):
    """What `add_row` needs of a draw of clip_reverse. Display values, 0..1, unless another unit is given."""

    space: int  # of SPACES
    threshold: float  # CIE Y, 0..1, above which a pixel is saturated
    least_red: np.float32  # smallest value of each channel that reaches the threshold beside two white ones
    least_green: np.float32
    least_blue: np.float32
    grey: np.float32  # the value from which a grey pixel is saturated for certain
    r: np.float32  # what space "code" adds to saturated pixels
    ramp_low: np.float32  # where the ramp of space "hdr" begins
    ramp_slope: np.float32  # by how much it rises for each unit of display value


class Sums(NamedTuple):
    """The two sums of an exposure, each (3, H, W) float32."""

    light: np.ndarray  # linear
    mask: np.ndarray  # how far a pixel is saturated, 0..1 for each sample


def clip_rule(config: ClipReverseConfig | None, r: float = 0.0) -> ClipRule:
    """The ClipRule of a config; None: no pixel is saturated. r: 8-bit code values, for space "code"."""
    if config is None:
        return ClipRule(SPACES["none"], 0.0, *[F(0)] * 6, F(1))
    y = ((config.threshold + 16) / 116) ** 3
    least = (F(display((y - (1 - luma)) / luma) - SLACK) for luma in LUMA)
    low, high = config.ramp
    return ClipRule(SPACES[config.space], y, *least, F(display(y) + SLACK), F(r / 255), F(low / 255),
                    F(255 / (high - low)))  # fmt: skip


def display(light: float) -> float:
    """The sRGB transfer function: linear light, 0..1, to a display value; 0 below 0."""
    return 1.055 * light ** (1 / 2.4) - 0.055 if light > 0.0031308 else 12.92 * max(light, 0.0)


@njit(cache=True)
def add_row(display_row, sums, y, rule):
    """Linearise a row of display values (3, W), which may change, and add it to row y of Sums; rule: ClipRule."""
    light, mask = sums
    width = display_row.shape[1]
    if rule.space == 1 or rule.space == 2:
        bright = 0
        red, green, blue = rule.least_red, rule.least_green, rule.least_blue
        for x in range(width):
            bright += (display_row[0, x] >= red) & (display_row[1, x] >= green) & (display_row[2, x] >= blue)
        if bright:
            _restore_row(display_row, mask, y, rule)
    low, slope = rule.ramp_low, rule.ramp_slope
    for c in range(3):
        if rule.space == 3:
            for x in range(width):
                mask[c, y, x] += min(max((display_row[c, x] - low) * slope, F(0)), F(1))
        for x in range(width):
            light[c, y, x] += power(display_row[c, x])


@njit(cache=True)
def _restore_row(display_row, mask, y, rule):
    """Count the saturated pixels of a row in its mask; in space "code" add r to them as well."""
    for x in range(display_row.shape[1]):
        red, green, blue = display_row[0, x], display_row[1, x], display_row[2, x]
        if red < rule.least_red or green < rule.least_green or blue < rule.least_blue:
            continue
        if min(red, green, blue) < rule.grey and not _luminance(red, green, blue) > rule.threshold:
            continue
        for c in range(3):
            mask[c, y, x] += F(1)
            if rule.space == 2:
                display_row[c, x] += rule.r


@njit(cache=True)
def _luminance(red, green, blue):
    """CIE Y of a display value, as frames.luminance."""
    return LUMA[0] * _srgb_light(red) + LUMA[1] * _srgb_light(green) + LUMA[2] * _srgb_light(blue)


@njit(cache=True)
def _srgb_light(value):
    value = np.float64(value)
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
