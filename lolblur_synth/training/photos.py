"""What the synthesis networks are trained on: photographs and video frames; for the darkening network, crops of their
lightness, much reduced."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw
from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError
from lolblur_synth.files import listing
from lolblur_synth.files.images import read_display
from lolblur_synth.files.video import IMAGE_SUFFIXES, Input, digest, display, find, probe
from lolblur_synth.files.video.inputs import image_files
from lolblur_synth.recipe.schema import InputConfig

WELL_EXPOSED = 0.28  # mean lightness; a darker picture has nothing to darken
EXPOSURES = (0.03, 0.5)  # requested of a crop, log-uniform; never above 95 % of what it has
SCALES = (0.5, 1.0)  # of a stored picture, whose shorter side is twice the crop
HINT = "give photographs, videos or folders of them; links to folders inside them are not followed"
LAMP_SHARE = 0.3  # of the crops, in which lamps are painted; pictures of the day have few
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    name: str
    sha256: str  # of the file it comes from
    lightness: np.ndarray  # (h, w) float32, L* / 100, the shorter side `size` long


def stills(paths: Sequence[str | Path], frames_per_video: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Every image, and `frames_per_video` frames spread evenly over every video, at or under `paths`.

    Yields name, sha256 of the file, (H, W, 3) float32 display RGB, 0..1. Raises InputError for a file that cannot be
    read and where there is none.
    """
    files = [Path(path) for path in paths]
    for file in files:
        if not file.exists():
            raise InputError(f"{file}: no such file or folder", "check the path", "missing")
        if not _is_photo(file):
            _check_any(file)
    if not files:
        raise InputError("no pictures are given", HINT, "no-input")
    inputs, _ = find([file for file in files if not _is_photo(file)])
    yield from (_photo(file) for file in files if _is_photo(file))
    for source in inputs:
        if source.kind == "images":
            yield from (_photo(file) for file in image_files(source.path))
        else:
            yield from _frames(source, frames_per_video)
    sequences = {source.path for source in inputs if source.kind == "images"}
    for top in (file.absolute() for file in files if file.is_dir()):  # images that lie among videos are no sequence
        yield from (_photo(file) for folder in _folders(top) if folder not in sequences for file in image_files(folder))


def _check_any(path: Path) -> None:
    """Raise where nothing under a path that the user named can be used: it is not to be passed over beside others."""
    found, refused = find([path])
    if not found and not any(image_files(folder) for folder in _folders(path)):
        why = refused[0].message if refused else f"{path}: there is no image and no video in it"
        raise InputError(why, HINT, "no-input")


def _folders(top: Path) -> list[Path]:
    """The folder and all below it; none for a file."""
    return [top, *(path for path, kind in listing.walk(top) if kind == listing.FOLDER)] if top.is_dir() else []


def pictures(paths: Sequence[str | Path], size: int, frames_per_video: int) -> list[Picture]:
    """The `stills`, each reduced to `size` on its shorter side by averaging the lightness of areas."""
    found = stills(paths, frames_per_video)
    return [Picture(name, sha256, _reduced(pixels, size)) for name, sha256, pixels in found]


def well_exposed(inputs: Sequence[str | Path], size: int, frames_per_video: int) -> list[Picture]:
    """The `pictures`, for crops of `size`, that are bright enough to learn from. Raises InputError if none is."""
    photos = pictures(inputs, 2 * size, frames_per_video)
    bright = [picture for picture in photos if picture.lightness.mean() >= WELL_EXPOSED]
    if not bright:
        raise InputError(
            f"all {len(photos)} pictures are dark (mean L* below {100 * WELL_EXPOSED:.0f})",
            "darkening is learnt from well-exposed pictures",
            "too-dark",
        )
    return bright


def not_held_out(photos: list, held_out: Sequence) -> list:
    """The photos whose file is none of those held out, told by `sha256`; what is left out is said.

    Raises InputError where nothing is left: the card would give figures of what the network was trained on.
    """
    unseen = {photo.sha256 for photo in held_out}
    for name in sorted({photo.name.split(" frame ")[0] for photo in photos if photo.sha256 in unseen}):
        log.warning("%s is held out, and not trained on", name)
    left = [photo for photo in photos if photo.sha256 not in unseen]
    if not left:
        raise InputError("everything to train on is held out as well", "hold out other pictures", "leak")
    return left


def _is_photo(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()


def _photo(file: Path) -> tuple[str, str, np.ndarray]:
    return file.name, hashlib.sha256(file.read_bytes()).hexdigest(), read_display(file)


def _frames(source: Input, count: int) -> Iterator[tuple[str, str, np.ndarray]]:
    # A rate is given because slow motion and image sequences may lack one, and it does not matter here.
    video = probe(source, InputConfig(), fps=30.0)
    wanted = {int(index) for index in np.linspace(0, video.frames - 1, count)}
    sha256 = digest(source)
    for index, frame in enumerate(display(video)):
        if index in wanted:
            yield f"{source.name} frame {index}", sha256, frame


def _reduced(pixels: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) display RGB, 0..1 -> lightness, `size` on the shorter side. Enlarged where it is smaller."""
    frame = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
    lightness = fr.lightness(frame)[0, 0].numpy()
    height, width = lightness.shape
    factor = size / min(height, width)
    target = max(size, round(width * factor)), max(size, round(height * factor))
    return cv2.resize(lightness, target, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def batch(photos: list[Picture], seed: int, step: int, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Crops (N, 1, size, size) and exposures (N, 1, 1, 1): a function of seed and step, so that a run can resume."""
    rng = draw.rng(seed, "train-darken", f"step-{step}", "darken")
    crops, exposures = [], []
    for _ in range(count):
        picture = photos[rng.integers(len(photos))].lightness
        side = round(size / rng.uniform(*SCALES))
        top, left = (int(rng.integers(extent - side + 1)) for extent in picture.shape)
        crop = picture[top : top + side, left : left + side]
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)[:, :: rng.choice((-1, 1))]
        if rng.random() < LAMP_SHARE:
            crop = _with_lamps(crop, rng)
        crops.append(torch.from_numpy(np.ascontiguousarray(crop)))
        brightest = min(EXPOSURES[1], 0.95 * max(float(crop.mean()), 2 * EXPOSURES[0]))
        exposures.append(np.exp(rng.uniform(np.log(EXPOSURES[0]), np.log(brightest))))
    return torch.stack(crops)[:, None], torch.tensor(exposures, dtype=torch.float32)[:, None, None, None]


def _with_lamps(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to three soft white discs on the crop, 1 to 5 cells in radius."""
    discs = np.zeros_like(crop)
    for _ in range(rng.integers(1, 4)):
        cv2.circle(discs, rng.integers(0, len(crop), 2).tolist(), int(rng.integers(1, 6)), 1.3, -1)
    return np.maximum(crop, cv2.GaussianBlur(discs, None, rng.uniform(0.5, 1.5)).clip(0, 1))
