"""What can be measured of a restored frame without its ground truth: burnt-out pixels, and a cast that the input lacks.

The yardstick is the input itself, lifted to the same brightness as a longer exposure would have lifted it: by one gain
in linear light, clipped at white. Frames are (1, 3, H, W) float32 display, 0..1.
"""

import math

import torch
from torch import Tensor

from lolblur_synth.frames import LUMA, light_to_srgb, luminance, srgb_to_light
from lolblur_synth.metrics.alignment import rounded

BURNT = 254 / 255  # display value of a channel from which on it holds no detail
SEARCHED = 1 << 18  # pixels, evenly spread, on which the gain is searched; smaller frames whole
STOPS = (-16.0, 16.0)  # range of the gain, powers of two
HALVINGS = 24  # of that range: 2^-19 stops
XYZ = ((0.4124564, 0.3575761, 0.1804375), LUMA, (0.0193339, 0.1191920, 0.9503041))  # linear sRGB -> XYZ (IEC 61966-2-1)


def lifted(dark: Tensor, mean: float) -> tuple[Tensor, float]:
    """The frame times one gain in linear light, clipped and rounded to 8 bits, and that gain.

    mean: of the luminance CIE Y that the lifted frame has, 0..1. A frame without light stays black.
    """
    step = max(1, math.ceil((dark[0, 0].numel() / SEARCHED) ** 0.5))
    thin = srgb_to_light(dark[..., ::step, ::step].contiguous())
    weights = thin.new_tensor(LUMA).view(3, 1, 1)
    low, high = STOPS
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if ((thin * 2**middle).clamp(0, 1) * weights).sum(1).mean().item() < mean:
            low = middle
        else:
            high = middle
    gain = 2.0**high
    return rounded(light_to_srgb((srgb_to_light(dark) * gain).clamp(0, 1))), gain


def mean_luminance(frame: Tensor) -> float:
    """Mean CIE Y, 0..1."""
    return luminance(frame).mean().item()


def burnt_share(frame: Tensor) -> float:
    """Share of the pixels with a channel at 254 or 255 of 255, 0..1."""
    return (frame.amax(1) >= BURNT - 1e-6).float().mean().item()


def mean_ab(frame: Tensor) -> tuple[float, float]:
    """Mean a* and b* (CIE 1976, D65) over the pixels of a frame: green to red, blue to yellow."""
    light = srgb_to_light(frame)
    f = []
    for row in XYZ:
        ratio = (light * light.new_tensor(row).view(3, 1, 1)).sum(1) / sum(row)
        root, line = ratio.clamp_min(1e-9).pow(1 / 3), ratio * (29 / 6) ** 2 / 3 + 4 / 29
        f.append(torch.where(ratio > (6 / 29) ** 3, root, line))
    x, y, z = f
    return 500 * (x - y).mean().item(), 200 * (y - z).mean().item()
