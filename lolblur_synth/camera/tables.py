"""Camera constants as data, one JSON file each, with its source. A user's own file works the same way.

name, source         words
levels               black and white of its raw files, code values; a file without them has 512 and 16383
xyz_to_camera        (3, 3) colour matrix; a file without one uses the paper's camera
white_balance        lamp -> multipliers of R, G, B
poisson_gaussian     rows {iso, a, b}: variance a x + b of a raw value x in 0..1; a and b a number, or one each for
                     R, G, B (the form of darktable profiles, DNG NoiseProfile, Android SENSOR_NOISE_PROFILE)
physical             the model of ELD (Wei 2020): full_scale (code values), electron (code values an electron, at
                     ISO 1), lines: for a range of ISO, ln sigma = slope ln K + bias +- sd of read and row noise
                     (code values), and the shapes lambda of its Tukey distribution
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from lolblur_synth.errors import RecipeError

PAPER_CAMERA = "sony-rx10m4"


@dataclass(frozen=True)
class Camera:
    """The constants of one camera; units as in the docstring of this module."""

    name: str
    levels: tuple[int, int]
    xyz_to_camera: tuple
    white_balance: dict
    poisson_gaussian: tuple = ()
    physical: dict = field(default_factory=dict)


def names() -> tuple[str, ...]:
    """The bundled cameras."""
    files = (entry.name for entry in resources.files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


def sha256(name: str) -> str | None:
    """Of a user's own JSON file, hexadecimal; None for a bundled camera, which belongs to the package's version."""
    load(name)
    return hashlib.sha256(Path(name).read_bytes()).hexdigest() if name.endswith(".json") else None


@cache
def load(name: str) -> Camera:
    """A bundled camera by its name, or a JSON file by its path. RecipeError: no such camera, or a broken file."""
    entry = Path(name) if name.endswith(".json") else resources.files(__package__) / f"{name}.json"
    try:
        data = json.loads(entry.read_text("utf-8"))
    except OSError:
        raise RecipeError(
            f"noise.camera: no camera {name}", f"use one of {', '.join(names())}, or the path of a .json file"
        ) from None
    except ValueError as error:
        raise RecipeError(f"noise.camera: {name} is not JSON: {error}", "compare a bundled camera") from None
    return _checked(name, data)


def _checked(name: str, data: dict) -> Camera:
    """The Camera that a file describes, with the colours of the paper's camera where the file has none."""
    try:
        if "xyz_to_camera" not in data:
            paper = load(PAPER_CAMERA)
            data = {"xyz_to_camera": paper.xyz_to_camera, "white_balance": paper.white_balance} | data
        black, white = (int(level) for level in data.get("levels", (512, 16383)))
        if not 0 <= black < white < 1 << 14:
            raise ValueError("levels are black < white, of 14 bits")
        matrix = np.array(data["xyz_to_camera"], float).reshape(3, 3)
        white_balance = data["white_balance"].items()
        lamps = {lamp: tuple(np.array(gains, float).reshape(3).tolist()) for lamp, gains in white_balance}
        rows = tuple(
            (
                float(row["iso"]),
                np.broadcast_to(np.array(row["a"], float), 3),
                np.broadcast_to(np.array(row["b"], float), 3),
            )
            for row in data.get("poisson_gaussian", ())
        )
        physical = data.get("physical", {})
        for line in physical.get("lines", ()):
            np.array([*line["iso"], *line["tail"]], float), np.array([line["read"], line["row"]], float).reshape(2, 3)
        if physical:
            float(physical["full_scale"]), float(physical["electron"])
        if not (rows or physical) or not all((a > 0).all() and (b >= 0).all() for _, a, b in rows):
            raise ValueError("poisson_gaussian needs rows of iso, a > 0, b >= 0")
        if list(rows) != sorted(rows, key=lambda row: row[0]):
            raise ValueError("rows must go up in iso")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"is malformed: {error}"
        raise RecipeError(f"noise.camera: {name} {what}", "compare a bundled camera") from None
    return Camera(str(data.get("name", name)), (black, white), tuple(map(tuple, matrix)), lamps, rows, physical)
