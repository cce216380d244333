"""How much CurveNLU enhances: the rate F_out / F_in of each channel, at the encoder's three scales (paper, Fig. 10).

F_in is the feature, clipped to 0..1 as the curve sees it, F_out what the curve makes of it. Three steps of
f + A f (1 - f), A in 0..1, give rates of 1, where f is 1 or A is 0, to 8, where f is small and A is 1. A feature of 0
has no rate.
"""

import torch
from torch import Tensor

from lolblur_synth.errors import UsageError
from lolblur_synth.models.lednet import LEDNet, enhance
from lolblur_synth.models.lednet_blocks import CURVE_ORDER, CurveNLU
from lolblur_synth.models.own_network import OwnNetwork

UNITS = ("conv_1c", "conv_2c", "conv_3c")  # 1/2, 1/4 and 1/8 of the size that the network works at
LARGEST = 2**CURVE_ORDER


@torch.no_grad()
def curve_rates(net: LEDNet | OwnNetwork, frames: Tensor, value_range: str = "0..1") -> list[Tensor]:
    """The rates that a network applies to display frames (N, 3, H, W), 0..1: a map for each channel and scale.

    Returns three tensors (N, C, h, w), from the largest to the smallest scale, 1..8, NaN where the feature is 0; the
    padding of `enhance` is part of them. Raises UsageError for a network without CurveNLU.
    """
    rates: list[Tensor] = []

    def keep(unit: CurveNLU, given: tuple[Tensor], answer: Tensor) -> None:
        feature = given[0].clamp(0, 1)
        enhanced = answer - unit.leak * (given[0] - feature)
        rates.append(torch.where(feature > 0, enhanced / feature.clamp_min(1e-6), torch.nan).float())

    units = [getattr(net, name, None) for name in UNITS]
    if not all(isinstance(unit, CurveNLU) for unit in units):
        raise UsageError("the network has no CurveNLU, whose rate could be shown", "give weights of a LEDNet with it")
    hooks = [unit.register_forward_hook(keep) for unit in units if unit is not None]
    try:
        enhance(net, frames, value_range)
    finally:
        for hook in hooks:
            hook.remove()
    return [rate.clamp(1, LARGEST) for rate in rates]
