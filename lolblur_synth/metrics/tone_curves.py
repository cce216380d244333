"""Dark frames brightened by a tone curve alone, without their ground truth: what a network is compared with.

    fitted gamma and gain   low^gamma * gain, the same two numbers for all frames, learnt from training pairs
    auto exposure           one gamma for all frames, and the gain that gives each frame the mean of the training truths

Each frame's own best gamma and gain, which see its ground truth, are in alignment.py. Frames are (1, 3, H, W) float32
display, 0..1; what comes out is clipped and rounded to 8 bits, as a PNG would hold it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lolblur_synth.metrics.alignment import BLACK, Curve, apply, best_curve, levels, rounded

GAMMAS = torch.linspace(0.1, 1.5, 57).tolist()  # of auto exposure
STEP = 4  # px; the gamma of auto exposure is searched on every fourth pixel of every fourth row


@dataclass(frozen=True)
class Fitted:
    """The curves learnt from training pairs."""

    curve: Curve
    auto_gamma: float
    mean: float  # of the ground truth, 0..1


def fit(pairs: Iterable[tuple[Tensor, Tensor]]) -> Fitted:
    """Learn the curves that need no ground truth from (low, high) pairs."""
    thin, values = [], []
    for low, high in pairs:
        thin.append((_thin(low).clamp_min(BLACK), _thin(high)))
        values.append(levels(low, high))
    mean = sum(high.mean().item() for _, high in thin) / len(thin)
    errors = [
        (sum((_exposed(low**gamma, mean) - high).square().mean().item() for low, high in thin), gamma)
        for gamma in GAMMAS
    ]
    return Fitted(best_curve(values), auto_gamma=min(errors)[1], mean=mean)


def fitted(low: Tensor, learnt: Fitted) -> Tensor:
    """The one curve of the training pairs."""
    return apply(low, learnt.curve)


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
