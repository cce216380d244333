"""Which pixels are lights: saturated regions keep their exposure when a frame is darkened (section 3.2).

In   (T, 1, H, W) float, L* / 100 of the frame before it is darkened, 0..1; or (T, 2, H, W): beside it L* / 100 of the
     grey with the value of the brightest channel
Out  weight, (T, 1, H, W): 1 keeps its exposure, 0 darkens with the rest; white, the fixed point of the darkening curve

The weight is 1 from L* 98 up. Below, it falls to 0 over the glow of a lamp (down to L* 62), or soon (L* 95) elsewhere.
A bright surface, with more saturated pixels than `lamp_area`, or hardly any for its size, is no lamp: the weight fades
out there and white is above 1, so that a clipped sky darkens too. With a lamp_area of 1 there are no such surfaces.
A lamp need not be white: where the brightest channel is given it is judged in the same way, and the larger of the two
weights holds. There only the glow of coloured lamps is kept, of what is clipped in a channel and not in L*; and where
it is bright all around nothing is a coloured lamp: a sky by day is clipped in blue.
The network is shown the frame `without` its lamps: they would say nothing of how dark their surroundings should be.
What is found on the reduced frame is two planes for each plane of the input, the `model`, so that it can be smoothed
along time before use.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.models import dce

SATURATED = 0.98  # L* / 100; section 3.2
KEPT = 0.95  # lightness from which a pixel begins to keep its exposure
GLOW = 0.62  # the same in the glow of a lamp
LAMP = 0.015  # share of the frame that the saturated pixels of a lamp with a glow take at most
SURFACE_WHITE = 1.1  # fixed point of the curve on a bright surface that is no lamp
GLOW_REACH, GLOW_GAIN = 5.0, 6.0  # how far it reaches, in cells of the reduced frame, and how soon it is that of a lamp
LEAST_SHARE = 0.25  # of a cell that is no lamp, for the cell to speak for itself
HALO = 6  # cells around a lamp that its halo is taken to fill
BRIGHT = 0.8  # lightness that joins saturated pixels to one region, a lamp or a surface
DAYLIGHT = (0.55, 0.7)  # mean lightness around a coloured light: it is a lamp below, a surface above
DAYLIGHT_REACH = 8.0  # cells of the reduced frame
SPARSE = (0.002, 0.01)  # share of saturated pixels in a bright region: white paint with specks, and with real lights


def find(lightness: Tensor, lamp_area: float, reduction: int = dce.CurveNet.reduction) -> tuple[Tensor, Tensor | float]:
    """Weight and white of frames that are looked at one by one. lamp_area: share of the frame, 0..1."""
    planes = model(lightness, lamp_area, reduction)
    return weight(planes, lightness), white(planes, lightness.shape[-2:])


def weight(planes: Tensor, lightness: Tensor) -> Tensor:
    """How much a pixel keeps its exposure, from the planes of `model`: (T, 1, H, W)."""
    weights = []
    for plane, found in zip(lightness.split(1, 1), planes.split(2, 1), strict=True):
        surface, foot = _enlarged(found, lightness.shape[-2:]).split(1, dim=1)
        share = fr.smoothstep((plane - foot) / (SATURATED - foot))
        weights.append(share * (1 - surface).clamp_(min=0))  # enlarging may overshoot 1 by a rounding error
    return weights[0] if len(weights) == 1 else torch.maximum(*weights)


def white(planes: Tensor, size: tuple[int, ...]) -> Tensor | float:
    """The curve's white (T, 1, *size), from the planes of `model`; a number where there is no bright surface."""
    surface = planes[:, :1]
    return 1 + (SURFACE_WHITE - 1) * _enlarged(surface, size) if surface.any() else 1.0


def without(lightness: Tensor, lamp: Tensor, reduction: int = dce.CurveNet.reduction) -> Tensor:
    """The frame reduced, (T, 1, h, w), with its lamps taken out; a cell that is all lamp is filled from around it."""
    sums, share = dce.reduce(torch.cat((lightness * (1 - lamp), 1 - lamp), 1), reduction).split(1, dim=1)
    return _filled(sums, share, lightness.mean((2, 3), keepdim=True))


def _filled(sums: Tensor, share: Tensor, last: Tensor) -> Tensor:
    """sums / share, and where the share is too small the same at half the size; `last` where there is no smaller."""
    size = sums.shape[-2:]
    if max(size) > 1:
        last = _enlarged(_filled(dce.reduce(sums, 2), dce.reduce(share, 2), last), size)
    return torch.where(share > LEAST_SHARE, sums / share.clamp_min(LEAST_SHARE), last)


def nearness(lamp: Tensor) -> Tensor:
    """Weights of lamps on the reduced frame, (T, 1, h, w) -> 1 in and around a lamp, 0 from about 90 px on, soft."""
    reach = np.ones((2 * HALO + 1,) * 2, np.uint8)
    planes = [
        cv2.GaussianBlur(cv2.dilate(np.minimum(4 * plane, 1), reach), (0, 0), HALO / 2)
        for plane in lamp[:, 0].cpu().numpy()
    ]
    return lamp.new_tensor(np.stack(planes))[:, None]


def _enlarged(planes: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(planes, size, mode="bilinear", align_corners=False)


def model(lightness: Tensor, lamp_area: float, reduction: int = dce.CurveNet.reduction) -> Tensor:
    """On the reduced frame, (T, 2 or 4, h, w), for each plane of the input: is it a bright surface, 0..1; above which
    lightness a pixel is kept."""
    count = lightness.shape[1]
    both = torch.cat((lightness, (lightness > SATURATED).float()), 1)
    planes = []
    for small in dce.reduce(both, reduction).cpu().numpy():
        found = []
        for number, (plane, core) in enumerate(zip(small[:count], small[count:], strict=True)):
            glowing = core - small[count] if number else core
            near = cv2.GaussianBlur(glowing * (1 - _surface(plane, core, LAMP)), (0, 0), GLOW_REACH)
            surface = _surface(plane, core, lamp_area)
            if number and lamp_area < 1:
                surface = np.maximum(surface, _daylight(small[0]))
            found += [surface, KEPT - (KEPT - GLOW) * np.minimum(GLOW_GAIN * near, 1)]
        planes.append(np.stack(found))
    return lightness.new_tensor(np.stack(planes))


def _surface(lightness: np.ndarray, core: np.ndarray, lamp_area: float) -> np.ndarray:
    """(h, w) lightness and share of saturated pixels -> (h, w): 0 in a lamp, 1 in a bright surface, soft between.

    Surfaces are bright regions with more than twice `lamp_area` of saturated pixels, or with hardly any for their size.
    """
    if lamp_area >= 1:
        return np.zeros_like(core)
    count, labels = cv2.connectedComponents((lightness > BRIGHT).astype(np.uint8), connectivity=8)
    cells = np.bincount(labels.ravel(), minlength=count)
    saturated = np.bincount(labels.ravel(), core.ravel(), count)
    large = fr.smoothstep(torch.from_numpy(np.log2(saturated.clip(1e-9) / core.size / lamp_area)))
    sparse = 1 - fr.smoothstep(torch.from_numpy((saturated / cells.clip(1) - SPARSE[0]) / (SPARSE[1] - SPARSE[0])))
    surface = torch.maximum(large, sparse).float().numpy()
    surface[0] = 0  # label 0 is what is not bright
    return cv2.dilate(surface[labels], np.ones((5, 5), np.uint8))  # reaches over the edge of the region


def _daylight(lightness: np.ndarray) -> np.ndarray:
    """(h, w) -> (h, w): 0 where it is dark around; 1 in daylight, where a sky or a coat clips in a channel."""
    around = cv2.GaussianBlur(lightness, (0, 0), DAYLIGHT_REACH)
    return fr.smoothstep(torch.from_numpy((around - DAYLIGHT[0]) / (DAYLIGHT[1] - DAYLIGHT[0]))).numpy()
