"""One clip of one picture: draw, render, write; and the record of everything that was drawn.

A clip is there when both its record and its video are: the record is written first, so that a video without one is
nobody's of ours, and a record without a video is a clip that was interrupted.
"""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from lolblur_synth import __version__, draw
from lolblur_synth.dataset import layout
from lolblur_synth.files import atomic
from lolblur_synth.files.video import pq_writer
from lolblur_synth.frames import GAMMA
from lolblur_synth.recipe.shoot import ShootConfig
from lolblur_synth.tools.shoot import camera_path, lamps, projection, scene
from lolblur_synth.tools.shoot.pictures import Picture

PEAK = 49.26  # times white: the most that PQ holds


def draw_clip(picture: Picture, number: int, config: ShootConfig, seed: int) -> tuple[scene.Scene, dict]:
    """The scene of clip `number` of a picture, and what was drawn for it. The same for any other pictures beside it."""
    regions = None if picture.clipped is None else lamps.find(picture.light, picture.clipped, config)
    excess = lamps.draw(config, draw.rng(seed, picture.sha256, "picture", "shoot.lamps"), regions)
    light = picture.light if regions is None else lamps.lit(picture.light, regions, excess)
    unit = f"clip-{number}"
    path = camera_path.draw(config, draw.rng(seed, picture.sha256, unit, "shoot.path"))
    lightness = float(draw.rng(seed, picture.sha256, unit, "shoot.lightness").uniform(*config.lightness))
    seen = scene.prepare(picture, light, path, config, lightness)
    return seen, {"lightness": lightness if picture.clipped is None else None, "lamps": lamps.record(regions, excess)}


def record(picture: Picture, number: int, config: ShootConfig, seed: int, seen: scene.Scene, drawn: dict) -> dict:
    """Everything needed to make the clip again, and where the camera is at each frame."""
    length, times = projection.focal(config), camera_path.times(config)
    pose = camera_path.pose(seen.path, times)
    width, height = picture.size
    return {
        "version": __version__,
        "key": key(picture.sha256, number, config, seed),
        "source": {"name": picture.name, "sha256": picture.sha256, "width": width, "height": height,
                   "projection": "panorama" if picture.is_panorama else "flat",
                   "light": "measured" if picture.clipped is None else "photograph"},
        "seed": seed,
        "clip": number,
        "settings": dataclasses.asdict(config),
        "light": {"exposure": seen.exposure, "lightness": drawn["lightness"],
                  "peak": min(PEAK, 1 + float(seen.above.max())) if seen.above is not None else
                  round(float(seen.display.max()) ** GAMMA, 6)},
        "lamps": drawn["lamps"],
        "camera": {"focal": length, "speed": camera_path.speed(seen.path, config, length),
                   "pixels": seen.density, "place": dataclasses.asdict(seen.place)},
        "path": dataclasses.asdict(seen.path),
        "poses": {"time": times.tolist(),
                  **{name: np.degrees(getattr(pose, name)).tolist() for name in ("yaw", "pitch", "roll", "pan")},
                  "shift": pose.shift.tolist(), "zoom": pose.zoom.tolist()},
    }  # fmt: skip


def key(sha256: str, number: int, config: ShootConfig, seed: int) -> str:
    """Changes with everything that the clip depends on."""
    parts = (__version__, sha256, number, seed, dataclasses.asdict(config) | {"clips": None})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def write(target: Path, picture: Picture, number: int, config: ShootConfig, seed: int) -> dict:
    """Shoot one clip to `target` (.mkv) and its record beside it. Returns the record."""
    seen, drawn = draw_clip(picture, number, config, seed)
    facts = record(picture, number, config, seed, seen, drawn)
    target.unlink(missing_ok=True)
    atomic.write(target.with_suffix(".json"), (json.dumps(facts) + "\n").encode())
    frames = (scene.render(seen, float(t)) for t in camera_path.times(config))
    comment = f"lolblur-synth shoot {__version__}"
    pq_writer.write_light(target, frames, (config.width, config.height), config.fps, comment)
    return facts


def state(target: Path, key: str) -> str:
    """done: this very clip is there; free: nothing is in the way; other: a file of other settings, or not ours."""
    side = target.with_suffix(".json")
    if not side.exists():
        return "other" if target.exists() else "free"
    facts = layout.read_json(side) or {}
    ours = "poses" in facts and "key" in facts
    if facts.get("key") == key:
        return "done" if target.exists() else "free"
    return "free" if ours and not target.exists() else "other"
