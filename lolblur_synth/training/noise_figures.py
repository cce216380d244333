"""What trained noise networks can do, for their card: the round trip, and their noise beside the analytic camera's."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import cameras, draw, realism
from lolblur_synth import frames as fr
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe import NoiseConfig
from lolblur_synth.stages import noise
from lolblur_synth.training.raws import Photo
from lolblur_synth.training.run import sources, trained_on

MOST = 24  # pictures
SIDE = 512  # px, of their middle
LEVEL = 30.0  # mean code value of the darkened pictures, as of the published frames
ISOS = (100.0, 400.0, 1600.0)
COMPARED = ("sigma_red", "sigma_green", "sigma_blue", "blue_to_green", "luma_lag1", "chroma_lag1")


def figures(folder: Path, photos: list[Photo]) -> dict[str, float]:
    """Of the networks in `folder`; PSNR in dB, pictures as they are and darkened.

    round_trip, dark_round_trip: mean PSNR of Raw2Rgb(Rgb2Raw(x)) against x, worst_round_trip: of the worst picture;
    shift: largest mean of noisy minus clean, code values, of a channel outside clipped pixels;
    COMPARED: the noise of darkened pictures, as deviation from the analytic model, the worst of the ISOS.
    """
    cycleisp.load.cache_clear()  # the folder may have held others
    shown = [middle(photo) for photo in photos[:: -(-len(photos) // MOST)]]
    dark = [darkened(frame) for frame in shown]
    bright, low = ([round_trip(frame, folder) for frame in frames] for frames in (shown, dark))
    found = {"round_trip": np.mean(bright), "worst_round_trip": min(bright), "dark_round_trip": np.mean(low)}
    worst = dict.fromkeys(("shift", *COMPARED), 0.0)
    for iso in ISOS:
        for name, deviation in noise_deviation(dark, folder, iso).items():
            worst[name] = max(worst[name], abs(deviation))
    return {name: round(float(value), 4) for name, value in (found | worst).items()}


def middle(photo: Photo) -> Tensor:
    """(1, 3, h, w) display, at most SIDE a side, even offsets and sizes."""
    rows, columns = photo.display.shape[:2]
    height, width = (min(extent, SIDE) // 2 * 2 for extent in (rows, columns))
    top, left = (rows - height) // 4 * 2, (columns - width) // 4 * 2
    pixels = photo.display[top : top + height, left : left + width] / np.float32(65535)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def darkened(frame: Tensor) -> Tensor:
    """The frame with its light scaled to a mean of LEVEL code values."""
    light, low, high = fr.srgb_to_light(frame), -12.0, 2.0  # stops
    for _ in range(20):
        mid = (low + high) / 2
        too_dark = fr.light_to_srgb((light * 2**mid).clamp(0, 1)).mean() * 255 < LEVEL
        low, high = (mid, high) if too_dark else (low, mid)
    return fr.light_to_srgb((light * 2**low).clamp(0, 1))


@torch.inference_mode()
def round_trip(frame: Tensor, folder: Path) -> float:
    """PSNR of the photograph that comes back, dB."""
    networks = cycleisp.load(str(folder))
    back = networks.develop(networks.raw(frame), networks.colour(frame)).clamp(0, 1)
    return float(-10 * torch.log10((back - frame).square().mean()))


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
            found.append(dataclasses.asdict(realism.describe(grain, 255 * float(frame.mean()))))
            if config.model == "cycleisp":
                free = ((noisy > 0) & (noisy < 1)).permute(0, 2, 3, 1).numpy()
                shift += [grain[..., c][free[..., c]].mean() / len(frames) for c in range(3)]
    ours, analytic = ({name: np.mean([f[name] for f in found]) for name in COMPARED} for found in seen)
    return {"shift": float(np.abs(shift).max())} | {name: float(ours[name] / analytic[name] - 1) for name in COMPARED}


def card(photos: list, unseen: list, recipe: dict, result: dict, note: str) -> str:
    """The model card, as Markdown: what they are, how and on what they were trained, what came out."""
    options = " ".join(f"{key}={value}" for key, value in recipe.items() if key != "pictures")
    files, others = sources(photos), sources(unseen)
    of = f"pictures of {', '.join(file for file, _ in others)}" if others != files else "the pictures trained on"
    lines = [
        f"# CycleISP, {recipe['network']}", "",
        "Weights of `Rgb2Raw`, `ColorBranch` and `Raw2Rgb` (models/cycleisp.py) for `noise.model = cycleisp`.",
        "Made by `lolblur-synth train-noise` from random weights; no published weights were used.", "",
        "| | |", "|---|---|", f"| options | {options} |", f"| pictures | {result['pictures']} |",
        f"| training | {result['seconds']} CPU-seconds |", f"| losses, last 100 steps | {result['losses']} |",
        *(f"| sha256 of {name} | {sha256} |" for name, sha256 in result["sha256"].items()), "",
        f"The raw is {cycleisp.OUR_RAW}. Where no pairs were given it is that of the camera",
        f"`{cameras.PAPER_CAMERA}` undone, and so is the noise beside which they were trained.", "",
        f"Figures (training/noise_figures.py) of {of}:",
        "PSNR in dB, shift in code values, the rest as deviation from the analytic model, the worst of ISO "
        f"{', '.join(f'{iso:g}' for iso in ISOS)}.", "",
        "| figure | |", "|---|---|", *(f"| {name} | {value} |" for name, value in result["figures"].items()),
        "", *trained_on(files, note),
    ]  # fmt: skip
    return "\n".join(lines)
