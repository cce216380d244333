"""Darkening of lightness in torch: the specification, for any device, and with gradients."""

import torch
from torch import Tensor


def curve(lightness: Tensor, maps: Tensor, steps: int, white: Tensor | float = 1.0) -> Tensor:
    slope, bend = (1 - maps).split(1, dim=1), (maps / white).split(1, dim=1)
    x = lightness
    for step in range(steps):
        k = step % maps.shape[1]
        x = torch.addcmul(slope[k], bend[k], x) * x  # x (1 - r + r x/white): two passes over the frame
    return x


def adjust(r: Tensor, lamp: Tensor, strength: float) -> Tensor:
    changed = 1 - (1 - r.abs()).pow(strength)
    return torch.copysign(changed, r) * (1 - lamp)
