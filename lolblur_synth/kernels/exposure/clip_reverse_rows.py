"""Linearise, threshold and accumulate rows of display values on the CPU: what clip_reverse and average do to a sample.

The saturation test is a dot product of linear values, Y > threshold, with a power in each. But Y grows with each
channel: a pixel can only pass if each channel reaches the value that it would need beside two white ones. Rows without
such a pixel are done with three comparisons a pixel.
"""

import numpy as np
from numba import njit

from lolblur_synth import frames as fr
from lolblur_synth.kernels.powers import power
from lolblur_synth.recipe import ClipReverseConfig

SPACES = {"none": 0, "linear": 1, "code": 2, "hdr": 3}
F = np.float32
SLACK = 1e-4  # display values within which a pixel is tested exactly
LUMA = fr.LUMA


def rule(config: ClipReverseConfig | None, r: float = 0.0) -> tuple:
    """What the functions below need of clip_reverse: space, Y at the threshold, least values of R, G, B and grey that
    reach it, r, and the ramp. r: 8-bit code values, for space "code"."""
    if config is None:
        return SPACES["none"], 0.0, (F(0), F(0), F(0)), F(0), F(0), F(0), F(1)
    y = ((config.threshold + 16) / 116) ** 3
    least = tuple(F(display((y - (1 - luma)) / luma) - SLACK) for luma in LUMA)
    low, high = config.ramp
    return SPACES[config.space], y, least, F(display(y) + SLACK), F(r / 255), F(low / 255), F(255 / (high - low))


def display(light: float) -> float:
    """sRGB transfer function, 0 below 0."""
    return 1.055 * light ** (1 / 2.4) - 0.055 if light > 0.0031308 else 12.92 * max(light, 0.0)


@njit(cache=True)
def add_row(shown, light, mask, y, space, threshold, least, grey, r, low, slope):
    """Linearise one row of display values (3, W) and add it to row y of the two sums, (3, H, W). `shown` may change."""
    width = shown.shape[1]
    if space == 1 or space == 2:
        bright = 0
        for x in range(width):
            bright += (shown[0, x] >= least[0]) & (shown[1, x] >= least[1]) & (shown[2, x] >= least[2])
        if bright:
            _restore_row(shown, mask, y, space, threshold, least, grey, r)
    for c in range(3):
        if space == 3:
            for x in range(width):
                mask[c, y, x] += min(max((shown[c, x] - low) * slope, F(0)), F(1))
        for x in range(width):
            light[c, y, x] += power(shown[c, x])


@njit(cache=True)
def _restore_row(shown, mask, y, space, threshold, least, grey, r):
    """Count the saturated pixels of a row in its mask; in space "code" add r to them as well."""
    for x in range(shown.shape[1]):
        red, green, blue = shown[0, x], shown[1, x], shown[2, x]
        if red < least[0] or green < least[1] or blue < least[2]:
            continue
        if min(red, green, blue) < grey and not _luminance(red, green, blue) > threshold:
            continue
        for c in range(3):
            mask[c, y, x] += F(1)
            if space == 2:
                shown[c, x] += r


@njit(cache=True)
def _luminance(red, green, blue):
    """CIE Y of a display value, as frames.luminance."""
    return LUMA[0] * _srgb_light(red) + LUMA[1] * _srgb_light(green) + LUMA[2] * _srgb_light(blue)


@njit(cache=True)
def _srgb_light(value):
    value = np.float64(value)
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
