"""From pixels of a frame to places in a picture: true perspective into a panorama, a homography for a flat picture.

A flat picture is a plane at distance 1 that the camera faces in the middle of the clip. Shake turns the camera, a pan
slides the plane, since one seen from the side would be stretched more than by any lens. A panorama is a sphere of
radius 1 round the place where the camera is in the middle of the clip.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from lolblur_synth.recipe.shoot import ShootConfig
from lolblur_synth.tools.shoot import camera_path
from lolblur_synth.tools.shoot.camera_path import Path, Pose

MARGIN = 3.0  # px of the frame that the path keeps from the edge of a flat picture: what a cubic kernel reaches
LEAST_REACH = 40.0  # px of the frame: a pan turns back no earlier, even where the picture must be enlarged for it
TURN_TIME = 8.0  # frames: nor earlier than so many frames at the pan's rate, so that frames follow the turn


def focal(config: ShootConfig) -> float:
    """px, in the middle of the clip."""
    return config.width / 2 / math.tan(math.radians(config.field_of_view) / 2)


@dataclass(frozen=True)
class Flat:
    """scale: px of the picture in a unit of the plane; left, top: the plane's origin in the picture, px."""

    scale: float
    left: float
    top: float

    def density(self, focal: float) -> float:
        """Pixels of the picture in a pixel of the frame."""
        return self.scale / focal

    def locate(self, seen: Pose, x: np.ndarray, y: np.ndarray, focal: float) -> tuple[np.ndarray, np.ndarray]:
        u, v = plane(seen, x, y, focal)
        scale, left, top = (np.float32(value) for value in (self.scale, self.left, self.top))
        return u * scale + left, v * scale + top


@dataclass(frozen=True)
class Panorama:
    """width, height: of the whole picture, px; columns go on beyond its ends. heading: deg right of its middle."""

    width: int
    height: int
    heading: float
    pitch_down: float

    def density(self, focal: float) -> float:
        """Pixels of the picture in a pixel of the frame, in the middle of the view."""
        return self.width / (2 * math.pi) / focal

    def locate(self, seen: Pose, x: np.ndarray, y: np.ndarray, focal: float) -> tuple[np.ndarray, np.ndarray]:
        turned = seen._replace(yaw=seen.yaw + seen.pan[:, 0], pitch=seen.pitch - seen.pan[:, 1])
        dx, dy, dz = rays(turned, x, y, focal, math.radians(self.pitch_down))
        if seen.shift.any():
            shift = seen.shift.astype(np.float32).T[..., None]
            norm = 1 / np.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx * norm, dy * norm, dz * norm
            along = dx * shift[0] + dy * shift[1] + dz * shift[2]
            reach = np.sqrt(along * along + 1 - (shift * shift).sum(0)) - along  # to the sphere
            dx, dy, dz = dx * reach + shift[0], dy * reach + shift[1], dz * reach + shift[2]
        across = np.arctan2(dx, dz) / np.float32(2 * np.pi) + np.float32(0.5 + self.heading / 360)
        down = np.arctan2(dy, np.hypot(dx, dz)) / np.float32(np.pi) + np.float32(0.5)
        return across * np.float32(self.width) - np.float32(0.5), down * np.float32(self.height) - np.float32(0.5)


def rays(seen: Pose, x: np.ndarray, y: np.ndarray, focal: float, tilt: float = 0.0) -> tuple[np.ndarray, ...]:
    """Directions of pixels in the scene, three arrays (rows, columns), not of length 1.

    seen: the camera at each row; x: (columns,), y: (rows,) px from the middle of the frame; tilt: rad downwards,
    before yaw. The camera rolls, then nods, then turns.
    """
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (seen.yaw, seen.pitch - tilt, seen.roll))
    one, zero = np.ones_like(cy), np.zeros_like(cy)
    turn = np.array([[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]])
    nod = np.array([[one, zero, zero], [zero, cp, -sp], [zero, sp, cp]])
    roll = np.array([[cr, -sr, zero], [sr, cr, zero], [zero, zero, one]])
    matrix = np.einsum("ijn,jkn,kln->iln", turn, nod, roll)
    scale = 1 / (focal * seen.zoom)
    slope, start = matrix[:, 0] * scale, matrix[:, 1] * scale * y + matrix[:, 2]  # (3, rows)
    columns, slope, start = x.astype(np.float32), slope.astype(np.float32), start.astype(np.float32)
    return tuple(slope[i][:, None] * columns + start[i][:, None] for i in range(3))


def plane(seen: Pose, x: np.ndarray, y: np.ndarray, focal: float) -> tuple[np.ndarray, np.ndarray]:
    """Where pixels of the frame fall on the plane z = 1: right and down, (rows, columns)."""
    dx, dy, dz = rays(seen, x, y, focal)
    depth = ((1 - seen.shift[:, 2]).astype(np.float32)[:, None]) / dz
    origin = (seen.shift[:, :2] + seen.pan).astype(np.float32).T[..., None]
    return origin[0] + dx * depth, origin[1] + dy * depth


def fit(path: Path, config: ShootConfig, size: tuple[int, int]) -> tuple[Path, Flat]:
    """A path laid into a flat picture of `size` = (width, height): it never leaves it.

    The pan turns back where the picture ends. The picture is enlarged where it has less than a pixel for each of the
    frame's along the path (`Flat.density` is below 1 then).
    """
    length = focal(config)
    still = dataclasses.replace(path, pan=(0.0, 0.0))
    low, high = _extent(still, config)
    path = _with_reach(path, config, length, np.array(size) - length * (high - low))
    path = camera_path.with_speed(path, config, length)
    low, high = _extent(path, config)
    extent = high - low + 2 * MARGIN / length
    most = float((np.array(size) / extent).min())
    density = most / length
    density = max(density, 1.0) ** (1 - path.closeness / 2) if density > 1 else density
    scale = density * length
    slack = np.array(size) - scale * extent
    left, top = slack * path.place - scale * (low - MARGIN / length) - 0.5
    return path, Flat(scale, float(left), float(top))


def _with_reach(path: Path, config: ShootConfig, length: float, slack: np.ndarray) -> Path:
    """The pan turns where the slack of the picture, px of a frame shown 1:1, ends."""
    rate = np.abs(path.pan)
    if not rate.any():
        return path
    fraction = np.maximum(rate / np.hypot(*rate), 1e-9)
    pixels_a_frame = math.radians(float(np.hypot(*rate))) * length / config.fps
    if config.speed != "drawn":
        pixels_a_frame = float(config.speed)
    reach = max(float((slack / 2 / fraction).min()), LEAST_REACH, TURN_TIME * pixels_a_frame)
    return dataclasses.replace(path, reach=math.degrees(reach / length))


def _extent(path: Path, config: ShootConfig) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (right, down) on the plane that any frame sees."""
    x, y = np.array([-1.0, 1.0]) * config.width / 2, np.array([-1.0, 1.0]) * config.height / 2
    corners = []
    for shift, row in zip((-path.readout / 2, path.readout / 2), y, strict=True):
        seen = camera_path.pose(path, camera_path.times(config) + shift)
        corners += [np.stack(plane(seen, x, np.full(config.frames, row), focal(config)))]
    both = np.concatenate(corners, axis=1)
    return both.min((1, 2)), both.max((1, 2))
