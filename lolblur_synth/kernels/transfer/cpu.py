"""Transfer functions and lightness with Numba: a fast twin of reference.py, within 2e-6 of it.

On one thread: `PairDataset` draws noise in processes that a data loader forks, where Numba's threads must not run.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.kernels.powers import F, exp2, log2
from lolblur_synth.kernels.transfer.reference import DARKEST

MATH = {"contract", "nsz"}
LUMA = tuple(F(weight) for weight in fr.LUMA)
KNEE = F(0.0031308)  # light; below it sRGB is linear
KNEE_DISPLAY = F(0.04045)
DARK_Y = F((6 / 29) ** 3)  # CIE Y; below it L* is linear
DARK_L = F(0.08)
SLOPE = F(0.01 * (29 / 3) ** 3)  # of L* / 100 there
NO_LIGHT = F(DARKEST)


@njit(inline="always", fastmath=MATH)
def _light(value):
    curved = exp2(log2((value + F(0.055)) * F(1 / 1.055)) * F(2.4))
    return value * F(1 / 12.92) if value <= KNEE_DISPLAY else curved


@njit(inline="always", fastmath=MATH)
def _srgb(light):
    curved = F(1.055) * exp2(log2(light) * F(1 / 2.4)) - F(0.055)
    return light * F(12.92) if light <= KNEE else curved


@njit(inline="always", fastmath=MATH)
def _luminance(lightness):
    t = (lightness + F(0.16)) * F(1 / 1.16)
    return t * t * t if lightness > DARK_L else lightness * F(1 / SLOPE)


@njit(cache=True, fastmath=MATH)
def _to_light(display, out):
    for i in range(display.size):
        out[i] = _light(display[i])


@njit(cache=True, fastmath=MATH)
def _to_srgb(light, out):
    for i in range(light.size):
        out[i] = _srgb(light[i])


@njit(cache=True, fastmath=MATH)
def _lightness(light, out):
    """light (T, 3, N), out (T, N)."""
    for t in range(len(out)):
        red, green, blue, row = light[t, 0], light[t, 1], light[t, 2], out[t]
        for i in range(row.size):
            y = red[i] * LUMA[0] + green[i] * LUMA[1] + blue[i] * LUMA[2]
            root = exp2(log2(y) * F(1 / 3))
            row[i] = F(1.16) * root - F(0.16) if y > DARK_Y else y * SLOPE


@njit(cache=True, fastmath=MATH)
def _relight(light, old, new, out):
    """light, out (T, 3, N); old, new (T, N)."""
    for t in range(len(light)):
        before, after = old[t], new[t]
        for c in range(3):
            source, target = light[t, c], out[t, c]
            for i in range(source.size):
                gain = _luminance(after[i]) / max(_luminance(before[i]), NO_LIGHT)
                target[i] = _srgb(source[i] * gain)


def srgb_to_light(display: Tensor) -> Tensor:
    return _each(_to_light, display)


def light_to_srgb(light: Tensor) -> Tensor:
    return _each(_to_srgb, light)


def lightness(light: Tensor) -> Tensor:
    out = light.new_empty((len(light), 1, *light.shape[2:]))
    _lightness(_flat(light, 2), _flat(out, 2)[:, 0])
    return out


def relight(light: Tensor, old: Tensor, new: Tensor) -> Tensor:
    out = torch.empty_like(light)
    _relight(_flat(light, 2), _flat(old, 2)[:, 0], _flat(new, 2)[:, 0], _flat(out, 2))
    return out


def _each(kernel, values: Tensor) -> Tensor:
    out = torch.empty_like(values)
    kernel(_flat(values, 0), _flat(out, 0))
    return out


def _flat(values: Tensor, first: int) -> np.ndarray:
    return values.detach().flatten(first).numpy()
