"""Train the three networks of CycleISP, a camera learnt both ways, on photographs (training/raw_pairs.py).

As in CycleISP (Zamir et al. 2020, section 3): Rgb2Raw by L1 and log-L1 on the raw, Raw2Rgb and the colour branch on
the photograph, then all of them together, Raw2Rgb on the raw that Rgb2Raw predicts. Their raw is OUR_RAW of
models/cycleisp.py.

Two terms are ours. On the photograph it is not L1 but PSNR: the logarithm of the mean square of each crop, so that a
dark crop, or one that comes back well, counts as much as another. And what the stage uses is the difference that noise
makes, and a loss on the photograph alone leaves it to chance how noise is developed; so the difference is compared with
that of the analytic camera: its strength and its correlations, and a little, each value.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lolblur_synth import frames as fr
from lolblur_synth.camera import tables
from lolblur_synth.errors import ForeignOutput, UsageError
from lolblur_synth.files import atomic, listing, weights
from lolblur_synth.models import cycleisp
from lolblur_synth.training import raw_pairs
from lolblur_synth.training.cards import in_python, made_by
from lolblur_synth.training.noise_figures import card, figures
from lolblur_synth.training.photos import not_held_out
from lolblur_synth.training.run import Report, Run, warmed_cosine

DARKEST = 1e-3  # raw; the logarithm goes no lower
DISPLAY_WEIGHT = 0.01
FAINT = 1e-5  # mean square of display values, 50 dB; to come closer is worth little
NOISE_WEIGHT = 0.01
EACH_VALUE = 0.2  # weight beside the covariances of noise: what is developed may differ, its kind may not
LAGS = ((0, 0), (0, 1), (1, 0))  # px, down and across
WARM_UP = 50  # steps
HELD_OUT_FRAMES = 6  # of a video
PHASES = (("raw", 0.02), ("display", 0.03), ("joint", 0.95))  # and their shares of the steps
JOINT_RAW = 0.002  # weight of the raw when both ways are trained together: it may carry what the mosaic loses
PUBLISHED = ({}, {}, {})


def raw_loss(predicted: Tensor, raw: Tensor) -> Tensor:
    """L1 of the companded prediction, and L1 of the logarithms of the raw, which weighs shadows like lights.

    predicted: what Rgb2Raw gives; raw: linear; (N, 4, h, w) both.
    """
    shadows = (fr.srgb_to_light(predicted.clamp(0, 1)) + DARKEST).log() - (raw + DARKEST).log()
    return (predicted - fr.light_to_srgb(raw)).abs().mean() + shadows.abs().mean()


def display_loss(developed: Tensor, display: Tensor) -> Tensor:
    """The mean over pictures of the logarithm of their mean squared difference: 0.23 less for each dB of PSNR."""
    return ((developed - display).square().mean((1, 2, 3)) + FAINT).log().mean()


def noise_loss(difference: Tensor, wanted: Tensor) -> Tensor:
    """How far the noise of pictures, (N, 3, H, W), is from the one wanted, relative to its power: strong as weak.

    mean |covariances - wanted ones| at LAGS, and EACH_VALUE of mean |difference - wanted| / mean |wanted|.
    """
    power = wanted.square().mean((2, 3)).clamp_min(1e-10).sqrt()
    scale = (power[:, :, None] * power[:, None])[:, None]
    values = (difference - wanted).abs().mean((2, 3)) / wanted.abs().mean((2, 3)).clamp_min(1e-5)
    return ((covariances(difference) - covariances(wanted)) / scale).abs().mean() + EACH_VALUE * values.mean()


def covariances(noise: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, LAGS, 3, 3): of each channel with each, the second one shifted."""
    noise = noise - noise.mean((2, 3), keepdim=True)
    height, width = noise.shape[-2:]
    found = []
    for down, across in LAGS:
        here, there = noise[..., : height - down, : width - across], noise[..., down:, across:]
        found.append(here.flatten(2) @ there.flatten(2).mT / here[0, 0].numel())
    return torch.stack(found, 1)


def loss(phase: str, nets: nn.ModuleList, colours: np.ndarray | None, batch: raw_pairs.Batch) -> tuple[Tensor, dict]:
    """The terms of a phase, added up, and {name: each of them}."""
    networks, terms, raw = cycleisp.Networks(*nets, colours=colours), {}, batch.raw
    if phase != "display":
        predicted = networks.planes(batch.display)
        terms["raw"] = raw_loss(predicted, raw) * (JOINT_RAW if phase == "joint" else 1)
        raw = fr.srgb_to_light(predicted.clamp(0, 1))
    if phase != "raw":
        gate = networks.colour(batch.display)
        some = len(batch.noise)
        with_noise = torch.cat((raw, raw[:some] + batch.noise))
        clean, noisy = networks.develop(with_noise, torch.cat((gate, gate[:some]))).split((len(raw), some))
        terms["display"] = DISPLAY_WEIGHT * display_loss(clean, batch.display)
        wanted = batch.noisy - batch.display[:some]
        terms["noise"] = NOISE_WEIGHT * noise_loss(noisy - clean[:some], wanted)
    return sum(terms.values()), {name: float(term.detach()) for name, term in terms.items()}


def train_noise(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    pairs: Sequence[str | Path] = (),
    held_out: Sequence[str | Path] = (),
    network: str = "lite",
    steps: int = 8000,
    seed: int = 0,
    size: int = 48,
    batch_size: int = 8,
    rate: float = 2e-3,
    frames_per_video: int = 12,
    device: str = "cpu",
    checkpoint_every: int = 200,
    note: str = "",
    report: Report | None = None,
) -> dict:
    """Train from scratch, or go on where a checkpoint in `out` was left; write the weights and their card.

    inputs            files or folders of photographs and videos, whose raw is made by undoing the camera
    pairs             folders of photographs with their own raw (training/raw_pairs.py)
    held_out          as inputs, never trained on: the card's figures are of these, or of the inputs if there are none
    out               folder for the three networks, card.md and, until the end, training.checkpoint
    network           lite, or published for the size of the paper
    steps             optimiser steps of all three phases; rate: peak learning rate of Adam
    size, batch_size  crops of size x size px, so many a step
    note              text for the card, such as the origin and licence of the inputs
    report            called after each step with its number and losses, for progress

    Returns {"sha256" (of each file), "seconds", "pictures", "losses", "figures"}. Same inputs and options, same
    weights, on the same kind of device with as many threads, however often it was interrupted.
    Raises InputError, UsageError, ForeignOutput.
    """
    out = Path(out)
    claim(out)
    photos = raw_pairs.photographs(inputs, size, frames_per_video) if inputs else []
    for folder in pairs:
        photos += raw_pairs.pairs(Path(folder), size)
    unseen = raw_pairs.photographs(held_out, size, HELD_OUT_FRAMES) if held_out else photos
    photos = not_held_out(photos, unseen) if held_out else photos
    recipe = {
        "network": network,
        "steps": steps,
        "seed": seed,
        "size": size,
        "batch_size": batch_size,
        "rate": rate,
        "frames_per_video": frames_per_video,
        "pictures": sorted({photo.sha256 for photo in photos}),
    }
    if pairs:
        recipe["raws"] = sorted({(photo.sha256, photo.raw_sha256) for photo in photos if photo.raw_sha256})
    corrects = None if pairs else tables.PAPER_CAMERA  # the camera of a user's pairs is not known: all is learnt
    state, checkpoint = _State(recipe, device, corrects), out / "training.checkpoint"
    state.train(
        steps, lambda step: raw_pairs.batch(photos, seed, step, batch_size, size), checkpoint, checkpoint_every, report
    )
    result = {"seconds": round(state.seconds, 1), "pictures": len(photos), "losses": state.recent()}
    facts = {("crop" if key == "size" else key): value for key, value in recipe.items()}
    facts |= {"raw": cycleisp.OUR_RAW} | ({"corrects": corrects} if corrects else {})
    result["sha256"] = {
        name: weights.save(net, out / f"{name}.safetensors", {**facts, **kind})
        for name, net, kind in zip(cycleisp.FILES, state.net, sizes(network, bool(corrects)), strict=True)
    }
    result["figures"], trips = figures(out, unseen)
    words = {
        "--pairs": pairs,
        "--held-out": held_out,
        "-o": out,
        "--size": network,
        "--steps": steps,
        "--seed": seed,
        "--device": device,
    }
    command = made_by("train-noise", inputs, words, in_python(train_noise, recipe))
    atomic.write(out / "card.md", card(photos, unseen, recipe, result, trips, command, note).encode())
    checkpoint.unlink(missing_ok=True)
    return result


def claim(out: Path) -> None:
    """Make the folder, or refuse one that holds something else. Raises ForeignOutput."""
    ours = {"training.checkpoint", "card.md", *(f"{name}.safetensors" for name in cycleisp.FILES)}
    foreign = not out.is_dir() or {entry.path.name for entry in listing.entries(out)} - ours
    if out.exists() and foreign:
        raise ForeignOutput(f"{out} is not the output of train-noise", "use an empty or new folder")
    out.mkdir(parents=True, exist_ok=True)


def sizes(network: str, corrects: bool) -> tuple[dict, dict, dict]:
    """Features, groups, blocks and inputs of the three networks. UsageError: neither lite nor published."""
    if network not in ("lite", "published"):
        raise UsageError(f"{network}: no such size", "use lite or published")
    if network == "published":
        return PUBLISHED
    more = cycleisp.MORE_INPUTS if corrects else ({}, {}, {})
    return tuple({"size": size | seen} for size, seen in zip(cycleisp.LITE, more, strict=True))


def phase_of(step: int, steps: int) -> tuple[str, float, int]:
    """The phase of a step, how far it has got, 0..1, and its first step."""
    first = 0
    for phase, share in PHASES:
        last = steps if phase == PHASES[-1][0] else first + round(share * steps)
        if step < last:
            return phase, (step - first) / (last - first), first
        first = last
    raise ValueError(f"step {step} of {steps}")


class _State(Run):
    def __init__(self, recipe: dict, device: str, corrects: str | None = tables.PAPER_CAMERA):
        kinds = (cycleisp.Rgb2Raw, cycleisp.ColorBranch, cycleisp.Raw2Rgb)
        sized = sizes(recipe["network"], bool(corrects))
        made = [(kind, size.get("size", {})) for kind, size in zip(kinds, sized, strict=True)]
        super().__init__(recipe, lambda: nn.ModuleList([kind(**size) for kind, size in made]), device)
        self.colours = cycleisp.camera_colours(corrects) if corrects else None
        for last in (self.net[0].tail[0], self.net[2].tail_rgb[0]) if corrects else ():  # nothing, to begin with
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.net.to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam((p for p in self.net.parameters() if p.requires_grad), recipe["rate"])

    def advance(self, batch: raw_pairs.Batch) -> dict[str, float]:
        """One optimiser step, of the phase that it falls into. Raises Diverged."""
        phase, done, first = phase_of(self.step, self.recipe["steps"])
        rate = warmed_cosine(self.recipe["rate"], self.step - first, WARM_UP, done)
        return self.descend(rate, loss, phase, self.net, self.colours, batch.to(self.device))
