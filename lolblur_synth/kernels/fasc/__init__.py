"""The adaptive convolution of LEDNet's skip connections. Specified in reference.py; cuda.py with fasc.cu is its fast
twin.
"""

from torch import Tensor

from lolblur_synth.kernels.fasc import cuda, reference

__all__ = ["gradients", "mix"]


def mix(feature: Tensor, guide: Tensor, kernel: Tensor, offset: Tensor) -> Tensor:
    """Sum over the taps of filter * feature, see `reference.mix`."""
    return (cuda if cuda.runs_on(feature) else reference).mix(feature, guide, kernel, offset)


def gradients(feature: Tensor, guide: Tensor, kernel: Tensor, offset: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """Of `mix`'s four arguments, see `reference.gradients`."""
    return (cuda if cuda.runs_on(feature) else reference).gradients(feature, guide, kernel, offset, grad)
