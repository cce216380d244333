"""Darkening of lightness: Zero-DCE's curve, and how strongly it is applied. Specified in reference.py; cpu.py is its
fast twin, for what is float32 on the CPU and needs no gradient: one pass over the pixels instead of two for each step.
"""

from torch import Tensor

from lolblur_synth.kernels import switch
from lolblur_synth.kernels.darkening import cpu, reference

__all__ = ["adjust", "curve"]


def curve(lightness: Tensor, maps: Tensor, steps: int, white: Tensor | float = 1.0) -> Tensor:
    """x <- x + r x (x/white - 1), `steps` times; maps (N, K, H, W) are the r of each iteration, used in turn.

    lightness: (N, 1, H, W), 0..1; white: a number, or one a pixel (N, 1, H, W).
    """
    one_map = lightness.shape == maps.shape and not isinstance(white, Tensor)
    fast = one_map and switch.numba_takes(lightness, maps)
    return (cpu if fast else reference).curve(lightness, maps, steps, white)  # type: ignore[arg-type]


def adjust(r: Tensor, lamp: Tensor, strength: float) -> Tensor:
    """(1 - (1 - r)^s) (1 - lamp), odd in r: as if the curve were iterated s times as often.

    r: -1..1; lamp: 0..1, of the same shape.
    """
    fast = r.shape == lamp.shape and switch.numba_takes(r, lamp)
    return (cpu if fast else reference).adjust(r, lamp, strength)
