"""What the noise networks are trained on: photographs, their raw, and noise on it.

The raw of a photograph is made by undoing its camera (Brooks et al. 2019, with the constants of one camera): a crop is
reduced and sharpened, so that its pixels are sharp, and sampled by the mosaic. Some crops are first tinted and exposed
0 to 6 stops darker, unevenly, so that the mean of a crop tells nothing of its pixels; those with noise are as dark as
the frames that the stage gets. A user's own pairs are taken unchanged, as folders of

    NAME.png    display sRGB, 8 or 16 bit (or .jpg)
    NAME.dng    its raw: 16-bit RGGB mosaic, uncompressed, as `stage noise --save-raw` writes it, or instead
    NAME.npy    float32 (4, H/2, W/2) planes R, Gr, Gb, B, white-balanced, 0..1

Raw in memory is linear and white-balanced: white is 1 in each plane.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw
from lolblur_synth import frames as fr
from lolblur_synth.camera import demosaic, dng, mosaic, sensor, tables
from lolblur_synth.errors import InputError
from lolblur_synth.files import atomic, images, listing
from lolblur_synth.kernels import demosaicing
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.stages import noise
from lolblur_synth.training.photos import stills

MAX_REDUCTION = 4.0  # of a crop; frames of videos are soft at full size, and photographs have grain there
MAX_SHARPENING = 1.0  # times the detail that a blur of SHARPENING_SIGMA removes, added to a reduced crop
SHARPENING_SIGMA = 0.8  # px
CANDIDATES = 3  # crops, of which the one with the most detail is taken: flat ones are learnt soon
UNCHANGED_SHARE = 0.5  # of the crops keep their light and their colours; the others are relit
MAX_STOPS = 6.0  # that a relit crop is darker; the square of a uniform draw, so that most are darker by less
RELIEF = 3.0  # stops; a relit crop is unevenly lit, by up to so much brighter or darker in places
TINT = 1.0  # stops; each channel of a relit crop is brighter or darker by up to so much
MAX_SATURATION = 2.0  # times that of the photograph, from 0: few photographs do not show every colour
ISO = (100.0, 1600.0)
NOISE_EVERY = 4  # one in so many crops of a batch has noise as well
NIGHT_STOPS = (1.5, 5.5)  # that these are darker: about what the stage darkens to 0.3 to 0.05 of mean L*/100
DAYLIGHT_SHARE = 0.25  # of the noise is drawn under daylight, the rest under the lamps of the stage


@dataclass(frozen=True)
class Photo:
    name: str
    sha256: str  # of the file it comes from
    display: np.ndarray  # (H, W, 3) uint16, sRGB, 0..65535
    raw: np.ndarray | None = None  # (4, H/2, W/2) float32, white-balanced; None: the camera is undone
    raw_sha256: str = ""  # of the file that the raw comes from


@dataclass(frozen=True)
class Batch:
    """N crops. Raw is white-balanced. The first M, one in NOISE_EVERY, have noise, to be added to their raw; `noisy` is
    what the analytic camera makes of that.

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
    photos = []
    for name, sha256, pixels in stills(paths, frames_per_video):
        if min(pixels.shape[:2]) >= size:
            photos.append(_photo(name, sha256, pixels))
    if not photos:
        raise InputError(f"no picture has {size} px a side", "give larger photographs or videos", "shape")
    return photos


def pairs(folder: Path, size: int) -> list[Photo]:
    """A user's pictures with their raw, laid out as above. Raises InputError that names what does not fit."""
    photos = []
    hint = "see `lolblur-synth train-noise --help` for the layout"
    for file in listing.files(folder, (".png", ".jpg", ".jpeg")) if folder.is_dir() else []:
        array, mosaic_file = file.with_suffix(".npy"), file.with_suffix(".dng")
        if not (array.is_file() or mosaic_file.is_file()):
            continue
        stored = array if array.is_file() else mosaic_file
        raw = _planes(array) if stored == array else dng.read_dng(mosaic_file)
        display = images.read_image(file)
        if (4, display.shape[0] // 2, display.shape[1] // 2) != raw.shape or min(display.shape[:2]) < size:
            raise InputError(f"{file}: {display.shape[1]}x{display.shape[0]} px do not fit a raw of {raw.shape}, "
                             f"or are fewer than {size} a side", hint, "shape")  # fmt: skip
        photos.append(_photo(file.name, atomic.sha256(file), display, raw, atomic.sha256(stored)))
    if not photos:
        raise InputError(f"{folder}: no picture with its raw beside it", hint, "no-input")
    return photos


def _photo(name: str, sha256: str, pixels: np.ndarray, raw: np.ndarray | None = None, raw_sha256: str = "") -> Photo:
    return Photo(name, sha256, np.rint(pixels.clip(0, 1) * 65535).astype(np.uint16), raw, raw_sha256)


def _planes(file: Path) -> np.ndarray:
    try:
        raw = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a readable array", "save it with numpy.save") from error
    if raw.ndim != 3 or raw.shape[0] != 4 or raw.dtype != np.float32 or not np.isfinite(raw).all():
        raise InputError(
            f"{file}: {raw.dtype} {raw.shape}, not finite float32 (4, H/2, W/2)", "save it as such an array", "shape"
        )
    return raw.clip(0, 1)


def batch(photos: list[Photo], seed: int, step: int, count: int, size: int) -> Batch:
    """A function of seed and step, so that a run can resume."""
    rng = draw.rng(seed, "train-noise", f"step-{step}", "noise")
    colours = cycleisp.camera_colours(tables.PAPER_CAMERA)
    files = by_file(photos)
    noisy = -(-count // NOISE_EVERY)  # of the crops: the first ones
    crops = [_crop(_one_of(_one_of(files, rng), rng), size, colours, rng, number < noisy) for number in range(count)]
    display, raw = (torch.stack(parts) for parts in zip(*crops, strict=True))
    noise = torch.cat([_noise(planes[None], rng) for planes in raw[:noisy]])
    return Batch(display, raw, noise, with_noise(display[:noisy], raw[:noisy], noise, colours))


def with_noise(display: Tensor, raw: Tensor, noise: Tensor, colours: np.ndarray) -> Tensor:
    """The display with noise: developed as raw-pg develops it where the raw shows no edge, elsewhere along the edge.

    A search for edges in a noisy raw finds them in its grain too, and would change the grain of flat regions; so edges
    are searched in the clean raw. Shapes as in Batch.
    """
    evenly = fr.light_to_srgb(fr.srgb_to_light(display) + mosaic.develop(noise, colours, cycleisp.WHITE))
    along = display + demosaic.develop(raw + noise, colours) - demosaic.develop(raw, colours)
    return torch.lerp(evenly, along, demosaicing.share(fr.light_to_srgb(raw)))


def by_file(photos: list[Photo]) -> list[list[Photo]]:
    """Photos grouped by their file, so that each file can be drawn alike: a video has many frames and is one scene."""
    files: dict[str, list[Photo]] = {}
    for photo in photos:
        files.setdefault(photo.sha256, []).append(photo)
    return list(files.values())


def _one_of(choices: list, rng: np.random.Generator):
    return choices[rng.integers(len(choices))]


def _crop(photo: Photo, size: int, colours: np.ndarray, rng: np.random.Generator, night: bool) -> tuple[Tensor, Tensor]:
    """(3, size, size) display and (4, size/2, size/2) raw. night: as dark as the frames that the stage gets."""
    height, width = photo.display.shape[:2]
    if photo.raw is not None:  # of a user's pair: cropped at even offsets, and not changed
        top, left = (2 * int(rng.integers((extent - size) // 2 + 1)) for extent in (height, width))
        display = torch.from_numpy(photo.display[top : top + size, left : left + size] / np.float32(65535))
        half = np.s_[:, top // 2 : (top + size) // 2, left // 2 : (left + size) // 2]
        return display.permute(2, 0, 1).contiguous(), torch.from_numpy(photo.raw[half])
    crop = max((_reduced(photo.display, size, rng) for _ in range(CANDIDATES)), key=_detail)
    light = fr.srgb_to_light(torch.from_numpy(crop).permute(2, 0, 1).contiguous())
    if night:
        light = _relit(light, float(rng.uniform(*NIGHT_STOPS)), rng)
    elif rng.random() >= UNCHANGED_SHARE:
        light = _relit(light, MAX_STOPS * rng.random() ** 2, rng)
    return fr.light_to_srgb(light), mosaic.mosaic(light[None], colours, cycleisp.WHITE)[0].clamp_(0, 1)


def _relit(light: Tensor, darker: float, rng: np.random.Generator) -> Tensor:
    """(3, size, size) light under another lamp and with other colours, so many stops darker."""
    light, size = light[rng.permutation(3)], light.shape[-1]
    light = torch.lerp(light.mean(0, keepdim=True), light, float(rng.uniform(0, MAX_SATURATION)))
    relief = cv2.resize(rng.uniform(-RELIEF, RELIEF, (3, 3)), (size, size), interpolation=cv2.INTER_LINEAR)
    stops = relief - darker + rng.uniform(-TINT, TINT, 3)[:, None, None]
    return (light * torch.from_numpy(np.exp2(stops).astype(np.float32))).clamp_(0, 1)


def _reduced(display: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A crop of (H, W, 3) uint16, flipped or turned or not, reduced by up to MAX_REDUCTION, sharpened or not.

    (size, size, 3) float32.
    """
    height, width = display.shape[:2]
    side = min(round(size * rng.uniform(1, MAX_REDUCTION)), height, width)
    top, left = (int(rng.integers(extent - side + 1)) for extent in (height, width))
    crop = display[top : top + side, left : left + side][:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    crop = crop.swapaxes(0, 1) if rng.random() < 0.5 else crop
    crop = cv2.resize(crop / np.float32(65535), (size, size), interpolation=cv2.INTER_AREA)
    detail = crop - cv2.GaussianBlur(crop, None, SHARPENING_SIGMA)
    return (crop + np.float32(rng.uniform(0, MAX_SHARPENING)) * detail).clip(0, 1)


def _detail(crop: np.ndarray) -> float:
    return float(np.abs(np.diff(crop, axis=0)).mean() + np.abs(np.diff(crop, axis=1)).mean())


def _noise(raw: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise of the stage's analytic model for (1, 4, h, w) white-balanced raw, at a level and a lamp of its own."""
    lamp = "daylight" if rng.random() < DAYLIGHT_SHARE else "night"
    drawn = noise.draw(NoiseConfig(model="raw-pg", probability=1.0, iso=ISO, white_balance=lamp), rng)
    balance = mosaic.balance(drawn.gains, raw)
    return sensor.poisson_gaussian(raw / balance, drawn.shot, drawn.read, rng) * balance
