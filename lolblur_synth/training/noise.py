"""Train the three networks of CycleISP, a camera learnt both ways, on photographs (training/raw_pairs.py).

As in CycleISP (Zamir et al. 2020, section 3): Rgb2Raw by L1 and log-L1 on the raw, Raw2Rgb and the colour branch on
the photograph, then all of them together, Raw2Rgb on the raw that Rgb2Raw predicts. Their raw is OUR_RAW of
models/cycleisp.py.

Two terms are ours. On the photograph the loss is the logarithm of the mean square of each crop, like PSNR, in place of
L1, so that a dark crop, or one that comes back well, counts as much as another. And the stage uses the difference that
noise makes to the photograph, which no loss on the photograph alone determines; so that difference is compared with the
analytic camera's: its strength and its correlations, and, with less weight, each value.
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
from lolblur_synth.training import noise_figures, raw_pairs
from lolblur_synth.training.cards import changed_numbers, made_by
from lolblur_synth.training.config import NoiseTraining, checked
from lolblur_synth.training.loss_logs import logged
from lolblur_synth.training.photos import not_held_out
from lolblur_synth.training.run import Report, SynthesisRun, warmed_cosine

RAW_FLOOR = 1e-3  # linear raw; added before the logarithm
DISPLAY_WEIGHT = 0.01
DISPLAY_FLOOR = 1e-5  # mean square of display values, 50 dB; a smaller error is hardly rewarded
NOISE_WEIGHT = 0.01
VALUES_WEIGHT = 0.2  # of the noise's values beside its covariances, which matter more
LAGS = ((0, 0), (0, 1), (1, 0))  # px, down and across
WARM_UP = 50  # steps of each phase
HELD_OUT_FRAMES = 6  # of a video
PHASES = (("raw", 0.02), ("display", 0.03), ("joint", 0.95))  # and their shares of the steps
JOINT_RAW_WEIGHT = 0.002  # small, so that in the joint phase the raw may carry what the mosaic loses
PUBLISHED = ({}, {}, {})  # the defaults of the networks are the published sizes


def raw_loss(predicted: Tensor, raw: Tensor) -> Tensor:
    """L1 of the companded prediction, plus L1 of the logarithms of the raw, which gives shadows the weight of lights.

    predicted: what Rgb2Raw gives; raw: linear; (N, 4, h, w) both.
    """
    shadows = (fr.srgb_to_light(predicted.clamp(0, 1)) + RAW_FLOOR).log() - (raw + RAW_FLOOR).log()
    return (predicted - fr.light_to_srgb(raw)).abs().mean() + shadows.abs().mean()


def display_loss(developed: Tensor, display: Tensor) -> Tensor:
    """The mean over pictures of the logarithm of their mean squared difference: 0.23 less for each dB of PSNR."""
    return ((developed - display).square().mean((1, 2, 3)) + DISPLAY_FLOOR).log().mean()


def noise_loss(noise: Tensor, target: Tensor) -> Tensor:
    """How far the noise of pictures is from a target, both (N, 3, H, W), relative to the power of the target.

    mean |covariances - those of the target| at LAGS, plus VALUES_WEIGHT of mean |noise - target| / mean |target|.
    """
    power = target.square().mean((2, 3)).clamp_min(1e-10).sqrt()
    scale = (power[:, :, None] * power[:, None])[:, None]
    values = (noise - target).abs().mean((2, 3)) / target.abs().mean((2, 3)).clamp_min(1e-5)
    return ((covariances(noise) - covariances(target)) / scale).abs().mean() + VALUES_WEIGHT * values.mean()


def covariances(noise: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, LAGS, 3, 3): covariances of each channel with each, the second one shifted by the lag."""
    noise = noise - noise.mean((2, 3), keepdim=True)
    height, width = noise.shape[-2:]
    by_lag = []
    for down, across in LAGS:
        here, there = noise[..., : height - down, : width - across], noise[..., down:, across:]
        by_lag.append(here.flatten(2) @ there.flatten(2).mT / here[0, 0].numel())
    return torch.stack(by_lag, 1)


def loss(
    phase: str, nets: nn.ModuleList, colours: np.ndarray | None, batch: raw_pairs.Batch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of the weighted terms of a phase, and each of them by name. colours: of the camera that is corrected."""
    networks, terms, raw = cycleisp.Networks(*nets, colours=colours), {}, batch.raw
    if phase != "display":
        predicted = networks.planes(batch.display)
        terms["raw"] = raw_loss(predicted, raw) * (JOINT_RAW_WEIGHT if phase == "joint" else 1)
        raw = fr.srgb_to_light(predicted.clamp(0, 1))
    if phase != "raw":
        gate = networks.colour(batch.display)
        count = len(batch.noise)  # crops with noise
        raws, gates = torch.cat((raw, raw[:count] + batch.noise)), torch.cat((gate, gate[:count]))
        clean, noisy = networks.develop(raws, gates).split((len(raw), count))
        terms["display"] = DISPLAY_WEIGHT * display_loss(clean, batch.display)
        analytic = batch.noisy - batch.display[:count]
        terms["noise"] = NOISE_WEIGHT * noise_loss(noisy - clean[:count], analytic)
    return sum(terms.values()), terms


def train_noise(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    pairs: Sequence[str | Path] = (),
    held_out: Sequence[str | Path] = (),
    report: Report | None = None,
    **options,
) -> dict:
    """Train from scratch, or go on where a checkpoint in `out` was left; write the weights and their card.

    inputs    files or folders of photographs and videos, whose raw is made by undoing the camera
    out       folder for the three networks, card.md and, until the end, training.checkpoint
    pairs     folders of photographs with their own raw (training/raw_pairs.py)
    held_out  as inputs, never trained on: the card's figures are of these, or of the inputs where there are none
    report    called after each step with its number and losses, for progress
    options   the fields of NoiseTraining

    Returns {"sha256" (of each file), "seconds", "pictures", "losses", "figures"}. Same inputs and options, same
    weights, on the same kind of device with as many threads, however often it was interrupted.
    Raises InputError, UsageError, ForeignOutput, Diverged.
    """
    config, out = checked(NoiseTraining, options), Path(out)
    claim(out)
    photos = raw_pairs.photographs(inputs, config.size, config.frames_per_video) if inputs else []
    for folder in pairs:
        photos += raw_pairs.pairs(Path(folder), config.size)
    unseen = raw_pairs.photographs(held_out, config.size, HELD_OUT_FRAMES) if held_out else photos
    photos = not_held_out(photos, unseen) if held_out else photos
    camera = None if pairs else tables.PAPER_CAMERA  # the camera of a user's pairs is not known: all of it is learnt
    recipe = config.recipe(**_hashes(photos, bool(pairs)))
    run, checkpoint = NoiseRun(recipe, config.device, camera), out / "training.checkpoint"
    with logged(config, out, report) as log_and_report:
        run.train_with_checkpoints(
            lambda step: raw_pairs.batch(photos, config.seed, step, config.batch_size, config.size),
            config.steps, checkpoint, config.checkpoint_every, log_and_report,
        )  # fmt: skip
    result = {"seconds": round(run.seconds, 1), "pictures": len(photos), "losses": run.mean_losses()}
    result["sha256"] = _save(run, out, config.network, camera)
    result["figures"], trips = noise_figures.figures(out, unseen)
    words = {"--pairs": pairs, "--held-out": held_out, "-o": out, "--size": config.network, "--steps": config.steps,
             "--seed": config.seed, "--device": config.device}  # fmt: skip
    command = made_by("train-noise", inputs, words, changed_numbers(config))
    card = noise_figures.card_of((photos, unseen), recipe, result, trips, command, config.note)
    atomic.write(out / "card.md", card.text().encode())
    checkpoint.unlink(missing_ok=True)
    return result


def _hashes(photos: list[raw_pairs.Photo], with_raws: bool) -> dict[str, list]:
    """What identifies the inputs: the sha256 of the pictures, and of the raw files beside them."""
    hashes = {"pictures": sorted({photo.sha256 for photo in photos})}
    if with_raws:
        hashes["raws"] = sorted({(photo.sha256, photo.raw_sha256) for photo in photos if photo.raw_sha256})
    return hashes


def _save(run: "NoiseRun", out: Path, network: str, camera: str | None) -> dict[str, str]:
    """Write the three networks; their sha256 by name."""
    about = {("crop" if key == "size" else key): value for key, value in run.recipe.items()}
    about |= {"raw": cycleisp.OUR_RAW} | ({"corrects": camera} if camera else {})
    return {
        name: weights.save(net, out / f"{name}.safetensors", {**about, **size})
        for name, net, size in zip(cycleisp.FILES, run.net, sizes(network, bool(camera)), strict=True)
    }


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
    """The phase of a step, the share of the phase that is done, 0..1, and the first step of the phase."""
    first = 0
    for phase, share in PHASES:
        last = steps if phase == PHASES[-1][0] else first + round(share * steps)
        if step < last:
            return phase, (step - first) / (last - first), first
        first = last
    raise ValueError(f"step {step} of {steps}")


class NoiseRun(SynthesisRun):
    """The three networks together. camera: the one that they correct, or None: they learn all of it.

    recipe: that of NoiseTraining.
    """

    def __init__(self, recipe: dict, device: str, camera: str | None = tables.PAPER_CAMERA):
        kinds = (cycleisp.Rgb2Raw, cycleisp.ColorBranch, cycleisp.Raw2Rgb)
        options = [size.get("size", {}) for size in sizes(recipe["network"], bool(camera))]
        super().__init__(
            lambda: nn.ModuleList([kind(**size) for kind, size in zip(kinds, options, strict=True)]), recipe, device
        )
        self.colours = cycleisp.camera_colours(camera) if camera else None
        # A correction is zero before training.
        for last in (self.net[0].tail[0], self.net[2].tail_rgb[0]) if camera else ():
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.net.to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam((p for p in self.net.parameters() if p.requires_grad), recipe["rate"])

    def advance(self, batch: raw_pairs.Batch) -> dict[str, float]:
        """One optimiser step, of the phase that it falls into. Raises Diverged."""
        phase, done, first = phase_of(self.step, self.recipe["steps"])
        rate = warmed_cosine(self.recipe["rate"], self.step - first, WARM_UP, done)
        return self.descend(rate, *loss(phase, self.net, self.colours, batch.to(self.device)))
