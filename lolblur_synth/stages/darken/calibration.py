"""How much darker: the strength s with which a window of frames gets the exposure that `darken` was asked for.

    r' = (1 - (1 - r)^s) (1 - lamp)          l' = curve(l, r', white)

The exposure is the mean of l' = L* / 100 over the unsaturated pixels of all frames of the window. It is solved for on
a sample of the pixels, and corrected by one secant step on all of them: within 1e-4 of the request wherever that can be
had. Planes are (T, 1, H, W), one a frame; `model` and `lamp_model` are those of models/dce.py and lights.py.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from lolblur_synth.errors import WeightsError
from lolblur_synth.kernels.darkening import adjust
from lolblur_synth.models import dce
from lolblur_synth.stages.darken import lights

SAMPLE_STEP = 8  # px: one pixel of each SAMPLE_STEP x SAMPLE_STEP is a sample
MIN_SAMPLES = 1024  # unsaturated ones; where there are fewer, every pixel is a sample
R2_SEQUENCE = (0.7548776662466927, 0.5698402909980532)  # 1/p, 1/p^2 with p^3 = p + 1: evenly spread (Roberts 2018)
STRENGTHS = (1e-3, 64.0)  # bounds of s: below, nothing is to be done; above, (1 - 0.2)^(8 * 64) is black
SLOPE_STEP = 0.02  # of log s, for the slope of the exposure


class Samples:
    """One pixel of each SAMPLE_STEP x SAMPLE_STEP cell of a window, at a place that no regular pattern keeps step with.

    Not means of cells: the curve is convex, so that it leaves more light in a cell than in the cell's mean.
    """

    def __init__(self, lightness: Tensor):
        self.lit = lightness <= lights.SATURATED
        if not self.lit.any():
            self.lit = torch.ones_like(self.lit)
        for self.step in (SAMPLE_STEP, 1):
            self.lightness, self.weight = self.of(lightness), self.of(self.lit).float()
            if self.weight.sum() >= MIN_SAMPLES:
                break

    def of(self, planes: Tensor) -> Tensor:
        """(T, 1, H, W) -> (T, 1, ~H/step, ~W/step)."""
        if self.step == 1:
            return planes
        height, width = planes.shape[-2:]
        rows, columns = (-(-side // self.step) for side in (height, width))
        number = torch.arange(rows * columns, dtype=torch.float64).view(rows, columns)
        across, down = ((number * factor % 1 * self.step).long() for factor in R2_SEQUENCE)
        y = (down + self.step * torch.arange(rows)[:, None]).clamp_(max=height - 1)
        x = (across + self.step * torch.arange(columns)).clamp_(max=width - 1)
        return planes.flatten(2)[..., (y * width + x).to(planes.device)]

    def mean(self, values: Tensor) -> float:
        """Over the unsaturated samples, in float64 and one order of summation whatever the device and its threads."""
        samples, weights = (plane.cpu().numpy().astype(np.float64) for plane in (values, self.weight))
        return float((samples * weights).sum() / weights.sum())

    def mean_of_all(self, frames: Iterable[Tensor]) -> float:
        """Over all unsaturated pixels of the window, of planes (1, 1, H, W) that come one at a time."""
        total = sum(
            float((frame[0] * lit).cpu().numpy().sum(dtype=np.float64))
            for frame, lit in zip(frames, self.lit, strict=True)
        )
        return total / int(self.lit.sum())


@dataclass(frozen=True)
class Calibration:
    """Finds the s for which the window has the exposure asked for."""

    net: dce.CurveNet | dce.PublishedCurveNet
    model: Tensor
    lamp_model: Tensor
    lightness: Tensor
    lamp: Tensor
    samples: Samples

    def strength(self, exposure: float) -> float:
        """s; 0 where the window is already as dark as that. Raises WeightsError: the network brightens.

        Solved for on samples, and corrected by one secant step for what they miss of all pixels.
        """
        samples = self.samples
        brightest = samples.mean_of_all(self.lightness.split(1))
        if brightest <= exposure:
            return 0.0
        request = exposure * samples.mean(samples.lightness) / brightest
        sampled = self._sampled()

        def excess(log_strength: float) -> float:
            return sampled(log_strength) - request

        weakest, strongest = np.log(STRENGTHS)
        if excess(weakest) <= 0:
            return 0.0
        if excess(strongest) >= 0:
            if excess(strongest) > excess(weakest):
                raise WeightsError(
                    f"the darkening weights brighten the frame where {exposure} is asked for",
                    "they are no weights of EC-Zero-DCE, or damaged: take others",
                )
            return STRENGTHS[1]
        solution = brentq(excess, weakest, strongest, xtol=1e-4)
        slope = (excess(solution + SLOPE_STEP) - excess(solution)) / SLOPE_STEP
        if slope < 0:
            solution -= (self._exposure(np.exp(solution)) - exposure) / slope
        return float(np.exp(np.clip(solution, weakest, strongest)))

    def adjusted(self, strength: float) -> Iterator[tuple[Tensor, Tensor | float]]:
        """r' and white of each frame of the window, at full size."""
        planes = (plane.split(1) for plane in (self.model, self.lamp_model, self.lightness, self.lamp))
        for model, lamp_model, now, kept in zip(*planes, strict=True):
            yield adjust(dce.follow_edges(model, now), kept, strength), lights.white(lamp_model, now.shape[-2:])

    def _sampled(self) -> Callable[[float], float]:
        """The exposure of the samples as a function of log s."""
        samples = self.samples
        now, kept = samples.lightness, samples.of(self.lamp)
        r, white = dce.follow_edges(self.model, now), lights.white(self.lamp_model, now.shape[-2:])
        return lambda log_strength: samples.mean(
            dce.curve(now, adjust(r, kept, np.exp(log_strength)), self.net.steps, white)
        )

    def _exposure(self, strength: float) -> float:
        """Of all pixels."""
        frames = zip(self.lightness.split(1), self.adjusted(strength), strict=True)
        return self.samples.mean_of_all(dce.curve(now, r, self.net.steps, white) for now, (r, white) in frames)
