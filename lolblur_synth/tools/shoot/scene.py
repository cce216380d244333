"""A picture as seen by a camera at any instant: sharp, free of aliasing, with its light above white.

The picture is brought once a clip to twice the resolution of the frames, in linear light: by areas where it has more,
and a Gaussian of 0.4 px of a frame then takes away what would alias. Frames are cubic samples of the part up to white,
in display values, and linear ones of the light above it, so that nothing rings round a lamp. Rendering is pure.
"""

import dataclasses
import math
from dataclasses import dataclass

import cv2
import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.frames import GAMMA
from lolblur_synth.recipe.shoot import ShootConfig
from lolblur_synth.tools.shoot import camera_path, lamps, projection
from lolblur_synth.tools.shoot.camera_path import Path
from lolblur_synth.tools.shoot.pictures import Picture

OVERSAMPLING = 2.0  # pixels of the prepared picture in a pixel of the frame
BLUR = 0.4  # px of the frame, sigma
PAD = 8  # px of the picture round what the path sees
GRID = 17  # points a side on which the extent of a view is looked at
METERED = 4  # px: every fourth pixel is metered


@dataclass(frozen=True, eq=False)
class Scene:
    """display: (h, w, 3) float32, light up to white as display values; above: linear light above it, or None; lowest:
    of the display values round each pixel, where there are lamps: beside one a cubic sample would be darker.

    A place (x, y) of the picture is at ((x + 1/2 - left) * scale_x - 1/2, ...) of them. exposure: what the light of the
    picture was multiplied by. density: pixels of the picture in a pixel of the frame.
    """

    display: np.ndarray
    above: np.ndarray | None
    lowest: np.ndarray | None
    place: projection.Flat | projection.Panorama
    path: Path
    config: ShootConfig
    origin: tuple[float, float]
    scale: tuple[float, float]
    exposure: float
    density: float


def prepare(picture: Picture, light: np.ndarray, path: Path, config: ShootConfig, lightness: float) -> Scene:
    """light: of the picture, with its lamps; lightness: mean L*/100 that an HDR picture is exposed to."""
    length = projection.focal(config)
    if picture.is_panorama:
        path = camera_path.with_speed(path, config, length)
        place = projection.Panorama(*picture.size, path.heading, path.pitch_down)
    else:
        path, place = projection.fit(path, config, picture.size)
    density = place.density(length)
    left, top, cut = _cut(light, _extent(place, path, config), picture.is_panorama)
    height, width = cut.shape[:2]
    size = max(2, round(width * OVERSAMPLING / density)), max(2, round(height * OVERSAMPLING / density))
    scene = Scene(cut, None, None, place, path, config, (left, top), (1.0, 1.0), 1.0, density)
    exposure = 1.0 if picture.clipped is not None else _metered(scene, picture.name, lightness)
    display, above = _sampled_light(cut, size, density, exposure)
    scale = size[0] / width, size[1] / height
    lowest = None if above is None else _lowest(display)
    return dataclasses.replace(scene, display=display, above=above, lowest=lowest, scale=scale, exposure=exposure)


def _sampled_light(light: np.ndarray, size: tuple[int, int], density: float, exposure: float) -> tuple:
    """Light at `size` = (width, height), without what would alias: up to white as display values, and above it."""
    if density > OVERSAMPLING:
        light = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    if density > 1:
        light = cv2.GaussianBlur(light, None, BLUR * min(OVERSAMPLING, density))
    light = light * np.float32(exposure)
    above = np.maximum(light - 1, 0) if (light > 1).any() else None
    display = np.power(np.minimum(light, 1), np.float32(1 / GAMMA))
    if density < OVERSAMPLING:
        lowest = None if above is None else cv2.resize(_lowest(display), size, interpolation=cv2.INTER_LINEAR)
        display = cv2.resize(display, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
        if above is not None:
            display = np.maximum(display, lowest)
            above = cv2.resize(above, size, interpolation=cv2.INTER_LINEAR)
            if density < 1:  # a lamp of one pixel would be a square
                above = cv2.GaussianBlur(above, None, BLUR * OVERSAMPLING / density)
    return display, above


def _lowest(display: np.ndarray) -> np.ndarray:
    """The lowest value round each pixel."""
    return cv2.erode(display, np.ones((3, 3), np.uint8))


def render(scene: Scene, t: float) -> np.ndarray:
    """(H, W, 3) float32 RGB extended display values at the instant t, seconds from the middle of the clip."""
    x, y = _sampled(scene, t)
    shown = cv2.remap(scene.display, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    np.clip(shown, 0, 1, out=shown)
    if scene.above is None:
        return shown
    np.maximum(shown, cv2.remap(scene.lowest, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), out=shown)
    above = cv2.remap(scene.above, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lit = above > 0
    shown[lit] = np.power(np.power(shown[lit], np.float32(GAMMA)) + above[lit], np.float32(1 / GAMMA))
    return shown


def _sampled(scene: Scene, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of the frame is fetched: (H, W) float32 columns and rows of the prepared picture."""
    config = scene.config
    x, y = np.arange(config.width) - (config.width - 1) / 2, np.arange(config.height) - (config.height - 1) / 2
    seen = camera_path.pose(scene.path, t + scene.path.readout * y / config.height)
    columns, rows = scene.place.locate(seen, x, y, projection.focal(config))
    places = []
    for at, origin, scale in zip((columns, rows), scene.origin, scene.scale, strict=True):
        places.append(at * np.float32(scale) + np.float32((0.5 - origin) * scale - 0.5))
    return places[0], places[1]


def _extent(place, path: Path, config: ShootConfig) -> tuple[float, float, float, float]:
    """left, top, right, bottom that the frames see, px of the picture."""
    x = np.linspace(-0.5, 0.5, GRID) * config.width
    y = np.linspace(-0.5, 0.5, GRID) * config.height
    length = projection.focal(config)
    boxes = []
    for t in camera_path.times(config):
        seen = camera_path.pose(path, t + path.readout * y / config.height)
        columns, rows = place.locate(seen, x, y, length)
        boxes.append((columns.min(), rows.min(), columns.max(), rows.max()))
    low, high = np.array(boxes)[:, :2].min(0), np.array(boxes)[:, 2:].max(0)
    return (*map(float, low), *map(float, high))


def _cut(light: np.ndarray, box: tuple[float, ...], wraps: bool) -> tuple[int, int, np.ndarray]:
    """The part of the picture in the box: its left, its top, (h, w, 3). Panoramas go round."""
    height, width = light.shape[:2]
    left, top = math.floor(box[0]) - PAD, max(0, math.floor(box[1]) - PAD)
    right, bottom = math.ceil(box[2]) + PAD + 1, min(height, math.ceil(box[3]) + PAD + 1)
    if not wraps:
        left, right = max(0, left), min(width, right)
        return left, top, light[top:bottom, left:right]
    return left, top, np.take(light[top:bottom], np.arange(left, right), axis=1, mode="wrap")


def _metered(scene: Scene, name: str, wanted: float) -> float:
    """The exposure that gives the frame in the middle of the clip the mean L*/100 `wanted`."""
    x, y = (at[::METERED, ::METERED] for at in _sampled(scene, 0.0))
    light = cv2.remap(scene.display, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)
    brightest = float(light.max())
    if brightest <= 0:
        raise InputError(f"{name}: the picture is black where the camera looks", "leave it out", "black")
    low, high = -10.0, 60.0  # log2 of the exposure that makes the brightest value white, at the dark end
    for _ in range(40):
        middle = (low + high) / 2
        dark = lamps.mean_lightness(light * np.float32(2**middle / brightest)) < wanted
        low, high = (middle, high) if dark else (low, middle)
    return float(2**low / brightest)
