"""What trained noise networks can do, for their card: the round trip, and their noise beside the analytic camera's."""

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
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.stages import noise
from lolblur_synth.training.raw_pairs import Photo
from lolblur_synth.training.run import sources, trained_on

MOST = 40  # pictures
WIDE, HIGH = 1120, 640  # px, at most, as a frame of the pipeline
SMALLEST = 64  # px, of a side
SIDE = 512  # px, of their middle, in which noise is measured
LEVEL = 30.0  # mean code value of the darkened pictures, as of the published frames
ISOS = (100.0, 400.0, 1600.0)
COMPARED = ("sigma_red", "sigma_green", "sigma_blue", "blue_to_green", "luma_lag1", "chroma_lag1")


@dataclasses.dataclass(frozen=True)
class RoundTrip:
    """Of one picture, PSNR in dB: RAW2RGB(RGB2RAW(x)) against x, the analytic camera (camera/demosaic.py) in their
    place, both also of the darkened picture, and RGB2RAW's raw against the analytic one."""

    name: str
    size: tuple[int, int]  # px, width and height
    back: float
    analytic: float
    dark: float
    dark_analytic: float
    raw: float


def figures(folder: Path, photos: list[Photo]) -> tuple[dict[str, float], list[RoundTrip]]:
    """Of the networks in `folder`: their figures, and the round trip of each picture.

    Photographs are measured as they are and reduced by two, as a sensor larger than the frame would give them; frames
    of videos, reduced already, as they are.
    photographs, photographs_halved, frames: mean PSNR of the round trips, dB; ..._dark: darkened, as the stage gets
    them;
    shift: largest mean of noisy minus clean, code values, of a channel outside clipped pixels;
    COMPARED: the noise of darkened pictures, as deviation from the analytic model, the worst of the ISOS.
    """
    cycleisp.load.cache_clear()  # the folder may have held others
    networks = cycleisp.load(str(folder))
    photos = photos[:: -(-len(photos) // MOST)]
    kinds = {"photographs": [], "photographs_halved": [], "frames": []}
    for photo in photos:
        frame = " frame " in photo.name
        kinds["frames" if frame else "photographs"].append(round_trip(photo.name, view(photo), networks))
        if not frame and min(photo.display.shape[:2]) >= 2 * SMALLEST:
            kinds["photographs_halved"].append(round_trip(f"{photo.name}, halved", view(photo, 2), networks))
    found = {}
    for name, trips in kinds.items():
        if trips:
            found[name] = np.mean([trip.back for trip in trips])
            found[f"{name}_dark"] = np.mean([trip.dark for trip in trips])
    dark = [darkened(middle(view(photo))) for photo in photos]
    worst = dict.fromkeys(("shift", *COMPARED), 0.0)
    for iso in ISOS:
        for name, deviation in noise_deviation(dark, folder, iso).items():
            worst[name] = max(worst[name], abs(deviation))
    rounded = {name: round(float(value), 4) for name, value in (found | worst).items()}
    return rounded, [trip for trips in kinds.values() for trip in trips]


def view(photo: Photo, reduction: float = 1) -> Tensor:
    """(1, 3, h, w) display, even sides: the whole picture reduced by averaging areas, at least to WIDE x HIGH."""
    rows, columns = photo.display.shape[:2]
    reduction = max(reduction, rows / HIGH, columns / WIDE)
    width, height = (int(extent / reduction) // 2 * 2 for extent in (columns, rows))
    used = photo.display[: round(height * reduction), : round(width * reduction)] / np.float32(65535)
    pixels = cv2.resize(used, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def middle(frame: Tensor) -> Tensor:
    """At most SIDE a side, even offsets and sizes."""
    rows, columns = frame.shape[-2:]
    height, width = (min(extent, SIDE) for extent in (rows, columns))
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
    of_raw = _psnr(fr.light_to_srgb(raw), fr.light_to_srgb(truth))
    return _psnr(back, frame), _psnr(analytic, frame), of_raw


def _psnr(one: Tensor, other: Tensor) -> float:
    return float(-10 * torch.log10((one - other).square().mean().clamp_min(1e-10)))


def noise_deviation(frames: list[Tensor], folder: Path, iso: float) -> dict[str, float]:
    """Shift, and COMPARED relative to the analytic model, of the mean figures over frames; same draws for both."""
    models = (NoiseConfig(model="cycleisp", weights=str(folder)), NoiseConfig(model="raw-pg"))
    models = [dataclasses.replace(config, probability=1.0, iso=(iso, iso)) for config in models]
    seen, shift = ([], []), np.zeros(3)
    for number, frame in enumerate(frames):
        drawn = noise.draw(models[0], draw.rng(0, "figures", f"picture-{number}", "noise"))
        for config, found in zip(models, seen, strict=True):
            noisy = noise.apply(frame, config, drawn)
            grain = ((noisy - frame) * 255).permute(0, 2, 3, 1).double().numpy()
            found.append(dataclasses.asdict(fingerprint.describe(grain, 255 * float(frame.mean()))))
            if config.model == "cycleisp":
                free = ((noisy > 0) & (noisy < 1)).permute(0, 2, 3, 1).numpy()
                shift += [grain[..., c][free[..., c]].mean() / len(frames) for c in range(3)]
    ours, analytic = ({name: np.mean([f[name] for f in found]) for name in COMPARED} for found in seen)
    return {"shift": float(np.abs(shift).max())} | {name: float(ours[name] / analytic[name] - 1) for name in COMPARED}


def card(photos: list, unseen: list, recipe: dict, result: dict, trips: list[RoundTrip], command: list[str],
         note: str) -> str:  # fmt: skip
    """The model card, as Markdown: what they are, how and on what they were trained, what came out."""
    options = " ".join(f"{key}={value}" for key, value in recipe.items() if key not in ("pictures", "raws"))
    files, others = sources(photos), sources(unseen)
    of = f"pictures of {', '.join(file for file, _ in others)}" if others != files else "the pictures trained on"
    lines = [
        f"# CycleISP, {recipe['network']}", "",
        "Weights of `Rgb2Raw`, `ColorBranch` and `Raw2Rgb` (models/cycleisp.py) for `noise.model = cycleisp`.",
        "Made by `lolblur-synth train-noise` from random weights; no published weights were used.", "",
        "| | |", "|---|---|", f"| options | {options} |", f"| pictures | {result['pictures']} |",
        f"| training | {result['seconds']} CPU-seconds |", f"| losses, last 100 steps | {result['losses']} |",
        *(f"| sha256 of {name} | {sha256} |" for name, sha256 in result["sha256"].items()), "", *command,
        f"The raw is {cycleisp.OUR_RAW}. Where no pairs were given it is that of the camera",
        f"`{tables.PAPER_CAMERA}` undone, and so is the noise beside which they were trained.", "",
        f"Figures (training/noise_figures.py) of {of}:",
        "PSNR of the round trip in dB, shift in code values, the rest as deviation from the analytic model, the worst "
        f"of ISO {', '.join(f'{iso:g}' for iso in ISOS)}.", "",
        "| figure | |", "|---|---|", *(f"| {name} | {value} |" for name, value in result["figures"].items()), "",
        "Each picture, PSNR in dB: there and back by the networks / by the analytic camera that they correct, which",
        f"demosaics along edges; the same darkened to a mean of {LEVEL:g}, as the stage gets frames; the companded raw",
        "of RGB2RAW against the analytic one.", "",
        "| picture | px | round trip | darkened | raw |", "|---|---|---|---|---|",
        *(f"| {t.name} | {t.size[0]}x{t.size[1]} | {t.back:.2f} / {t.analytic:.2f} | {t.dark:.2f} / "
          f"{t.dark_analytic:.2f} | {t.raw:.2f} |" for t in trips),
        "", *trained_on(files, note),
    ]  # fmt: skip
    return "\n".join(lines)
