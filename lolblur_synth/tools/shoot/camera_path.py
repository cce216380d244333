"""Where the camera looks and stands at each instant of a clip: hand shake, pan, walk and zoom.

Shake is rotation. The rate of an axis is a sum of cosines, w(s) = sum_i a_i cos(2 pi f_i s + p_i), with the power
spectrum S(f) = 1 / (f (1 + (f/12)^4)), and the angle is its exact integral (Boracchi and Foi's walk has no time axis;
the spectrum fits the gyro of action cameras: equal octaves up to 12 Hz, then steep). True shake moves less than half a
pixel a frame at 250 fps, so that the camera time s runs faster than the clip's time t: the shake of an exposure time T
fills the window that `build` averages. Pan, walk and zoom run in the clip's own time.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lolblur_synth.recipe.shoot import ShootConfig

COSINES = 28  # of an axis, one in each of as many logarithmic bins
BAND = (0.3, 40.0)  # Hz of camera time
CORNER = 12.0  # Hz: the spectrum falls from here on
ROLL = 0.7  # rms rate of roll, of that of yaw and pitch
WINDOW = 9  # frames of the longest exposure window
RESOLVED = 8.0  # frames: what is quicker than this cannot be told from frames, and is left out of the shake
WALK = 1.3  # m/s
STEPS = 1.9  # Hz: the head bobs at each step and sways at half the rate
BOB, SWAY = 0.015, 0.02  # m
MOST_WALKED = (
    0.4  # share of the scene's distance, from the middle of a clip to its end: a longer clip's scene is further
)
MOST_ZOOMED = 0.5  # change of ln(focal length), likewise
TILT = (-15.0, 15.0)  # deg, of a pan from horizontal
PITCH = (-8.0, 8.0)  # deg above and below the horizon, where a panorama is looked at


@dataclass(frozen=True)
class Shake:
    """One axis: cosines of the rate. frequency: Hz of camera time; rate: deg/s; phase: rad."""

    frequency: tuple[float, ...]
    rate: tuple[float, ...]
    phase: tuple[float, ...]

    def angle(self, s: np.ndarray) -> np.ndarray:
        """rad at camera times s, in seconds; 0 at s = 0."""
        w, p = 2 * np.pi * np.array(self.frequency), np.array(self.phase)
        swing = np.radians(self.rate) / w
        return (swing * (np.sin(np.multiply.outer(s, w) + p) - np.sin(p))).sum(-1)


@dataclass(frozen=True)
class Path:
    """A camera path. Time t is the clip's, in seconds, 0 in the middle of the clip; y points down, z into the scene.

    pan: deg/s at t = 0, to the right and down; reach: largest angle of the pan from its middle, where it turns back.
    walk: share of the scene's distance walked in a second; bob, sway: amplitudes, shares of the distance.
    heading: deg to the right of the middle of a panorama; pitch_down: deg below its horizon. place: where the path lies
    in the slack of a flat picture, 0..1 of its width and height; closeness: 0 shows as much of it as fits, 1 half as
    much on a logarithmic scale, down to a pixel for each of the frame's. readout: s from the first to the last row.
    """

    exposure_time: float
    quickening: float
    yaw: Shake
    pitch: Shake
    roll: Shake
    pan: tuple[float, float]
    reach: float
    walk: float
    bob: float
    sway: float
    step_phase: float
    zoom: float
    heading: float
    pitch_down: float
    place: tuple[float, float]
    closeness: float
    readout: float


class Pose(NamedTuple):
    """At n instants. Angles in rad, (n,); pan: (n, 2), right and down; shift: (n, 3), shares of the scene's distance;
    zoom: (n,), focal length relative to the middle of the clip."""

    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    pan: np.ndarray
    shift: np.ndarray
    zoom: np.ndarray


def draw(config: ShootConfig, rng: np.random.Generator) -> Path:
    """A path before it is fitted into a picture. Every number is drawn whatever the others are, so that one option
    changes one thing."""
    exposure_time = _log_uniform(rng, config.exposure_time)
    quickening = exposure_time * config.fps / WINDOW
    sigma = _log_uniform(rng, config.shake)
    fastest = config.fps / RESOLVED / quickening
    yaw, pitch, roll = (_draw_shake(rng, rate, fastest) for rate in (sigma, sigma, ROLL * sigma))
    panned, rate, side, tilt = rng.random(), rng.uniform(*config.pan), rng.choice((-1.0, 1.0)), rng.uniform(*TILT)
    walked, distance, step_phase = rng.random(), _log_uniform(rng, config.distance), rng.uniform(0, 2 * np.pi)
    zoomed, zoom = rng.random(), rng.uniform(*config.zoom)
    heading, pitch_down, place, closeness = rng.uniform(-180, 180), rng.uniform(*PITCH), rng.random(2), rng.random()
    rate *= side * (panned < config.pan_share or config.speed != "drawn")
    half = config.frames / config.fps / 2
    steps = float(walked < config.walk_share) / max(distance, WALK * half / MOST_WALKED)
    zoom = float(np.clip(zoom, -MOST_ZOOMED / half, MOST_ZOOMED / half))
    direction = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    return Path(
        exposure_time, quickening, yaw, pitch, roll, (rate * direction[0], rate * direction[1]), 0.0,
        steps * WALK, steps * BOB, steps * SWAY, step_phase, zoom * (zoomed < config.zoom_share),
        heading, pitch_down, (place[0], place[1]), closeness, rng.uniform(*config.rolling_shutter) / 1000,
    )  # fmt: skip


def pose(path: Path, t: np.ndarray) -> Pose:
    """The camera at the instants t, seconds from the middle of the clip."""
    s, rate = t * path.quickening, np.radians(path.pan)
    reach = math.radians(path.reach)
    speed = float(np.hypot(*rate))
    if speed and reach:
        pan = np.multiply.outer(np.sin(t * speed / reach) * reach, rate / speed)
    else:
        pan = np.multiply.outer(t, rate)
    step = 2 * np.pi * STEPS * t + path.step_phase
    shift = [path.sway * (np.sin(step / 2) - math.sin(path.step_phase / 2)),
             path.bob * (np.sin(step) - math.sin(path.step_phase)), path.walk * t]  # fmt: skip
    angles = path.yaw.angle(s), path.pitch.angle(s), path.roll.angle(s)
    return Pose(*angles, pan, np.stack(shift, -1), np.exp(path.zoom * t))


def times(config: ShootConfig) -> np.ndarray:
    """Of the frames, in seconds from the middle of the clip."""
    return (np.arange(config.frames) - (config.frames - 1) / 2) / config.fps


def speed(path: Path, config: ShootConfig, focal: float) -> float:
    """Mean motion of the middle of the frame, pixels a frame; focal: px."""
    if config.frames < 2:
        return 0.0
    seen = pose(path, times(config))
    x, y = seen.yaw + seen.pan[:, 0] + seen.shift[:, 0], -seen.pitch + seen.pan[:, 1] + seen.shift[:, 1]
    return float(focal * np.hypot(np.diff(x), np.diff(y)).mean())


def with_speed(path: Path, config: ShootConfig, focal: float) -> Path:
    """The path at `config.speed`: by its pan, or, where the shake alone is faster, by less shake and no pan."""
    if config.speed == "drawn":
        return path
    wanted, direction = float(config.speed), np.array(path.pan) / max(np.hypot(*path.pan), 1e-12)
    if not direction.any():
        direction = np.array([1.0, 0.0])
    still = dataclasses.replace(path, pan=(0.0, 0.0))
    if (alone := speed(still, config, focal)) >= wanted:
        return _with_less_shake(still, wanted / alone if alone else 0.0)
    low, high = 0.0, 4 * math.degrees((wanted + alone) * config.fps / focal) + 1
    for _ in range(50):
        rate = (low + high) / 2
        slow = speed(dataclasses.replace(path, pan=tuple(rate * direction)), config, focal) < wanted
        low, high = (rate, high) if slow else (low, rate)
    return dataclasses.replace(path, pan=(float(rate * direction[0]), float(rate * direction[1])))


def _with_less_shake(path: Path, share: float) -> Path:
    def less(axis: Shake) -> Shake:
        return dataclasses.replace(axis, rate=tuple(share * rate for rate in axis.rate))

    return dataclasses.replace(path, yaw=less(path.yaw), pitch=less(path.pitch), roll=less(path.roll),
                               walk=share * path.walk, bob=share * path.bob, sway=share * path.sway)  # fmt: skip


def _draw_shake(rng: np.random.Generator, sigma: float, fastest: float) -> Shake:
    """Cosines of one axis of rms rate `sigma` deg/s; those above `fastest` Hz of camera time keep no amplitude."""
    edges = np.geomspace(*BAND, COSINES + 1)
    frequency = edges[:-1] * (edges[1:] / edges[:-1]) ** rng.random(COSINES)
    power = 1 / (1 + (frequency / CORNER) ** 4)  # S(f) df, with df in proportion to f
    rate = sigma * np.sqrt(2 * power / power.sum()) * (frequency <= fastest)
    return Shake(*(tuple(map(float, v)) for v in (frequency, rate, rng.uniform(0, 2 * np.pi, COSINES))))


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    share, (low, high) = rng.random(), limits
    return float(low * (high / low) ** share) if low > 0 else float(high * share)
