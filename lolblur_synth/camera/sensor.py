"""The noise of an image sensor, on packed raw planes (T, 4, h, w): R, Gr, Gb, B of RGGB, 0..1 of full scale.

Every random field has the shape of the frame and does not depend on its content: what a pixel draws depends neither on
threads nor on the light of other pixels.
"""

import numpy as np
import torch
from torch import Tensor

MAX_MEAN_OF_SUM = 8.0  # electrons: up to it the Poisson distribution is summed, above it its quantile is approximated
TERMS = 48  # of the sum; P(n > 48 | mean 8) < 1e-20
MIN_PROBABILITY = 1e-6  # uniform values are held this far from 0 and 1, where a Tukey-lambda quantile is infinite


def poisson_gaussian(planes: Tensor, shot: tuple, read: tuple, rng: np.random.Generator) -> Tensor:
    """Noise of variance shot x + read, the Poisson part as a Gaussian (Foi et al. 2008, DNG's NoiseProfile).

    shot, read: for R, G, B. -> (T, 4, h, w), to be added.
    """
    a, b = (torch.tensor([v[0], v[1], v[1], v[2]], device=planes.device).view(1, 4, 1, 1) for v in (shot, read))
    return (planes.clamp_min(0) * a + b).sqrt_() * _normal(planes, rng)


def physical(
    planes: Tensor, full_scale: float, electron: float, read: float, row: float, tail: float, rng: np.random.Generator
) -> Tensor:
    """Noise of ELD (Wei et al. 2020, Eq. 11): Poisson photons, Tukey-lambda read noise, row noise, whole code values.

    full_scale, read, row: code values; electron: code values an electron; tail: lambda, negative for heavy tails.
    A row of the sensor shares one offset, over the two planes that it crosses. -> (T, 4, h, w), to be added.
    """
    frames, _, height, width = planes.shape
    signal = planes.clamp_min(0) * full_scale
    photons = poisson(signal / electron, _normal(planes, rng)) * electron
    uniform = torch.from_numpy(rng.random(planes.shape, dtype=np.float32)).to(planes.device)
    rows = rng.standard_normal((frames, 2, height), dtype=np.float32).repeat(2, axis=1)
    offsets = torch.from_numpy(rows).to(planes.device).unsqueeze(-1) * row
    return ((photons + tukey(uniform, tail) * read + offsets).round_() - signal) / full_scale


def poisson(mean: Tensor, normal: Tensor) -> Tensor:
    """Poisson counts, float32, from means >= 0 and standard normal values of the same shape: the quantile at the
    probability of the normal value.

    Up to MAX_MEAN_OF_SUM electrons from the sum of the distribution; above, by the second-order expansion of Cornish
    and Fisher, rounded.
    """
    counts = (mean + mean.sqrt() * normal + (normal * normal - 1) / 6).round_().clamp_min_(0)
    few = mean < MAX_MEAN_OF_SUM
    if few.any():
        counts[few] = _summed(mean[few].double(), torch.special.ndtr(normal[few].double()))
    return counts


def _summed(mean: Tensor, probability: Tensor) -> Tensor:
    """The smallest n with P(N <= n) >= probability."""
    term = torch.exp(-mean)
    below, counts = term.clone(), torch.zeros_like(mean)
    for n in range(1, TERMS + 1):
        more = probability > below
        if not more.any():
            break
        counts += more
        term = term * mean / n
        below += term
    return counts.float()


def tukey(uniform: Tensor, tail: float) -> Tensor:
    """The quantile of Tukey's lambda distribution of scale 1: (p^lambda - (1 - p)^lambda) / lambda, logistic at 0."""
    p = uniform.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    if abs(tail) < 1e-6:
        return torch.log(p / (1 - p))
    return (p.pow(tail) - (1 - p).pow(tail)) / tail


def _normal(planes: Tensor, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.standard_normal(planes.shape, dtype=np.float32)).to(planes.device)
