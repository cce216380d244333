"""A frame after the gamma and the gain that bring it closest to its ground truth: what is wrong besides its brightness.

    aligned = frame^gamma * gain, clipped and rounded to 8 bits

One gamma and one gain for a frame, the same in its three channels. They are those of the least squared error over all
pixels and channels, that is of the highest psnr_rgb. Every other figure of an aligned frame (SSIM, LPIPS, PSNR of its
saturated pixels) is measured on this same frame: nothing is fitted for it.

A tone curve treats equal values alike, so the error depends on the frame through a few sums for each of its 256 values
(`Levels`). They are taken over every pixel, once, and the search works on them alone; for each gamma the best gain is
exact (`_best_gains`). Frames are (1, 3, H, W) float32 display, 0..1.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLACK = 1e-4  # display value; darker pixels are raised to it before a gamma
BINS = 16 * 255  # steps of the values of a frame: each 8-bit value has one, and a 16-bit frame 16 between two of them
GAMMAS = np.geomspace(0.1, 4.0, 61)  # the search begins with these: 6 % apart, so 1 is among them to within 3 %
ZOOMS = 4  # rounds that divide the interval of the best gamma by 4 each: it is right to 0.1 %


class Levels(NamedTuple):
    """Of the values in a frame, ascending: all that the error of a tone curve depends on. Each (K,) float64."""

    value: np.ndarray  # display, BLACK..1
    count: np.ndarray  # share of the frame's values that lie here; the sum is 1
    truth: np.ndarray  # sum of the ground truth there, over the number of values in the frame
    square: np.ndarray  # sum of its square, likewise


class Curve(NamedTuple):
    gamma: float
    gain: float


def aligned(frame: Tensor, high: Tensor) -> Tensor:
    """The frame after its best gamma and gain. It sees the ground truth: a yardstick, not a method.

    Where no curve lowers the error of the frame, the frame itself (rounded), so that psnr_rgb never falls.
    """
    plain = rounded(frame)
    curved = apply(frame, best_curve([levels(frame, high)]))
    return curved if (curved - high).square().mean() < (plain - high).square().mean() else plain


def apply(frame: Tensor, curve: Curve) -> Tensor:
    """frame^gamma * gain, clipped and rounded to 8 bits."""
    return rounded(frame.clamp_min(BLACK) ** curve.gamma * curve.gain)


def rounded(frame: Tensor) -> Tensor:
    """Clipped and rounded to 8 bits, as a PNG would hold it."""
    return frame.clamp(0, 1).mul(255).round().div(255)


def levels(frame: Tensor, high: Tensor) -> Levels:
    """What a search needs to know of a frame and its ground truth."""
    place = frame.clamp(0, 1).mul(BINS).round().to(torch.int32).flatten().cpu().numpy()
    truth = high.flatten().cpu().numpy().astype(np.float64)
    sums = [np.bincount(place, weights, BINS + 1) / place.size for weights in (None, truth, truth * truth)]
    present = sums[0] > 0
    value = np.arange(BINS + 1) / BINS
    return Levels(value[present].clip(BLACK), *(total[present] for total in sums))


def best_curve(frames: Iterable[Levels]) -> Curve:
    """The gamma and the gain with the least squared error, the mean over the frames."""
    merged = _merged(list(frames))
    gammas = GAMMAS
    for _ in range(ZOOMS + 1):
        errors, gains = _best_gains(merged, gammas)
        best = int(errors.argmin())
        curve = Curve(float(gammas[best]), float(gains[best]))
        gammas = np.linspace(gammas[max(best - 1, 0)], gammas[min(best + 1, len(gammas) - 1)], 9)
    return curve


def _merged(frames: list[Levels]) -> Levels:
    """One record for all frames, in which each has the same weight."""
    values, *sums = map(np.concatenate, zip(*frames, strict=True))
    value, place = np.unique(values, return_inverse=True)
    return Levels(value, *(np.bincount(place, part) / len(frames) for part in sums))


def _best_gains(frame: Levels, gammas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each gamma the least squared error that a gain can have after clipping, and that gain.

    A gain clips all levels above some level k. The best gain for the levels up to k alone is a quotient of two sums,
    and the best of all is among these, because the error has no minimum at a gain that brings a level just to white:
    there it rises less fast than before, since the truth is at most 1 (the level is clipped from there on).
    """
    bent = frame.value ** gammas[:, None]  # (gammas, levels), ascending along the levels
    products = np.cumsum(bent * frame.truth, 1)
    squares = np.cumsum(bent * bent * frame.count, 1)
    gains = products / squares
    white = frame.count - 2 * frame.truth + frame.square  # squared error of a clipped level
    clipped = white.sum() - np.cumsum(white)
    errors = np.cumsum(frame.square) - 2 * gains * products + gains**2 * squares + clipped
    following = np.append(bent[:, 1:], np.full((len(bent), 1), np.inf), 1)
    with np.errstate(invalid="ignore"):
        valid = (gains * bent <= 1 + 1e-9) & (gains * following >= 1 - 1e-9)  # it clips the levels above k, no others
    valid[:, -1] |= gains[:, -1] == 0  # a black ground truth
    errors = np.where(valid, errors, np.inf)
    best = errors.argmin(1)
    rows = np.arange(len(gammas))
    return errors[rows, best], gains[rows, best]
