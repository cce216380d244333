"""Transfer functions and lightness in torch: the specification, for any device, and with gradients."""

from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.frames import light_to_srgb, srgb_to_light

__all__ = ["light_to_srgb", "lightness", "relight", "srgb_to_light"]

DARKEST = 1e-8  # CIE Y of what has no light: it gets none


def lightness(light: Tensor) -> Tensor:
    red, green, blue = light.split(1, dim=1)
    return fr.luminance_to_lightness(red * fr.LUMA[0] + green * fr.LUMA[1] + blue * fr.LUMA[2])


def relight(light: Tensor, old: Tensor, new: Tensor) -> Tensor:
    gain = fr.lightness_to_luminance(new).div_(fr.lightness_to_luminance(old).clamp_min_(DARKEST))
    return light_to_srgb(light * gain)
