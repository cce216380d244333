"""The darkening that the paper compares EC-Zero-DCE with (section 3.1): every channel is raised to one power.

In, out  (T, 3, H, W) float32, display sRGB, 0..1, the frames of one window

    frame' = frame^gamma      gamma >= 1, one for the window, such that the mean L*/100 of the unsaturated pixels is the
                              exposure that was asked for

White stays white, and so does a channel that is clipped: no rule for lamps is needed. The small channels of a colour
fall faster than its large one, so that colours become stronger and hues turn: the warm cast that the paper names.
"""

import math

import torch
from scipy.optimize import brentq
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.stages.darken.calibration import Samples

LARGEST = 64.0  # gamma: a value of 0.9 becomes 0.001
SLOPE_STEP = 0.02  # of log gamma, for the slope of the exposure


def gamma_of(frames: Tensor, exposure: float) -> float:
    """The power that gives display frames the exposure, 0..1; 1 where they are as dark as that, LARGEST at most.

    Solved for on samples of the pixels, and corrected by one secant step for what they miss of all pixels.
    """
    samples = Samples(torch.cat([fr.lightness(frame) for frame in frames.split(1)]))
    brightest = samples.mean_of_all(map(fr.lightness, frames.split(1)))
    if brightest <= exposure:
        return 1.0
    thin = samples.of(frames)
    request = exposure * samples.mean(samples.lightness) / brightest

    def excess(log_gamma: float) -> float:
        return samples.mean(fr.lightness(thin ** math.exp(log_gamma))) - request

    strongest = math.log(LARGEST)
    if excess(strongest) >= 0:
        return LARGEST
    solution = brentq(excess, 0.0, strongest, xtol=1e-5)
    slope = (excess(solution + SLOPE_STEP) - excess(solution)) / SLOPE_STEP
    if slope < 0:
        of_all = samples.mean_of_all(fr.lightness(frame ** math.exp(solution)) for frame in frames.split(1))
        solution -= (of_all - exposure) / slope
    return math.exp(min(max(solution, 0.0), strongest))


def apply(frames: Tensor, exposure: float) -> Tensor:
    """The frames at the exposure; unchanged where they are as dark as that."""
    power = gamma_of(frames, exposure)
    return frames if power == 1 else frames**power
