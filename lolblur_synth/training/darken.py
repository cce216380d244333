"""Train CurveNet, the darkening network, on any well-exposed pictures: it needs no pairs and no labels, like Zero-DCE.

A batch is random crops of lightness (N, 1, size, size), 0..1, each with a random exposure to reach. The losses are
those of Zero-DCE (Guo et al. 2020, section 3.3), with a requested exposure E for its constant 0.6, and changed where
they would not train: the square of a small E has hardly a gradient, and a loss that keeps the contrast of the bright
picture works against darkening. Zero-DCE's colour loss is left out: the network sees lightness alone, and
`darken.apply` gives all three channels one gain.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import frames as fr
from lolblur_synth.files import atomic, weights
from lolblur_synth.models import dce
from lolblur_synth.stages import darken
from lolblur_synth.stages.darken import lights
from lolblur_synth.training.cards import Card, changed_numbers, made_by, origins, table
from lolblur_synth.training.config import DarkenTraining, checked
from lolblur_synth.training.loss_logs import logged
from lolblur_synth.training.photos import Picture, batch, not_held_out, well_exposed
from lolblur_synth.training.run import AVERAGED_STEPS, Report, SynthesisRun, one_thread, warmed_cosine

EXPOSURE_WEIGHT, CONTRAST_WEIGHT, LAMP_WEIGHT, SMOOTHNESS_WEIGHT = 4.0, 10.0, 10.0, 20.0
REQUESTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # exposures, mean L*/100, for the figures on the card
WARM_UP = 20  # steps


def exposure_loss(darkened: Tensor, exposure_map: Tensor, share: Tensor) -> Tensor:
    """(log mean(share l') - log mean(share E))^2, mean over the batch. Zero-DCE: |mean of a 16x16 patch - 0.6|.

    The logarithm gives E = 0.05 the weight of E = 0.5; the mean over the picture leaves its local contrast alone.
    All are (N, 1, H, W): the darkened lightness l', the requested exposure E, and the share, which is 0 where a lamp
    keeps its exposure.
    """
    achieved = (share * darkened).mean((1, 2, 3)).clamp_min(1e-4)
    requested = (share * exposure_map).mean((1, 2, 3)).clamp_min(1e-4)
    return (achieved.log() - requested.log()).square().mean()


def contrast_loss(darkened: Tensor, lightness: Tensor, exposure: Tensor, share: Tensor) -> Tensor:
    """mean(((d l' - d l'') mean(l)/E)^2), d: difference to the right or lower neighbour. Zero-DCE: (|d l'| - |d l|)^2.

    l'' is the crop in less light. The contrast shall shrink as it does there, not stay as it was, and not shrink
    in proportion to the exposure. exposure is (N, 1, 1, 1), the rest (N, 1, H, W).
    """
    scale = lightness.mean((1, 2, 3), keepdim=True) / exposure
    deviation = (darkened - in_less_light(lightness, exposure)) * scale
    total = darkened.new_zeros(())
    for axis in (2, 3):
        both = share.narrow(axis, 1, share.shape[axis] - 1) * share.narrow(axis, 0, share.shape[axis] - 1)
        total = total + (both * deviation.diff(dim=axis).square()).mean()
    return total


def in_less_light(lightness: Tensor, exposure: Tensor) -> Tensor:
    """L*(k Y), with the one k for a crop that brings its mean to the exposure. Shapes as in `contrast_loss`."""
    light = fr.lightness_to_luminance(lightness)
    least, most = torch.full_like(exposure, -16.0), torch.zeros_like(exposure)  # log k
    for _ in range(20):
        middle = (least + most) / 2
        too_dark = fr.luminance_to_lightness(light * middle.exp()).mean((1, 2, 3), keepdim=True) < exposure
        least, most = torch.where(too_dark, middle, least), torch.where(too_dark, most, middle)
    return fr.luminance_to_lightness(light * least.exp())


def smoothness_loss(maps: Tensor) -> Tensor:
    """mean((d r)^2) over both axes: illumination varies slowly. Zero-DCE, Eq. 8."""
    return maps.diff(dim=2).square().mean() + maps.diff(dim=3).square().mean()


def lamp_loss(darkened: Tensor, lightness: Tensor, lamp: Tensor) -> Tensor:
    """mean(lamp (l' - l)^2): a lamp keeps its lightness."""
    return (lamp * (darkened - lightness).square()).mean()


def loss(net: dce.CurveNet, lightness: Tensor, exposure: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the four, and each of them, weighted, by name.

    lightness (N, 1, H, W), already reduced; exposure (N, 1, 1, 1)."""
    lamp, white = lights.find(lightness, lights.LAMP, reduction=1)
    exposure_map = darken.exposure_map(lightness, lamp, exposure)
    maps = net.maps(lightness, exposure_map)
    followed = dce.follow_edges(dce.edge_model(maps, lightness), lightness)
    darkened = dce.curve(lightness, followed, net.steps, white)
    terms = {
        "exposure": EXPOSURE_WEIGHT * exposure_loss(darkened, exposure_map, 1 - lamp),
        "contrast": CONTRAST_WEIGHT * contrast_loss(darkened, lightness, exposure, 1 - lamp),
        "lamp": LAMP_WEIGHT * lamp_loss(darkened, lightness, lamp),
        "smoothness": SMOOTHNESS_WEIGHT * smoothness_loss(maps),
    }
    return sum(terms.values()), terms


@one_thread()
def train_darken(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    held_out: Sequence[str | Path] = (),
    report: Report | None = None,
    **options,
) -> dict:
    """Train from scratch, or go on where a checkpoint beside `out` was left; write the weights and their card.

    inputs    files or folders of photographs and videos; those with mean L* below 28 are left out
    held_out  the same, never trained on: the card's figures are of these, or of the inputs where there are none
    out       the .safetensors to write; the card is the same name with .md, the checkpoint with .checkpoint
    report    called after each step with its number and losses, for progress
    options   the fields of DarkenTraining

    Returns {"sha256", "seconds", "pictures", "losses", "exposure"}. Same inputs and options, same weights, on the same
    kind of device, however often it was interrupted; on a CPU one thread works, because sums depend on their number.
    Raises InputError, UsageError, Diverged.
    """
    config, out = checked(DarkenTraining, options), Path(out)
    photos = well_exposed(inputs, config.size, config.frames_per_video)
    unseen = well_exposed(held_out, config.size, config.frames_per_video) if held_out else photos
    photos = not_held_out(photos, unseen) if held_out else photos
    run = DarkenRun(config.recipe(pictures=sorted({picture.sha256 for picture in photos})), config.device)
    checkpoint = out.with_suffix(".checkpoint")
    with logged(config, out, report) as log_and_report:
        run.train_with_checkpoints(
            lambda step: batch(photos, config.seed, step, config.batch_size, config.size),
            config.steps, checkpoint, config.checkpoint_every, log_and_report,
        )  # fmt: skip
    result = {
        "seconds": round(run.seconds, 1),
        "pictures": len(photos),
        "losses": run.mean_losses(),
        "exposure": achieved_exposures(run.net, unseen),
        "sha256": weights.save(run.net, out, {"network": "CurveNet", **run.recipe}),
    }
    words = {"--held-out": held_out, "-o": out, "--steps": config.steps, "--seed": config.seed,
             "--device": config.device}  # fmt: skip
    command = made_by("train-darken", inputs, words, changed_numbers(config))
    card = card_of(out.stem, (photos, unseen), run.recipe, result, command, config.note)
    atomic.write(out.with_suffix(".md"), card.text().encode())
    checkpoint.unlink(missing_ok=True)
    return result


class DarkenRun(SynthesisRun):
    """recipe: that of DarkenTraining."""

    def __init__(self, recipe: dict, device: str):
        super().__init__(dce.CurveNet, recipe, device)
        self.optimiser = torch.optim.Adam(self.net.parameters(), recipe["rate"])

    def advance(self, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
        """One optimiser step on lightness (N, 1, size, size) and exposures (N, 1, 1, 1). Raises Diverged."""
        rate = warmed_cosine(self.recipe["rate"], self.step, WARM_UP, self.step / self.recipe["steps"])
        return self.descend(rate, *loss(self.net, *(part.to(self.device) for part in batch)))


@torch.no_grad()
def achieved_exposures(net: dce.CurveNet, photos: list[Picture]) -> dict[str, tuple[float, float]]:
    """Requested exposure -> mean and deviation of what the network alone achieves, over the pictures brighter than it.

    The stage solves for the strength of the maps besides, so that it meets the request where the network misses it.
    """
    device = next(net.parameters()).device
    achieved: dict[str, tuple[float, float]] = {}
    for request in REQUESTS:
        means = []
        for picture in photos:
            lightness = torch.from_numpy(picture.lightness)[None, None].to(device)
            if lightness.mean() > request:
                maps = net.maps(lightness, torch.full_like(lightness, request))
                followed = dce.follow_edges(dce.edge_model(maps, lightness), lightness)
                darkened = dce.curve(lightness, followed, net.steps)
                means.append(float(darkened[lightness <= lights.SATURATED].mean()))
        if means:
            achieved[str(request)] = round(float(np.mean(means)), 4), round(float(np.std(means)), 4)
    return achieved


def card_of(
    name: str,
    pictures: tuple[list[Picture], list[Picture]],
    recipe: dict,
    result: dict,
    command: list[str],
    note: str,
) -> Card:
    """pictures: those that were trained on, and those that the figures are of."""
    files, measured = (origins(group) for group in pictures)
    which = "the same pictures" if measured == files else (
        f"{len(pictures[1])} pictures of {', '.join(file for file, _ in measured)}")  # fmt: skip
    return Card(
        title=name,
        summary=(
            "Weights of `CurveNet`, which darkens a frame to a requested exposure (models/dce.py, stages/darken).",
            "Made by `lolblur-synth train-darken` from random weights; no published weights were used.",
        ),
        facts={
            "options": " ".join(f"{key}={value}" for key, value in recipe.items() if key != "pictures"),
            "pictures": result["pictures"],
            "training": f"{result['seconds']} CPU-seconds",
            f"losses, last {AVERAGED_STEPS} steps": result["losses"],
            "sha256": result["sha256"],
        },
        command=command,
        figures=[
            f"Exposure that the network alone achieves, before the stage solves for the rest, on {which}:",
            "",
            *table(
                ("requested", "achieved, mean", "deviation"),
                ((request, f"{mean:.3f}", f"{std:.3f}") for request, (mean, std) in result["exposure"].items()),
            ),
        ],
        files=files,
        note=note,
    )
