"""The picture of `restore --show curve`: what CurveNLU multiplies features with, by channel, at three scales.

Above, a quarter of the frame each: the frame, and the mean over the channels at 1/2, 1/4 and 1/8 of its size. Below,
eight maps in a row: every channel of the three scales in turn. The colour is log2 of the rate: black 1, nothing
changes; yellow 8. Grey has no rate, because the feature is 0 there.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from lolblur_synth.models.curve_rates import LARGEST

ACROSS, ABOVE = 8, 4  # maps in a row of channels, and pictures in the first row
NO_RATE = 0.35  # grey
GAP = 4  # px between scales, white


def sheet(pixels: np.ndarray, rates: list[Tensor]) -> np.ndarray:
    """A frame (H, W, 3) display RGB, 0..1, and its `curve_rates` -> the picture, about as wide, (h, w, 3) float32."""
    height, width = (max(side // ACROSS, 8) for side in pixels.shape[:2])
    small, large = (width, height), (2 * width, 2 * height)
    first = [cv2.resize(pixels, large, interpolation=cv2.INTER_AREA)]
    first += [_coloured(torch.nanmean(rate[0], 0), large) for rate in rates]
    blocks = [np.concatenate(first, 1)]
    for rate in rates:
        maps = [_coloured(channel, small) for channel in rate[0]]
        maps += [np.ones_like(maps[0])] * (-len(maps) % ACROSS)
        rows = [np.concatenate(maps[start : start + ACROSS], 1) for start in range(0, len(maps), ACROSS)]
        blocks += [np.ones((GAP, ACROSS * width, 3), np.float32), *rows]
    return np.concatenate(blocks).astype(np.float32)


def _coloured(rate: Tensor, size: tuple[int, int]) -> np.ndarray:
    """A map of rates (h, w), NaN where there is none -> (height, width, 3) RGB, 0..1."""
    known = ~torch.isnan(rate)
    share = torch.where(known, rate, 1).log2().div(np.log2(LARGEST)).clamp(0, 1)
    levels = share.mul(255).round().to(torch.uint8).cpu().numpy()
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32) / 255
    colours[~known.cpu().numpy()] = NO_RATE
    return cv2.resize(colours, size, interpolation=cv2.INTER_AREA)
