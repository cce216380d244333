"""The lift: a dark frame brightened by one curve that burns nothing, before LEDNet, which then adds to it.

    l  = L* / 100 of a pixel                      l' = k l / (1 + (k - 1) l)      the curve, 0 -> 0, 1 -> 1, k >= 1
    light' = light Y(l') / Y(l)                   one factor for the three channels, so that hue and saturation stay
    and, where the brightest channel of this nears white, that factor which bends the brightest channel by the curve
    itself, so that none clips: a dusk sky stays blue, where channels bent one by one would turn it cyan

The curve is the inverse of Zero-DCE's in the limit of many small steps, dl/dt = -l (1 - l), by which `darken` made the
frame. k is one number a frame. It is told by `statistics` of the whole frame: the k that brings the mean of l to
USUAL_LIGHTNESS, 1 where the frame is as bright as that already, times what a small network has learnt to add.
A gain to the mean of the ground truth burns 9 to 20 percent of the pixels of test photographs, this curve none.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lolblur_synth import frames as fr

BLOCK = 8  # px: statistics are of the means of blocks, which noise and blur do not change
LEVELS = 32  # quantiles of the lightness of the blocks
STATISTICS = LEVELS + 3  # and the mean of each channel
USUAL_LIGHTNESS = 0.38  # mean L*/100 of a ground truth, about; where the learning starts
LARGEST_LOG_K = math.log(64)  # from a mean of .01 to .38
SHOULDER = (0.6, 1.0)  # display value of the brightest channel over which it takes the lead
UNTOUCHED = (0.40, 0.48)  # mean L*/100 over which a frame comes back less and less changed, then as it is
HALVINGS = 16  # of the search for k: to 1/16000 of its logarithm's range
HIDDEN = 32  # units of the network


def statistics(frames: Tensor) -> Tensor:
    """What the lift is told of whole frames: (N, 3, H, W) display, 0..1 -> (N, STATISTICS), without a gradient."""
    return of_blocks(blocks(frames))


def blocks(frames: Tensor) -> Tensor:
    """The means of blocks of 8x8 px, without a gradient: (N, 3, H, W) display -> (N, 3, h, w)."""
    return F.avg_pool2d(frames.detach().clamp(0, 1), BLOCK, ceil_mode=True)


def of_blocks(means: Tensor) -> Tensor:
    """(N, 3, h, w) -> (N, STATISTICS): quantiles of L*/100, from the darkest block to the brightest, then the mean of
    each channel."""
    ordered = fr.lightness(means).flatten(1).sort(1).values
    places = torch.linspace(0, ordered.shape[1] - 1, LEVELS, device=means.device).round().long()
    return torch.cat((ordered[:, places], means.mean((2, 3))), 1)


def mean_lightness(told: Tensor) -> float:
    """Of one frame's statistics, (STATISTICS,): the mean of L*/100 over its blocks, about."""
    return told[:LEVELS].mean().item()


def share(told: Tensor) -> Tensor:
    """(N, STATISTICS) -> (N, 1, 1, 1): how much of the lift, and of the network behind it, a frame gets, 1..0.

    A frame as bright as most ground truths needs no brightening, and a network that was taught on dark frames would
    only harm it.
    """
    mean = told[:, :LEVELS].mean(1)[:, None, None, None]
    return 1 - fr.smoothstep((mean - UNTOUCHED[0]) / (UNTOUCHED[1] - UNTOUCHED[0]))


def curve(values: Tensor, k: Tensor) -> Tensor:
    """k x / (1 + (k - 1) x) of values of 0..1; k is broadcast."""
    return k * values / (1 + (k - 1) * values)


def log_k_for(told: Tensor, lightness: float = USUAL_LIGHTNESS) -> Tensor:
    """(N, STATISTICS) -> (N, 1): ln k that brings the mean of L*/100 to `lightness`, 0 or more; found by halving."""
    levels = told[:, :LEVELS]
    low = torch.zeros_like(levels[:, :1])
    high = low + LARGEST_LOG_K
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        dark = curve(levels, middle.exp()).mean(1, keepdim=True) < lightness
        low, high = torch.where(dark, middle, low), torch.where(dark, high, middle)
    return low


class Lift(nn.Module):
    """The curve, and the network that tells its strength."""

    def __init__(self):
        super().__init__()
        self.strength = nn.Sequential(nn.Linear(STATISTICS + 1, HIDDEN), nn.LeakyReLU(0.25), nn.Linear(HIDDEN, 1))

    def log_k(self, told: Tensor) -> Tensor:
        """(N, STATISTICS) -> (N, 1): ln k, 0..LARGEST_LOG_K."""
        usual = log_k_for(told)
        seen = torch.cat((told.sqrt() - 0.4, usual / LARGEST_LOG_K), 1)  # about -0.4..0.6
        return (usual + self.strength(seen)).clamp(0, LARGEST_LOG_K)

    def forward(self, frames: Tensor, told: Tensor | None = None) -> Tensor:
        """(N, 3, H, W) display, 0..1 -> the same, brightened.

        told: `statistics` of the whole frames that these are crops of; None: of these frames.
        """
        frames = frames.clamp(0, 1)
        k = self.log_k(statistics(frames) if told is None else told).exp()[:, :, None, None]
        light = fr.srgb_to_light(frames)
        luminance = (light * light.new_tensor(fr.LUMA).view(3, 1, 1)).sum(1, keepdim=True)
        lifted = fr.lightness_to_luminance(curve(fr.luminance_to_lightness(luminance), k))
        by_luminance = fr.light_to_srgb(light * (lifted / luminance.clamp_min(1e-6)))
        brightest = frames.amax(1, keepdim=True)
        gain = fr.srgb_to_light(curve(brightest, k)) / fr.srgb_to_light(brightest).clamp_min(1e-6)
        by_brightest = fr.light_to_srgb(light * gain)
        near_white = fr.smoothstep((by_luminance.amax(1, keepdim=True) - SHOULDER[0]) / (SHOULDER[1] - SHOULDER[0]))
        return torch.lerp(by_luminance.clamp(max=1), by_brightest.clamp(max=1), near_white)
