"""Train FlowNet, the interpolation network (models/flow.py), on true frames between two frames.

Each term is a logarithm of a mean over one item, like PSNR, so that an easy item, where every method is good, counts as
much as a hard one. For a pair and each of its two instants

    1/2 log(mean (sample - true)^2) + 1/4 log(mean |gradient of the difference|) + 1/8 log(mean |flow - exact flow|)

The last term is for rendered scenes, whose flow is known. Differences are squared, because an exposure is a mean: where
the motion cannot be known, the best sample is the mean of what may be there, and that minimises squares.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth.files import atomic, weights
from lolblur_synth.kernels.exposure import reference
from lolblur_synth.models import flow
from lolblur_synth.training import interpolator_card, triplets
from lolblur_synth.training.cards import changed_numbers, made_by
from lolblur_synth.training.config import InterpolatorTraining, checked
from lolblur_synth.training.footage import gather
from lolblur_synth.training.loss_logs import logged
from lolblur_synth.training.run import Report, SynthesisRun, follow, warmed_cosine
from lolblur_synth.training.triplets import Batch

ERROR_FLOOR = 0.003  # display value; the logarithms hardly reward a smaller error
FLOW_ERROR_FLOOR = 0.1  # px; the same for the flow
GRADIENT_WEIGHT, FLOW_WEIGHT = 0.25, 0.125
WEIGHT_DECAY = 1e-4  # of AdamW
WARM_UP = 50  # steps
AVERAGE_DECAY = 0.995  # a step, of the averaged weights, which are the ones that are kept


def loss(net: flow.FlowNet, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of the weighted terms, and each of them by name, means over the batch; also `psnr`, dB, of the samples,
    which is reported and not minimised."""
    forward, backward, pair = net.refine(batch.first, batch.second, batch.forward, batch.backward)
    photometric, gradient, psnr = [], [], []
    for k in range(batch.times.shape[1]):
        t = batch.times[:, k, None, None, None]
        fused = net.fuse(pair, reference.carry(forward, backward, batch.bend, t), t)
        splines = batch.first_spline, batch.second_spline
        error = reference.render(batch.first, batch.second, splines, fused, t) - batch.targets[:, k]
        squared = error.square().mean((1, 2, 3))
        photometric.append(0.5 * (squared + ERROR_FLOOR**2).log())
        edges = 0.5 * (error.diff(dim=2).abs().mean((1, 2, 3)) + error.diff(dim=3).abs().mean((1, 2, 3)))
        gradient.append((edges + ERROR_FLOOR).log())
        psnr.append(-10 * torch.log10(squared.detach() + 1e-8))
    flow_error = 0.5 * (
        (forward[:, :2] - batch.true_forward).norm(dim=1, keepdim=True)
        + (backward[:, :2] - batch.true_backward).norm(dim=1, keepdim=True)
    )
    terms = {
        "photometric": torch.stack(photometric).mean(),
        "gradient": GRADIENT_WEIGHT * torch.stack(gradient).mean(),
        "flow": FLOW_WEIGHT * (batch.known * (flow_error.mean((1, 2, 3)) + FLOW_ERROR_FLOOR).log()).mean(),
    }
    return sum(terms.values()), terms | {"psnr": torch.stack(psnr).mean()}


def train_interpolator(
    photos: Sequence[str | Path],
    videos: Sequence[str | Path],
    out: str | Path,
    *,
    held_out: Sequence[str | Path] = (),
    report: Report | None = None,
    **options,
) -> dict:
    """Train from scratch, or go on where a checkpoint beside `out` was left; write the weights and their card.

    photos, videos  files or folders; stills of the videos serve as photographs too. One of the two may be empty
    held_out        videos never trained on: the card's figures are of these; without them it has none
    out             the .safetensors to write; the card is the same name with .md, the checkpoint with .checkpoint
    report          called after each step with its number and losses, for progress
    options         the fields of InterpolatorTraining. `start` may lack the blocks that add nothing before training

    Returns {"step", "sha256", "seconds", "losses", "figures"}. Same inputs and options, same weights, on the same kind
    of device with as many threads, however often it was interrupted. Raises InputError, UsageError, WeightsError,
    Diverged.
    """
    config, out = checked(InterpolatorTraining, options), Path(out)
    footage = gather(photos, videos, config.size, held_out)
    recipe = config.recipe(start=weights.sha256(config.start) if config.start else "",
                           files=sorted(sha256 for _, sha256 in footage.files))  # fmt: skip
    run, checkpoint = InterpolatorRun(recipe, config.device, config.start), out.with_suffix(".checkpoint")
    with logged(config, out, report) as log_and_report:
        run.train_with_checkpoints(
            lambda step: triplets.batch(footage, config.seed, step, config.batch_size, config.size, config.preset),
            min(config.steps, config.until or config.steps), checkpoint, config.checkpoint_every, log_and_report,
        )  # fmt: skip
    result = {"step": run.step, "seconds": round(run.seconds, 1), "losses": run.mean_losses(4)}
    result["sha256"] = weights.save(run.average, out, {"network": "FlowNet", "step": run.step, **recipe})
    result["figures"] = interpolator_card.figures(out, held_out)
    words = {"--photos": photos, "--videos": videos, "--held-out": held_out, "-o": out, "--steps": config.steps,
             "--until": config.until or None, "--seed": config.seed, "--preset": config.preset,
             "--start": config.start, "--device": config.device}  # fmt: skip
    command = made_by("train-interpolator", (), words, changed_numbers(config))
    card = interpolator_card.card_of(out.stem, footage, recipe, result, command, config.note)
    atomic.write(out.with_suffix(".md"), card.text().encode())
    checkpoint.unlink(missing_ok=True)
    return result


class InterpolatorRun(SynthesisRun):
    """With a running average of the weights, which is what is kept. recipe: that of InterpolatorTraining."""

    def __init__(self, recipe: dict, device: str, start: str | Path = ""):
        super().__init__(flow.FlowNet, recipe, device)
        if start:
            weights.load(self.net, start, optional=flow.DEEP)
        self.average = copy.deepcopy(self.net)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), recipe["rate"], weight_decay=WEIGHT_DECAY)

    def advance(self, batch: Batch) -> dict[str, float]:
        """One step of the optimiser, and one of the average. Raises Diverged."""
        rate = warmed_cosine(self.recipe["rate"], self.step, WARM_UP, self.step / self.recipe["steps"])
        terms = self.descend(rate, *loss(self.net, batch.to(self.device)))
        follow(self.average, self.net, min(AVERAGE_DECAY, self.step / (self.step + 10)))
        return terms

    def content(self) -> dict:
        return super().content() | {"average": self.average.state_dict()}

    def restore(self, content: dict) -> None:
        super().restore(content)
        self.average.load_state_dict(content["average"])
