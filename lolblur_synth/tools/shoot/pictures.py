"""The pictures that `shoot` is given: found, and read as linear light relative to white."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth.errors import InputError
from lolblur_synth.files import images, listing
from lolblur_synth.files.video.names import IMAGE_SUFFIXES
from lolblur_synth.frames import GAMMA
from lolblur_synth.recipe.shoot import ShootConfig
from lolblur_synth.tools.shoot import lamps

HINT = f"give photographs or HDR pictures ({' '.join(IMAGE_SUFFIXES)}), or folders of them"
LEVELS = 65535  # of display values in the table of their light: 8 and 16 bits fall on them exactly


@dataclass(frozen=True, eq=False)
class Picture:
    """light: (H, W, 3) float32 linear RGB, 0 or more; white is 1 in a photograph, HDR pictures have no white yet.
    clipped: (H, W, 3) bool of a photograph, else None. notes: what a user should know, without the name."""

    name: str
    sha256: str
    light: np.ndarray
    clipped: np.ndarray | None
    is_panorama: bool
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.light.shape[1], self.light.shape[0]


def find(paths: Sequence[Path]) -> list[Path]:
    """Every picture at or under `paths`, in the order given. Raises InputError for a path that has none."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            files = listing.files(path, IMAGE_SUFFIXES, below=True)
            if not files:
                raise InputError(f"{path}: no pictures in this folder", HINT, "no-input")
            found |= dict.fromkeys(files)
        elif not path.exists():
            hint = "check the path; the output folder comes last"
            raise InputError(f"{path}: no such file or folder", hint, "missing")
        elif path.suffix.lower() not in IMAGE_SUFFIXES or listing.kind_of(path) != listing.FILE:
            raise InputError(f"{path}: not a picture that is read", HINT, "format")
        else:
            found[path] = None
    return list(found)


def read(path: Path, config: ShootConfig) -> Picture:
    """One picture. Raises InputError (unreadable, corrupt, not-finite, not-2:1, smaller, black)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name}: {error.strerror}", "check the file and its permissions") from error
    light, clipped, notes = _light(path, config)
    height, width = light.shape[:2]
    if not light.any():
        raise InputError(f"{path.name}: the picture is black", "leave it out", "black")
    is_panorama, why = _projection(data, (width, height), clipped is None, config)
    if config.projection == "panorama" and width != 2 * height:
        raise InputError(f"{path.name}: {width}x{height} is no panorama, which is twice as wide as high",
                         "leave --projection out, and it is seen as a flat picture", "not-2:1")  # fmt: skip
    if not is_panorama and (width < config.width or height < config.height):
        raise InputError(f"{path.name}: {width}x{height} is smaller than the frames, {config.width}x{config.height}",
                         "give a larger picture, or a smaller --size", "smaller")  # fmt: skip
    return Picture(path.name, hashlib.sha256(data).hexdigest(), light, clipped, is_panorama, (*notes, *why))


def _light(path: Path, config: ShootConfig) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Linear light, which channels are clipped (None: HDR), notes."""
    pixels, notes = images.inspect(path)
    if pixels.dtype == np.float32:
        light = images.to_rgb(pixels, images.alpha_is_unused(pixels))
        return np.maximum(light, 0), None, notes  # colours outside BT.709 are negative
    display = images.to_rgb(pixels, images.alpha_is_unused(pixels))
    curve = (np.linspace(0, 1, LEVELS + 1) ** GAMMA).astype(np.float32)
    light = np.take(curve, (display * LEVELS + 0.5).astype(np.uint16))
    return light, cv2.compare(display, lamps.CLIPPED, cv2.CMP_GE) > 0, notes


def _projection(data: bytes, size: tuple[int, int], is_hdr: bool, config: ShootConfig) -> tuple[bool, list[str]]:
    """Whether a picture is an equirectangular panorama, and what to say of it."""
    if config.projection != "auto":
        return config.projection == "panorama", []
    is_wide = size[0] == 2 * size[1]
    says_so = b"GPano:ProjectionType" in data and b"equirectangular" in data  # XMP of Google Photo Sphere
    if says_so and not is_wide:
        return False, [f"its XMP data call it a panorama, but {size[0]}x{size[1]} is not 2:1; it is seen as flat"]
    if is_hdr and not is_wide:
        return False, [f"{size[0]}x{size[1]} is not 2:1, so it is seen as a flat picture"]
    if is_wide and not is_hdr and not says_so:
        return False, ["2:1, but nothing calls it a panorama; it is seen as flat (--projection panorama changes that)"]
    return is_wide, []
