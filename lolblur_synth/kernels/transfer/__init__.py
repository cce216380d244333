"""Transfer functions and lightness of whole frames: sRGB (IEC 61966-2-1) and CIE L*. Specified in reference.py; cpu.py
is its fast twin, for what is float32 on the CPU and needs no gradient. One pass over the values, without temporary
frames, takes a third of the time.
"""

from torch import Tensor

from lolblur_synth.kernels import switch
from lolblur_synth.kernels.transfer import cpu, reference

__all__ = ["light_to_srgb", "lightness", "relight", "srgb_to_light"]


def _twin(*frames: Tensor):
    """The module that computes on these frames."""
    return cpu if switch.numba_takes(*frames) else reference


def srgb_to_light(display: Tensor) -> Tensor:
    """Display sRGB values of any shape -> linear light."""
    return _twin(display).srgb_to_light(display)


def light_to_srgb(light: Tensor) -> Tensor:
    """Linear light of any shape -> display sRGB values, not clipped."""
    return _twin(light).light_to_srgb(light)


def lightness(light: Tensor) -> Tensor:
    """CIE L* / 100, 0..1, of linear light: (T, 3, H, W) -> (T, 1, H, W)."""
    return _twin(light).lightness(light)


def relight(light: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Linear light (T, 3, H, W), scaled from the lightness `old` to `new`, both (T, 1, H, W), L* / 100: one factor for
    the three channels. -> display sRGB, not clipped."""
    return _twin(light, old, new).relight(light, old, new)
