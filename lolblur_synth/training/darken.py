"""Train CurveNet, the darkening network, on any well-exposed pictures: no pairs, no labels (Zero-DCE's idea).

A batch is random crops of lightness (N, 1, size, size), 0..1, each with a random exposure to reach. The losses are
those of Zero-DCE (Guo et al. 2020, section 3.3) with a requested exposure E for its constant 0.6, changed where they
would not train: a small E squared has no gradient, and keeping the contrast of the bright picture fights darkening.
The colour loss is gone, because one channel has no colour; `darken.apply` scales the three alike.
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
from lolblur_synth.training.cards import in_python, made_by
from lolblur_synth.training.photos import Picture, batch, not_held_out, well_exposed
from lolblur_synth.training.run import Report, Run, one_thread, sources, trained_on, warmed_cosine
from lolblur_synth.training.tensorboard_log import scalars

EXPOSURE_WEIGHT, CONTRAST_WEIGHT, LAMP_WEIGHT, SMOOTHNESS_WEIGHT = 4.0, 10.0, 10.0, 20.0
REQUESTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the card's figures
WARM_UP = 20  # steps


def exposure_loss(darkened: Tensor, asked: Tensor, share: Tensor) -> Tensor:
    """(log mean(share l') - log mean(share E))^2, mean over the batch. Zero-DCE: |mean of a 16x16 patch - 0.6|.

    The logarithm weighs E = 0.05 like E = 0.5; the mean over the picture leaves its local contrast alone.
    All are (N, 1, H, W); share is 0 where a lamp keeps its exposure.
    """
    got = (share * darkened).mean((1, 2, 3)).clamp_min(1e-4)
    wanted = (share * asked).mean((1, 2, 3)).clamp_min(1e-4)
    return (got.log() - wanted.log()).square().mean()


def contrast_loss(darkened: Tensor, lightness: Tensor, exposure: Tensor, share: Tensor) -> Tensor:
    """mean(((d l' - d l'') mean(l)/E)^2), d: difference to the right or lower neighbour. Zero-DCE: (|d l'| - |d l|)^2.

    l'' is the crop in less light. Contrast is to shrink as it does there, neither to survive the darkening nor to
    shrink as fast as the exposure does. exposure is (N, 1, 1, 1), the rest (N, 1, H, W).
    """
    scale = lightness.mean((1, 2, 3), keepdim=True) / exposure
    wrong = (darkened - in_less_light(lightness, exposure)) * scale
    total = darkened.new_zeros(())
    for axis in (2, 3):
        both = share.narrow(axis, 1, share.shape[axis] - 1) * share.narrow(axis, 0, share.shape[axis] - 1)
        total = total + (both * wrong.diff(dim=axis).square()).mean()
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
    """mean(lamp (l' - l)^2): where the exposure map asks for a pixel's own lightness, it is to be left alone."""
    return (lamp * (darkened - lightness).square()).mean()


def loss(net: dce.CurveNet, lightness: Tensor, exposure: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of the four, and each of them. lightness (N, 1, H, W), already reduced; exposure (N, 1, 1, 1)."""
    lamp, white = lights.find(lightness, lights.LAMP, reduction=1)
    asked = darken.exposure_map(lightness, lamp, exposure)
    maps = net.maps(lightness, asked)
    followed = dce.follow_edges(dce.edge_model(maps, lightness), lightness)
    darkened = dce.curve(lightness, followed, net.steps, white)
    terms = {
        "exposure": EXPOSURE_WEIGHT * exposure_loss(darkened, asked, 1 - lamp),
        "contrast": CONTRAST_WEIGHT * contrast_loss(darkened, lightness, exposure, 1 - lamp),
        "lamp": LAMP_WEIGHT * lamp_loss(darkened, lightness, lamp),
        "smoothness": SMOOTHNESS_WEIGHT * smoothness_loss(maps),
    }
    return sum(terms.values()), {name: float(term.detach()) for name, term in terms.items()}


def train_darken(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    held_out: Sequence[str | Path] = (),
    steps: int = 450,
    seed: int = 0,
    size: int = 64,
    batch_size: int = 8,
    rate: float = 2e-3,
    frames_per_video: int = 12,
    device: str = "cpu",
    checkpoint_every: int = 100,
    tensorboard: str | Path | None = None,
    note: str = "",
    report: Report | None = None,
) -> dict:
    """Train from scratch, or go on where a checkpoint beside `out` was left; write the weights and their card.

    inputs            files or folders of photographs and videos; those with mean L* below 28 are left out
    held_out          the same, never trained on: the card's figures are of these, or of the inputs where there are none
    out               the .safetensors to write; the card is the same name with .md, the checkpoint with .checkpoint
    steps             optimiser steps; rate: peak learning rate of Adam, warmed up, then a cosine to 0
    size, batch_size  crops of size x size cells (a cell is 8x8 pixels of a 1120x640 frame), so many a step
    note              text for the card, such as the origin and licence of the inputs
    tensorboard       folder for a log of the losses, where that package is installed
    report            called after each step with its number and losses, for progress

    Returns {"sha256", "seconds", "pictures", "losses", "obedience"}. Same inputs and options, same weights, on the same
    kind of device, however often it was interrupted; on a CPU one thread works, because sums depend on their number.
    Raises InputError, UsageError.
    """
    out = Path(out)
    photos = well_exposed(inputs, size, frames_per_video)
    unseen = well_exposed(held_out, size, frames_per_video) if held_out else photos
    photos = not_held_out(photos, unseen) if held_out else photos
    recipe = {
        "steps": steps,
        "seed": seed,
        "size": size,
        "batch_size": batch_size,
        "rate": rate,
        "frames_per_video": frames_per_video,
        "pictures": sorted({picture.sha256 for picture in photos}),
    }
    state, checkpoint = _State(recipe, device), out.with_suffix(".checkpoint")
    with scalars(tensorboard) as write, one_thread():

        def told(step: int, losses: dict[str, float]) -> None:
            write(step, {f"loss/{name}": value for name, value in losses.items()})
            if report:
                report(step, losses)

        state.train(steps, lambda step: batch(photos, seed, step, batch_size, size), checkpoint, checkpoint_every, told)
    result = {
        "seconds": round(state.seconds, 1),
        "pictures": len(photos),
        "losses": state.recent(),
        "obedience": obedience(state.net, unseen),
    }
    result["sha256"] = weights.save(state.net, out, {"network": "CurveNet", **recipe})
    words = {"--held-out": held_out, "-o": out, "--steps": steps, "--seed": seed, "--device": device}
    command = made_by("train-darken", inputs, words, in_python(train_darken, recipe))
    atomic.write(out.with_suffix(".md"), card(out.stem, photos, unseen, recipe, result, command, note).encode())
    checkpoint.unlink(missing_ok=True)
    return result


class _State(Run):
    def __init__(self, recipe: dict, device: str):
        super().__init__(recipe, dce.CurveNet, device)
        self.optimiser = torch.optim.Adam(self.net.parameters(), recipe["rate"])

    def advance(self, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
        """One optimiser step on lightness and exposures. Raises Diverged."""
        rate = warmed_cosine(self.recipe["rate"], self.step, WARM_UP, self.step / self.recipe["steps"])
        return self.descend(rate, loss, self.net, *(part.to(self.device) for part in batch))


@torch.no_grad()
def obedience(net: dce.CurveNet, photos: list[Picture]) -> dict[str, tuple[float, float]]:
    """Requested exposure -> mean and deviation, over the pictures brighter than it, of what the network alone achieves.

    The stage solves for the strength of the maps besides, so it meets the request where the network is somewhat off.
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


def card(
    name: str, photos: list[Picture], unseen: list[Picture], recipe: dict, result: dict, command: list[str], note: str
) -> str:
    """The model card, as Markdown: what it is, how and on what it was trained, what came out."""
    options = " ".join(f"{key}={value}" for key, value in recipe.items() if key != "pictures")
    files, others = sources(photos), sources(unseen)
    figures_of = f"{len(unseen)} pictures of {', '.join(file for file, _ in others)}" if others != files else "the same"
    lines = [
        f"# {name}",
        "",
        "Weights of `CurveNet`, which darkens a frame to a requested exposure (models/dce.py, stages/darken.py).",
        "Made by `lolblur-synth train-darken` from random weights; no published weights were used.",
        "",
        "| | |",
        "|---|---|",
        f"| options | {options} |",
        f"| pictures | {result['pictures']} |",
        f"| training | {result['seconds']} CPU-seconds |",
        f"| losses, last 100 steps | {result['losses']} |",
        f"| sha256 | {result['sha256']} |",
        "",
        *command,
        "Exposure that the network alone achieves, before the stage solves for the rest; figures of " + figures_of,
        "",
        "| asked | achieved, mean | deviation |",
        "|---|---|---|",
        *(f"| {asked} | {mean:.3f} | {deviation:.3f} |" for asked, (mean, deviation) in result["obedience"].items()),
        "",
        *trained_on(files, note),
    ]
    return "\n".join(lines)
