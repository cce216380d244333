"""How well trained noise networks do, for their card: the round trip, and their noise beside the analytic camera's."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw
from lolblur_synth import frames as fr
from lolblur_synth.camera import demosaic, mosaic, tables
from lolblur_synth.metrics import fingerprint
from lolblur_synth.metrics.image_quality import psnr_of_one
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.stages import noise
from lolblur_synth.training.cards import Card, origins, table
from lolblur_synth.training.raw_pairs import Photo
from lolblur_synth.training.run import AVERAGED_STEPS

MAX_PICTURES = 40
MAX_WIDTH, MAX_HEIGHT = 1120, 640  # px, as a frame of the pipeline
MIN_SIDE = 64  # px, of a picture that is halved
NOISE_SIDE = 512  # px, at most, of the middle of a picture, in which noise is measured
LEVEL = 30.0  # mean code value of the darkened pictures, about that of the published frames
ISOS = (100.0, 400.0, 1600.0)
COMPARED = ("sigma_red", "sigma_green", "sigma_blue", "blue_to_green", "luma_lag1", "chroma_lag1")


@dataclasses.dataclass(frozen=True)
class RoundTrip:
    """PSNR in dB of one picture x: RAW2RGB(RGB2RAW(x)) against x, and the same by the analytic camera
    (kernels/demosaicing); both also for the darkened picture; and RGB2RAW's raw against the analytic one."""

    name: str
    size: tuple[int, int]  # px, width and height
    back: float
    analytic: float
    dark: float
    dark_analytic: float
    raw: float

    def cells(self) -> tuple[str, ...]:
        """The row of the card's table."""
        width, height = self.size
        bright, dark = f"{self.back:.2f} / {self.analytic:.2f}", f"{self.dark:.2f} / {self.dark_analytic:.2f}"
        return self.name, f"{width}x{height}", bright, dark, f"{self.raw:.2f}"


def figures(folder: Path, photos: list[Photo]) -> tuple[dict[str, float], list[RoundTrip]]:
    """Of the networks in `folder`: their figures, and the round trip of each picture.

    Photographs are measured at their size and at half of it, as a sensor larger than the frame would give them; frames
    of videos, which were reduced already, at their size only.

    photographs, photographs_halved, frames   mean PSNR of the round trips, dB; with _dark, of darkened pictures
    shift      largest mean of noisy minus clean, code values, of a channel, outside clipped pixels
    COMPARED   the noise of darkened pictures: relative deviation from the analytic model, the largest of the ISOS
    """
    cycleisp.load.cache_clear()  # the folder may have held others
    networks = cycleisp.load(str(folder))
    photos = photos[:: -(-len(photos) // MAX_PICTURES)]
    kinds = {"photographs": [], "photographs_halved": [], "frames": []}
    for photo in photos:
        frame = " frame " in photo.name
        kinds["frames" if frame else "photographs"].append(round_trip(photo.name, view(photo), networks))
        if not frame and min(photo.display.shape[:2]) >= 2 * MIN_SIDE:
            kinds["photographs_halved"].append(round_trip(f"{photo.name}, halved", view(photo, 2), networks))
    means = {}
    for name, trips in kinds.items():
        if trips:
            means[name] = np.mean([trip.back for trip in trips])
            means[f"{name}_dark"] = np.mean([trip.dark for trip in trips])
    dark = [darkened(middle(view(photo))) for photo in photos]
    largest = dict.fromkeys(("shift", *COMPARED), 0.0)
    for iso in ISOS:
        for name, deviation in noise_deviation(dark, folder, iso).items():
            largest[name] = max(largest[name], abs(deviation))
    rounded = {name: round(float(value), 4) for name, value in (means | largest).items()}
    return rounded, [trip for trips in kinds.values() for trip in trips]


def view(photo: Photo, reduction: float = 1) -> Tensor:
    """(1, 3, h, w) display, even sides: the picture, reduced by averaging areas, at most MAX_WIDTH x MAX_HEIGHT."""
    rows, columns = photo.display.shape[:2]
    reduction = max(reduction, rows / MAX_HEIGHT, columns / MAX_WIDTH)
    width, height = (int(extent / reduction) // 2 * 2 for extent in (columns, rows))
    used = photo.display[: round(height * reduction), : round(width * reduction)] / np.float32(65535)
    pixels = cv2.resize(used, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def middle(frame: Tensor) -> Tensor:
    """The middle, at most NOISE_SIDE a side, even offsets and sizes."""
    rows, columns = frame.shape[-2:]
    height, width = (min(extent, NOISE_SIDE) for extent in (rows, columns))
    top, left = (rows - height) // 4 * 2, (columns - width) // 4 * 2
    return frame[..., top : top + height, left : left + width].contiguous()


def darkened(frame: Tensor) -> Tensor:
    """The frame with its light scaled to a mean of LEVEL code values."""
    light, low, high = fr.srgb_to_light(frame), -12.0, 2.0  # stops
    for _ in range(20):
        mid = (low + high) / 2
        too_dark = fr.light_to_srgb((light * 2**mid).clamp(0, 1)).mean() * 255 < LEVEL
        low, high = (mid, high) if too_dark else (low, mid)
    return fr.light_to_srgb((light * 2**low).clamp(0, 1))


def round_trip(name: str, frame: Tensor, networks: cycleisp.Networks) -> RoundTrip:
    """Of (1, 3, H, W) display, beside the camera that training undid."""
    bright, dark = _there_and_back(frame, networks), _there_and_back(darkened(frame), networks)
    return RoundTrip(name, tuple(frame.shape[:1:-1]), *bright[:2], *dark[:2], bright[2])


@torch.inference_mode()
def _there_and_back(frame: Tensor, networks: cycleisp.Networks) -> tuple[float, float, float]:
    """PSNR in dB of the networks' round trip, of the analytic one, and of the networks' companded raw."""
    colours = cycleisp.camera_colours(tables.PAPER_CAMERA)
    truth = mosaic.mosaic(fr.srgb_to_light(frame), colours, cycleisp.WHITE).clamp(0, 1)
    analytic = demosaic.develop(truth, colours).clamp(0, 1)
    raw = networks.raw(frame)
    back = networks.develop(raw, networks.colour(frame)).clamp(0, 1)
    compared = (back, frame), (analytic, frame), (fr.light_to_srgb(raw), fr.light_to_srgb(truth))
    return tuple(psnr_of_one(one[0], other[0]) for one, other in compared)


def noise_deviation(frames: list[Tensor], folder: Path, iso: float) -> dict[str, float]:
    """Shift, and COMPARED relative to the analytic model, of the mean figures over frames; same draws for both."""
    models = (NoiseConfig(model="cycleisp", weights=str(folder)), NoiseConfig(model="raw-pg"))
    models = [dataclasses.replace(config, probability=1.0, iso=(iso, iso)) for config in models]
    fingerprints, shift = ([], []), np.zeros(3)
    for number, frame in enumerate(frames):
        drawn = noise.draw(models[0], draw.rng(0, "figures", f"picture-{number}", "noise"))
        for config, of_model in zip(models, fingerprints, strict=True):
            noisy = noise.apply(frame, config, drawn)
            grain = ((noisy - frame) * 255).permute(0, 2, 3, 1).double().numpy()
            of_model.append(dataclasses.asdict(fingerprint.describe(grain, 255 * float(frame.mean()))))
            if config.model == "cycleisp":
                unclipped = ((noisy > 0) & (noisy < 1)).permute(0, 2, 3, 1).numpy()
                shift += [grain[..., c][unclipped[..., c]].mean() / len(frames) for c in range(3)]
    ours, analytic = (
        {name: np.mean([of_frame[name] for of_frame in of_model]) for name in COMPARED} for of_model in fingerprints
    )
    return {"shift": float(np.abs(shift).max())} | {name: float(ours[name] / analytic[name] - 1) for name in COMPARED}


def card_of(
    pictures: tuple[list[Photo], list[Photo]],
    recipe: dict,
    result: dict,
    trips: list[RoundTrip],
    command: list[str],
    note: str,
) -> Card:
    """pictures: those that were trained on, and those that the figures are of."""
    files, measured = (origins(group) for group in pictures)
    which = f"pictures of {', '.join(file for file, _ in measured)}" if measured != files else "the pictures trained on"
    return Card(
        title=f"CycleISP, {recipe['network']}",
        summary=(
            "Weights of `Rgb2Raw`, `ColorBranch` and `Raw2Rgb` (models/cycleisp.py) for `noise.model = cycleisp`.",
            "Made by `lolblur-synth train-noise` from random weights; no published weights were used.",
        ),
        facts={
            "options": " ".join(f"{key}={value}" for key, value in recipe.items() if key not in ("pictures", "raws")),
            "pictures": result["pictures"],
            "training": f"{result['seconds']} CPU-seconds",
            f"losses, last {AVERAGED_STEPS} steps": result["losses"],
            **{f"sha256 of {name}": sha256 for name, sha256 in result["sha256"].items()},
        },
        command=command,
        figures=[
            f"The raw is {cycleisp.OUR_RAW}. Where no pairs were given, it is made by undoing the camera",
            f"`{tables.PAPER_CAMERA}`, whose noise the networks learn to imitate.",
            "",
            f"Figures (training/noise_figures.py) of {which}:",
            "PSNR of the round trip in dB; shift in code values; the others are deviations from the analytic model, "
            f"the largest of ISO {', '.join(f'{iso:g}' for iso in ISOS)}.",
            "",
            *table(("figure", "value"), result["figures"].items()),
            "Each picture, PSNR in dB: there and back by the networks / by the analytic camera that they correct,",
            f"which demosaics along edges; the same of the picture darkened to a mean of {LEVEL:g} code values, like",
            "the frames that the stage gets; the companded raw of RGB2RAW against the analytic one.",
            "",
            *table(("picture", "px", "round trip", "darkened", "raw"), (trip.cells() for trip in trips)),
        ],
        files=files,
        note=note,
    )
