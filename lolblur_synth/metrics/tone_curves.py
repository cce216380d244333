"""Dark frames brightened by a tone curve alone: the baselines that a network is compared with.

    best gamma and gain     low^gamma * gain, both chosen for each frame by its ground truth: it knows the brightness
    fitted gamma and gain   the same two numbers for all frames, learnt from training pairs
    auto exposure           one gamma for all frames, and the gain that gives each frame the mean of the training set

Frames are (1, 3, H, W) float32 display, 0..1; what comes out is clipped and rounded to 8 bits, as a PNG would hold it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

GAMMAS = torch.linspace(0.1, 1.5, 57).tolist()
STEP = 4  # px; curves are searched on every fourth pixel of every fourth row
BLACK = 1e-4  # display value; darker pixels are raised to it before a gamma


@dataclass(frozen=True)
class Fitted:
    """The curves learnt from training pairs."""

    gamma: float
    gain: float
    auto_gamma: float
    mean: float  # of the ground truth, 0..1


def rounded(frame: Tensor) -> Tensor:
    """Clipped and rounded to 8 bits."""
    return frame.clamp(0, 1).mul(255).round().div(255)


def gamma_gain(low: Tensor, high: Tensor) -> Tensor:
    """The frame low^gamma * gain, clipped, that is closest to the ground truth: no tone curve of that form beats it.

    It sees the ground truth: an upper bound, not a method.
    """
    gamma, gain = _search([(_thin(low).clamp_min(BLACK), _thin(high))])
    return rounded(low.clamp_min(BLACK) ** gamma * gain)


def fit(pairs: Iterable[tuple[Tensor, Tensor]]) -> Fitted:
    """Learn the curves that need no ground truth from (low, high) pairs."""
    thin = [(_thin(low).clamp_min(BLACK), _thin(high)) for low, high in pairs]
    mean = sum(high.mean().item() for _, high in thin) / len(thin)
    errors = [
        (sum((_exposed(low**gamma, mean) - high).square().mean().item() for low, high in thin), gamma)
        for gamma in GAMMAS
    ]
    return Fitted(*_search(thin), auto_gamma=min(errors)[1], mean=mean)


def fitted(low: Tensor, learnt: Fitted) -> Tensor:
    """The one curve of the training pairs."""
    return rounded(low.clamp_min(BLACK) ** learnt.gamma * learnt.gain)


def auto_exposure(low: Tensor, learnt: Fitted) -> Tensor:
    """The training pairs' gamma, and the gain for their mean."""
    return rounded(_exposed(low.clamp_min(BLACK) ** learnt.auto_gamma, learnt.mean))


def _thin(frame: Tensor) -> Tensor:
    return frame[..., ::STEP, ::STEP]


def _exposed(bent: Tensor, mean: float) -> Tensor:
    """The frame times the gain for which it has this mean after clipping."""
    for _ in range(8):  # clipping lowers the mean, so the gain is found in rounds
        bent = bent * (mean / bent.clamp(0, 1).mean())
    return bent.clamp(0, 1)


def _search(pairs: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """The gamma and the gain with the least squared error over all pairs."""
    best = (math.inf, 1.0, 1.0)
    for gamma in GAMMAS:
        bent = [(low**gamma, high) for low, high in pairs]
        least = (sum((x * y).sum() for x, y in bent) / sum(x.square().sum() for x, _ in bent)).item()  # unless clipped
        for factor in (1.0, 1.02, 1.05, 1.1, 1.2):
            error = sum(((x * least * factor).clamp(0, 1) - y).square().mean().item() for x, y in bent)
            best = min(best, (error, gamma, least * factor))
    return best[1:]
