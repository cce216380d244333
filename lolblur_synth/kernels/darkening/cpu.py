"""Darkening of lightness with Numba: a fast twin of reference.py, within 2e-6 of it. On one thread, as transfer/cpu.py.

The curve of one map for all steps, and of a white that is a number.
"""

import torch
from numba import njit
from torch import Tensor

from lolblur_synth.kernels.powers import F, exp2, log2

MATH = {"contract", "nsz"}


@njit(cache=True, fastmath=MATH)
def _curve(lightness, maps, steps, white, out):
    for i in range(lightness.size):
        slope, bend, x = F(1) - maps[i], maps[i] / white, lightness[i]
        for _ in range(steps):
            x = (slope + bend * x) * x
        out[i] = x


@njit(cache=True, fastmath=MATH)
def _adjust(r, lamp, strength, out):
    for i in range(r.size):
        changed = F(1) - exp2(log2(F(1) - abs(r[i])) * strength)
        out[i] = (changed if r[i] >= 0 else -changed) * (F(1) - lamp[i])


def curve(lightness: Tensor, maps: Tensor, steps: int, white: float = 1.0) -> Tensor:
    out = torch.empty_like(lightness)
    _curve(*(plane.detach().view(-1).numpy() for plane in (lightness, maps)), steps, F(white), out.view(-1).numpy())
    return out


def adjust(r: Tensor, lamp: Tensor, strength: float) -> Tensor:
    out = torch.empty_like(r)
    _adjust(*(plane.detach().view(-1).numpy() for plane in (r, lamp)), F(strength), out.view(-1).numpy())
    return out
