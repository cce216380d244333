"""Light above white for the lights that a sensor clipped in a photograph.

A lamp is a connected region of pixels in which a channel is clipped, with darker pixels round it: paper in the sun,
foam and feathers are clipped in pieces amid bright ones. Its mean excess over white is log-normal, as measured in HDR
pictures of the night (median 1.5 times white, deviation of the logarithm 1.7), less where it is small: optics spread
such a light (below 15 px of a frame of 560 the median lamp was at 1.2 times white). Inside the region the excess grows
with the distance to the rim, which is nearer to true lamps than a flat one; the hue comes from the rim, where it is
just not clipped.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lolblur_synth.recipe.shoot import ShootConfig

CLIPPED = 250 / 255  # display value; JPEG and sharpening leave clipped pixels a little below white
EXCESS = (0.05, 300.0)  # times white, limits of the draw
RIM = 5  # px, side of the square by which a region is grown to find its rim
LEAST_HUE = 0.02  # of the brightest channel
SMALL = 256  # px, side of the picture on which lightness is judged
SURROUND = 1 / 32  # of the picture's longer side: how far round a region is looked, at least half its own extent
FULL_AREA = 15.0 / (560 * 320)  # share of the picture from which on a lamp has the whole excess; below, as its side


@dataclass(frozen=True, eq=False)
class Regions:
    """labels: (H, W) int32, 0 outside; the rest by region: area in pixels, centre (x, y), hue with a maximum of 1."""

    labels: np.ndarray
    clipped: np.ndarray
    area: np.ndarray
    centre: np.ndarray
    hue: np.ndarray


def lightness(light: np.ndarray) -> float:
    """Mean CIE L*/100, 0..1, of (H, W, 3) linear light, clipped at white; of a reduced copy."""
    height, width = light.shape[:2]
    share = min(1, SMALL / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    return mean_lightness(cv2.resize(light, size, interpolation=cv2.INTER_AREA))


def mean_lightness(light: np.ndarray) -> float:
    """Mean CIE L*/100 of linear light (..., 3), clipped at white."""
    y = np.minimum(light, 1) @ np.array([0.2126729, 0.7151522, 0.0721750], np.float32)
    return float(np.where(y > (6 / 29) ** 3, 1.16 * np.cbrt(y) - 0.16, y * (0.01 * (29 / 3) ** 3)).mean())


def find(light: np.ndarray, clipped: np.ndarray, config: ShootConfig) -> Regions | None:
    """The lamps of a photograph, (H, W, 3) linear light, 0..1; None where it has none.

    clipped: (H, W, 3) bool. Larger regions than `lamp_area` of the picture are none.
    """
    if config.lamps == "never" or not clipped.any():
        return None
    if config.lamps == "auto" and lightness(light) >= config.lamp_lightness:
        return None
    mask = clipped.any(2).astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    is_lamp = (area <= config.lamp_area * mask.size) & (_surround(light, mask, stats) <= config.lamp_surround)
    is_lamp[0] = False
    if not is_lamp.any():
        return None
    number = np.cumsum(is_lamp).astype(np.int32) * is_lamp  # of each component, 0 where it is no lamp
    labels = number[labels].astype(np.int32)
    hue = _hues(light, mask, labels, int(is_lamp.sum()))
    return Regions(labels, clipped, area[is_lamp], centres[is_lamp], hue)


def _surround(light: np.ndarray, mask: np.ndarray, stats: np.ndarray) -> np.ndarray:
    """By component: mean of the brightest channel of the unclipped pixels round it."""
    height, width = mask.shape
    free = 1.0 - mask
    sums = [cv2.integral(values) for values in (np.minimum(light.max(2), 1) * free, free)]
    far = SURROUND * max(height, width)
    left, top, wide, high = (stats[:, column].astype(np.int64) for column in range(4))
    reach_x, reach_y = (np.maximum(far, extent / 2).astype(np.int64) for extent in (wide, high))
    x0, x1 = np.maximum(left - reach_x, 0), np.minimum(left + wide + reach_x, width)
    y0, y1 = np.maximum(top - reach_y, 0), np.minimum(top + high + reach_y, height)
    bright, count = (s[y1, x1] - s[y0, x1] - s[y1, x0] + s[y0, x0] for s in sums)
    return np.where(count > 0, bright / np.maximum(count, 1), 1.0)


def _hues(light: np.ndarray, mask: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """(count, 3): colour of the light at the rims, the brighter the more it counts."""
    grown = cv2.dilate(labels.astype(np.float32), np.ones((RIM, RIM), np.uint8))
    rim = (grown > 0) & (mask == 0)
    owner, colours = grown[rim].astype(np.int64) - 1, light[rim]
    weight = colours.max(1) ** 2
    sums = np.stack([np.bincount(owner, colours[:, c] * weight, count) for c in range(3)], 1)
    peak = sums.max(1, keepdims=True)
    return np.where(peak > 0, np.maximum(sums / np.maximum(peak, 1e-30), LEAST_HUE), 1.0)


def draw(config: ShootConfig, rng: np.random.Generator, lamps: Regions | None) -> np.ndarray:
    """(lamps,) mean excess of each lamp, times white."""
    if lamps is None:
        return np.zeros(0)
    size = np.sqrt(np.minimum(lamps.area / (FULL_AREA * lamps.labels.size), 1))
    return size * np.clip(config.lamp_excess * np.exp(config.lamp_spread * rng.standard_normal(len(size))), *EXCESS)


def lit(light: np.ndarray, lamps: Regions, excess: np.ndarray) -> np.ndarray:
    """The light with that of the lamps: each clipped channel of a lamp gets what its hue has above white."""
    inside = lamps.labels > 0
    owner = lamps.labels[inside] - 1
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)[inside].astype(np.float64)
    mean = np.bincount(owner, distance, len(excess)) / lamps.area
    peak = 1 + excess[owner] * distance / mean[owner]
    above = np.maximum(peak[:, None] * lamps.hue[owner] - 1, 0) * lamps.clipped[inside]
    out = light.copy()
    out[inside] = np.where(above > 0, 1 + above, out[inside])
    return out


def record(lamps: Regions | None, excess: np.ndarray) -> dict:
    """Plain numbers for the clip's record; by lamp: centre and area in pixels of the picture, excess, hue."""
    if lamps is None:
        return {"count": 0}
    return {
        "count": len(excess), "centre": lamps.centre.round(1).tolist(), "area": lamps.area.tolist(),
        "excess": excess.round(4).tolist(), "hue": lamps.hue.round(3).tolist(),
    }  # fmt: skip
