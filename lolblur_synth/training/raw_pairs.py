"""What the noise networks are trained on: photographs, their raw, and noise on it.

The raw of a photograph is its camera undone (Brooks et al. 2019, with the constants of one camera): a crop is reduced
and sharpened, so that its pixels are sharp, and sampled by the mosaic. Some crops are tinted and exposed 0 to 6 stops
darker before, unevenly, lest the mean of a crop tell of its pixels; those with noise are dark, as the stage gets
frames. A user's own pairs are taken as they are, as folders of

    NAME.png    display sRGB, 8 or 16 bit (or .jpg)
    NAME.dng    its raw: 16-bit RGGB mosaic, uncompressed, as `stage noise --save-raw` writes it, or instead
    NAME.npy    float32 (4, H/2, W/2) planes R, Gr, Gb, B, white-balanced, 0..1

Raw in memory is linear and white-balanced: white is 1 in each plane.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw
from lolblur_synth import frames as fr
from lolblur_synth.camera import demosaic, mosaic, sensor, tables
from lolblur_synth.camera import dng as bayer
from lolblur_synth.errors import InputError
from lolblur_synth.files import images, listing
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.stages import noise
from lolblur_synth.training.photos import stills

REDUCTION = 4.0  # at most; video frames are soft, and a photograph has no grain left
SHARPENING = 1.0  # at most, times what a blur of SOFT px takes: photographs are sharpened when they are reduced
SOFT = 0.8
CANDIDATES = 3  # crops, of which the one with the most detail is taken: what is flat is soon learnt
AS_IS = 0.5  # of the crops keep their light and their colours, the others have what follows
STOPS = 6.0  # at most, darker than it is: the stage works on darkened frames; most crops are less so
RELIEF = 3.0  # stops, brighter or darker than that, from one end of a crop to the other
TINT = 1.0  # stops, of each channel; channels also change places, and colours pale or deepen up to
SATURATION = 2.0  # times: a few photographs do not show every colour
ISO = (100.0, 1600.0)
NOISY = 4  # every so many crops of a batch have noise, too
NIGHT = (1.5, 5.5)  # stops that these are darker, as what the stage darkens to 0.3 to 0.05 of white's lightness
DAYLIGHT = 0.25  # of the noise is drawn under daylight, the rest under the lamps of the stage


@dataclass(frozen=True)
class Photo:
    name: str
    sha256: str  # of the file it comes from
    display: np.ndarray  # (H, W, 3) uint16, sRGB, 0..65535
    raw: np.ndarray | None = None  # (4, H/2, W/2) float32, white-balanced; None: the camera is undone
    raw_sha256: str = ""  # of the file that the raw comes from


@dataclass(frozen=True)
class Batch:
    """N crops. Raw is white-balanced; noise is to be added to that of the first M, one in NOISY, and `noisy` is what
    the analytic camera makes of it.

    display: (N, 3, size, size); raw: (N, 4, size/2, size/2); noisy: (M, 3, size, size); noise: (M, 4, size/2, size/2).
    """

    display: Tensor
    raw: Tensor
    noise: Tensor
    noisy: Tensor

    def to(self, device: str) -> "Batch":
        return Batch(*(part.to(device) for part in (self.display, self.raw, self.noise, self.noisy)))


def photographs(paths: Sequence[str | Path], size: int, frames_per_video: int) -> list[Photo]:
    """The pictures at or under `paths` that hold a crop. Raises InputError where there is none."""
    found = []
    for name, sha256, pixels in stills(paths, frames_per_video):
        if min(pixels.shape[:2]) >= size:
            found.append(_photo(name, sha256, pixels))
    if not found:
        raise InputError(f"no picture has {size} px a side", "give larger photographs or videos", "shape")
    return found


def pairs(folder: Path, size: int) -> list[Photo]:
    """A user's pictures with their raw, laid out as above. Raises InputError that names what does not fit."""
    found = []
    hint = "see `lolblur-synth train-noise --help` for the layout"
    for file in listing.files(folder, (".png", ".jpg", ".jpeg")) if folder.is_dir() else []:
        array, dng = file.with_suffix(".npy"), file.with_suffix(".dng")
        if not (array.is_file() or dng.is_file()):
            continue
        stored = array if array.is_file() else dng
        raw = _planes(array) if stored == array else bayer.read_dng(dng)
        display = images.read_image(file)
        if (4, display.shape[0] // 2, display.shape[1] // 2) != raw.shape or min(display.shape[:2]) < size:
            raise InputError(f"{file}: {display.shape[1]}x{display.shape[0]} px do not fit a raw of {raw.shape}, "
                             f"or are fewer than {size} a side", hint, "shape")  # fmt: skip
        shown, measured = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (file, stored))
        found.append(_photo(file.name, shown, display, raw, measured))
    if not found:
        raise InputError(f"{folder}: no picture with its raw beside it", hint, "no-input")
    return found


def _photo(name: str, sha256: str, pixels: np.ndarray, raw: np.ndarray | None = None, raw_sha256: str = "") -> Photo:
    return Photo(name, sha256, np.rint(pixels.clip(0, 1) * 65535).astype(np.uint16), raw, raw_sha256)


def _planes(file: Path) -> np.ndarray:
    try:
        raw = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a readable array", "save it with numpy.save") from error
    if raw.ndim != 3 or raw.shape[0] != 4 or raw.dtype != np.float32 or not np.isfinite(raw).all():
        raise InputError(f"{file}: {raw.dtype} {raw.shape}, not finite float32 (4, H/2, W/2)", "save it so", "shape")
    return raw.clip(0, 1)


def batch(photos: list[Photo], seed: int, step: int, count: int, size: int) -> Batch:
    """A function of seed and step, so that a run can resume."""
    rng = draw.rng(seed, "train-noise", f"step-{step}", "noise")
    colours = cycleisp.camera_colours(tables.PAPER_CAMERA)
    files = by_file(photos)
    some = -(-count // NOISY)
    crops = [_crop(_one_of(_one_of(files, rng), rng), size, colours, rng, number < some) for number in range(count)]
    display, raw = (torch.stack(parts) for parts in zip(*crops, strict=True))
    noise = torch.cat([_noise(planes[None], rng) for planes in raw[:some]])
    return Batch(display, raw, noise, _noisy(display[:some], raw[:some], noise, colours))


def _noisy(display: Tensor, raw: Tensor, noise: Tensor, colours: np.ndarray) -> Tensor:
    """The display with noise that is developed as raw-pg does where the raw shows no edge, and along it where it does.

    An edge that is to be found in a noisy raw is found by its grain, too; that of flat regions shall stay as it is.
    """
    evenly = fr.light_to_srgb(fr.srgb_to_light(display) + mosaic.develop(noise, colours, cycleisp.WHITE))
    along = display + demosaic.develop(raw + noise, colours) - demosaic.develop(raw, colours)
    return torch.lerp(evenly, along, demosaic.share(fr.light_to_srgb(raw)))


def by_file(photos: list[Photo]) -> list[list[Photo]]:
    """Photos of the same file together: a video has many frames and is one scene, so each file has an equal part."""
    files: dict[str, list[Photo]] = {}
    for photo in photos:
        files.setdefault(photo.sha256, []).append(photo)
    return list(files.values())


def _one_of(choices: list, rng: np.random.Generator):
    return choices[rng.integers(len(choices))]


def _crop(photo: Photo, size: int, colours: np.ndarray, rng: np.random.Generator, night: bool) -> tuple[Tensor, Tensor]:
    """(3, size, size) display and (4, size/2, size/2) raw. night: as the stage gets frames."""
    height, width = photo.display.shape[:2]
    if photo.raw is not None:  # as the camera made them: even offsets, nothing else changed
        top, left = (2 * int(rng.integers((extent - size) // 2 + 1)) for extent in (height, width))
        display = torch.from_numpy(photo.display[top : top + size, left : left + size] / np.float32(65535))
        half = np.s_[:, top // 2 : (top + size) // 2, left // 2 : (left + size) // 2]
        return display.permute(2, 0, 1).contiguous(), torch.from_numpy(photo.raw[half])
    crop = max((_reduced(photo.display, size, rng) for _ in range(CANDIDATES)), key=_detail)
    light = fr.srgb_to_light(torch.from_numpy(crop).permute(2, 0, 1).contiguous())
    if night:
        light = _relit(light, float(rng.uniform(*NIGHT)), rng)
    elif rng.random() >= AS_IS:
        light = _relit(light, STOPS * rng.random() ** 2, rng)
    return fr.light_to_srgb(light), mosaic.mosaic(light[None], colours, cycleisp.WHITE)[0].clamp_(0, 1)


def _relit(light: Tensor, darker: float, rng: np.random.Generator) -> Tensor:
    """(3, size, size) light under another lamp and with other colours, so many stops darker."""
    light, size = light[rng.permutation(3)], light.shape[-1]
    light = torch.lerp(light.mean(0, keepdim=True), light, float(rng.uniform(0, SATURATION)))
    relief = cv2.resize(rng.uniform(-RELIEF, RELIEF, (3, 3)), (size, size), interpolation=cv2.INTER_LINEAR)
    stops = relief - darker + rng.uniform(-TINT, TINT, 3)[:, None, None]
    return (light * torch.from_numpy(np.exp2(stops).astype(np.float32))).clamp_(0, 1)


def _reduced(display: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A crop of (H, W, 3) uint16, flipped or turned or not, reduced by up to REDUCTION, sharpened or not.

    (size, size, 3) float32.
    """
    height, width = display.shape[:2]
    side = min(round(size * rng.uniform(1, REDUCTION)), height, width)
    top, left = (int(rng.integers(extent - side + 1)) for extent in (height, width))
    crop = display[top : top + side, left : left + side][:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    crop = crop.swapaxes(0, 1) if rng.random() < 0.5 else crop
    crop = cv2.resize(crop / np.float32(65535), (size, size), interpolation=cv2.INTER_AREA)
    lost = crop - cv2.GaussianBlur(crop, None, SOFT)
    return (crop + np.float32(rng.uniform(0, SHARPENING)) * lost).clip(0, 1)


def _detail(crop: np.ndarray) -> float:
    return float(np.abs(np.diff(crop, axis=0)).mean() + np.abs(np.diff(crop, axis=1)).mean())


def _noise(raw: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise of the stage's analytic model for (1, 4, h, w) white-balanced raw, at a level and a lamp of its own."""
    lamp = "daylight" if rng.random() < DAYLIGHT else "night"
    drawn = noise.draw(NoiseConfig(model="raw-pg", probability=1.0, iso=ISO, white_balance=lamp), rng)
    balance = mosaic.balance(drawn.gains, raw)
    return sensor.poisson_gaussian(raw / balance, drawn.shot, drawn.read, rng) * balance
