"""Rendered scenes for the interpolation network: textured layers that move, with exact flow and lights that clip.

A scene is one layer that fills the frame and a few cut-out ones in front of it, each a piece of a photograph under a
projective motion with a little acceleration, smooth in time: scenes can be rendered at any instant, and their flow is
known to rounding. A scene without layers in front is a homography pan over a photograph.
"""

from dataclasses import dataclass

import cv2
import numpy as np

MOTION = (0.4, 40.0)  # px an interval, log-uniform, drawn for the scene
MOTION_IN_FRONT = (0.2, 2.5)  # of a layer in front, times the motion of the scene
TURN, ZOOM = 0.06, 0.06  # at most, an interval: rad, and logarithm of the scale
TILT = 0.05  # at most, an interval: change of scale over the texture
BEND = 0.08  # at most: acceleration, as a share of the motion
PAN_SHARE = 0.25  # of the scenes have one layer alone
LIGHT_SHARE = 0.3  # of the layers carry lights
NOISE = 2.0  # code values: largest standard deviation


@dataclass(frozen=True)
class Layer:
    """texture: (h, w, 4) float32, colour times alpha, and alpha; the rest is its motion."""

    texture: np.ndarray
    place: tuple[float, float]  # of the texture's middle at t = 1/2, pixels
    velocity: tuple[float, float]
    bend: tuple[float, float]
    turn: float
    zoom: float
    tilt: tuple[float, float]

    def at(self, t: float) -> np.ndarray:
        """3x3 map from texture pixels to frame pixels at the instant t of 0..1."""
        tau = t - 0.5
        height, width = self.texture.shape[:2]
        scale = np.exp(self.zoom * tau)
        c, s = scale * np.cos(self.turn * tau), scale * np.sin(self.turn * tau)
        tilt = np.array([[1, 0, 0], [0, 1, 0], [self.tilt[0] * tau / width, self.tilt[1] * tau / height, 1]])
        centred = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
        x, y = (p + v * tau + 4 * b * tau * tau for p, v, b in zip(self.place, self.velocity, self.bend, strict=True))
        return np.array([[c, -s, x], [s, c, y], [0, 0, 1]]) @ tilt @ centred


def draw_scene(rng: np.random.Generator, photos: list[np.ndarray], size: int) -> list[Layer]:
    """Layers from the back to the front. photos: (h, w, 3) uint8 display RGB."""
    motion = float(np.exp(rng.uniform(*np.log(MOTION))))
    count = 0 if rng.random() < PAN_SHARE else int(rng.integers(1, 5))
    back = _texture(rng, photos, 2 * size)
    layers = [_layer(rng, _opaque(back), (size / 2, size / 2), motion if count == 0 else motion * rng.random())]
    for _ in range(count):
        side = int(size * rng.uniform(0.15, 0.7))
        texture = _texture(rng, photos, side)
        alpha = _shape(rng, side)[..., None]
        place = rng.uniform(0.1, 0.9, 2) * size
        layers.append(
            _layer(rng, np.dstack([texture * alpha, alpha]), tuple(place), motion * rng.uniform(*MOTION_IN_FRONT))
        )
    return layers


def render(layers: list[Layer], t: float, size: int) -> np.ndarray:
    """(size, size, 3) float32 display RGB, 0..1, at the instant t."""
    shown = np.zeros((size, size, 3), np.float32)
    for number, layer in enumerate(layers):
        border = cv2.BORDER_REFLECT if number == 0 else cv2.BORDER_CONSTANT
        seen = cv2.warpPerspective(layer.texture, layer.at(t), (size, size), flags=cv2.INTER_CUBIC, borderMode=border)
        shown = seen[..., :3] + (1 - seen[..., 3:]) * shown
    return shown.clip(0, 1)


def exact_flow(layers: list[Layer], start: float, end: float, size: int) -> np.ndarray:
    """(size, size, 2) float32: where what is seen at `start` is at `end`, less where it was; pixels."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    here = np.stack([x, y, np.ones_like(x)])
    flow = np.zeros((size, size, 2))
    for number, layer in enumerate(layers):
        there = np.tensordot(layer.at(end) @ np.linalg.inv(layer.at(start)), here, 1)
        moved = (there[:2] / there[2] - here[:2]).transpose(1, 2, 0)
        if number == 0:
            flow = moved
            continue
        alpha = cv2.warpPerspective(layer.texture[..., 3], layer.at(start), (size, size))
        flow = np.where(alpha[..., None] > 0.5, moved, flow)
    return flow.astype(np.float32)


def _layer(rng, texture: np.ndarray, place: tuple[float, float], motion: float) -> Layer:
    angle = rng.uniform(0, 2 * np.pi)
    velocity = motion * np.cos(angle), motion * np.sin(angle)
    slowness = min(1.0, motion / 8)  # layers that move less than 8 px turn, zoom and tilt less
    bend = tuple(rng.uniform(-BEND, BEND, 2) * motion)
    tilt = tuple(rng.uniform(-TILT, TILT, 2) * slowness)
    return Layer(
        texture, place, velocity, bend, rng.uniform(-TURN, TURN) * slowness, rng.uniform(-ZOOM, ZOOM) * slowness, tilt
    )


def _opaque(texture: np.ndarray) -> np.ndarray:
    return np.dstack([texture, np.ones(texture.shape[:2], np.float32)])


def _texture(rng, photos: list[np.ndarray], side: int) -> np.ndarray:
    """(side, side, 3) float32 display: a piece of a photograph at a random size and tint, maybe with lights above 1."""
    photo = photos[rng.integers(len(photos))]
    taken = min(int(side * np.exp(rng.uniform(np.log(0.5), np.log(2)))), *photo.shape[:2])
    top, left = (int(rng.integers(extent - taken + 1)) for extent in photo.shape[:2])
    piece = photo[top : top + taken, left : left + taken].astype(np.float32) / 255
    way = cv2.INTER_AREA if taken > side else cv2.INTER_CUBIC
    piece = cv2.resize(piece, (side, side), interpolation=way)
    piece = piece * rng.uniform(0.6, 1.3, 3).astype(np.float32) + np.float32(rng.uniform(-0.1, 0.1))
    if rng.random() < LIGHT_SHARE:
        spots = np.zeros((side, side), np.float32)
        for _ in range(rng.integers(1, 5)):
            centre = rng.integers(0, side, 2).tolist()
            cv2.circle(spots, centre, int(rng.integers(1, 7)), float(rng.uniform(1, 3)), -1, cv2.LINE_AA)
        spots = cv2.GaussianBlur(spots, None, float(rng.uniform(0.5, 2)))
        piece = np.maximum(piece, spots[..., None] * rng.uniform(0.5, 1, 3).astype(np.float32))
    return piece.clip(0, 3)


def _shape(rng, side: int) -> np.ndarray:
    """(side, side) float32 alpha: an ellipse, a polygon, a bar or a blob, with an edge of about a pixel."""
    mask = np.zeros((side, side), np.float32)
    kind, middle = rng.integers(4), side / 2
    if kind == 0:
        axes = (rng.uniform(0.15, 0.48, 2) * side).astype(int).tolist()
        cv2.ellipse(mask, (side // 2, side // 2), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    elif kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        reach = rng.uniform(0.2, 0.48, len(angles)) * side
        points = np.stack([middle + reach * np.cos(angles), middle + reach * np.sin(angles)], 1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    elif kind == 2:
        angle, reach = rng.uniform(0, np.pi), 0.47 * side
        ends = [
            (int(middle + sign * reach * np.cos(angle)), int(middle + sign * reach * np.sin(angle))) for sign in (-1, 1)
        ]
        cv2.line(mask, *ends, 1, int(max(2, side * rng.uniform(0.03, 0.15))))
    else:
        y, x = np.mgrid[:side, :side] / side - 0.5
        rough = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), None, side / 10)
        mask = (rough / (rough.std() + 1e-6) * 0.5 > np.hypot(x, y) * 4 - 1).astype(np.float32)
    return cv2.GaussianBlur(mask, None, float(rng.uniform(0.5, 1.0)))


def as_camera(rng, picture: np.ndarray, noise: float) -> np.ndarray:
    """Display 0..1 with noise of so many code values, rounded to 8 bits: uint8."""
    noisy = picture * 255 + rng.standard_normal(picture.shape, np.float32) * np.float32(noise)
    return np.round(noisy).clip(0, 255).astype(np.uint8)
