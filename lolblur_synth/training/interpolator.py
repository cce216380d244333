"""Train FlowNet, the interpolation network (models/flow.py), on true frames between two frames.

Each term is a logarithm of a mean over one item, so that an easy item, where every method is good, counts as much as a
hard one: PSNR is a logarithm as well. For a pair and its two instants

    1/2 log(mean (sample - true)^2) + 1/4 log(mean |gradient of it|) + 1/8 log(mean |flow - exact flow|)

the last where the flow is known, in rendered scenes. Squares, not absolute differences, because an exposure is a mean:
where the motion cannot be known, the mean of what may be there is right.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth.files import atomic, weights
from lolblur_synth.kernels.exposure import reference
from lolblur_synth.models import flow
from lolblur_synth.training import interpolator_card, triplets
from lolblur_synth.training.cards import in_python, made_by
from lolblur_synth.training.run import Report, Run, warmed_cosine
from lolblur_synth.training.triplets import Batch

FLOOR, FLOW_FLOOR = 0.003, 0.1  # below which an error is as good as none: display value, pixels
GRADIENT_WEIGHT, FLOW_WEIGHT = 0.25, 0.125
WARM_UP = 50  # steps
AVERAGE = 0.995  # of the weights that are kept, a step


def loss(net: flow.FlowNet, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """The three terms and their weighted sum, means over the batch; `psnr`, dB, of the samples beside them."""
    forward, backward, pair = net.refine(batch.first, batch.second, batch.forward, batch.backward)
    photometric, gradient, psnr = [], [], []
    for k in range(batch.times.shape[1]):
        t = batch.times[:, k, None, None, None]
        fused = net.fuse(pair, reference.carry(forward, backward, batch.bend, t), t)
        splines = batch.first_spline, batch.second_spline
        error = reference.render(batch.first, batch.second, splines, fused, t) - batch.targets[:, k]
        squared = error.square().mean((1, 2, 3))
        photometric.append(0.5 * (squared + FLOOR**2).log())
        edges = 0.5 * (error.diff(dim=2).abs().mean((1, 2, 3)) + error.diff(dim=3).abs().mean((1, 2, 3)))
        gradient.append((edges + FLOOR).log())
        psnr.append(-10 * torch.log10(squared.detach() + 1e-8))
    wrong = 0.5 * (
        (forward[:, :2] - batch.true_forward).norm(dim=1, keepdim=True)
        + (backward[:, :2] - batch.true_backward).norm(dim=1, keepdim=True)
    )
    terms = {
        "photometric": torch.stack(photometric).mean(),
        "gradient": GRADIENT_WEIGHT * torch.stack(gradient).mean(),
        "flow": FLOW_WEIGHT * (batch.known * (wrong.mean((1, 2, 3)) + FLOW_FLOOR).log()).mean(),
    }
    return sum(terms.values()), {name: float(term.detach()) for name, term in terms.items()} | {
        "psnr": float(torch.stack(psnr).mean())
    }


def train_interpolator(
    photos: Sequence[str | Path],
    videos: Sequence[str | Path],
    out: str | Path,
    *,
    held_out: Sequence[str | Path] = (),
    steps: int = 1100,
    until: int | None = None,
    seed: int = 0,
    size: int = 160,
    batch_size: int = 4,
    rate: float = 1e-3,
    start: str | Path = "",
    preset: str = "fine",
    device: str = "cpu",
    checkpoint_every: int = 50,
    note: str = "",
    report: Report | None = None,
) -> dict:
    """Train from scratch, or go on where a checkpoint beside `out` was left; write the weights and their card.

    photos, videos    files or folders; stills of the videos serve as photographs too. One of the two may be empty
    held_out          videos never trained on: the card's figures are of these; without them it has none
    out               the .safetensors to write; the card is the same name with .md, the checkpoint with .checkpoint
    steps             optimiser steps; rate: peak learning rate of AdamW, warmed up, then a cosine to 0
    start             weights to start from, a file or a bundled name, instead of random ones; they may lack the blocks
                      that are nothing before training
    preset            of the search of motion that is to be corrected, see interpolate.PRESETS
    until             stop after this step of them and keep the average up to there; it is not bad, only less settled
    size, batch_size  items of size x size pixels, so many a step
    note              text for the card, such as the origin and licence of the footage
    report            called after each step with its number and losses, for progress

    Returns {"step", "sha256", "seconds", "losses", "figures"}. Same inputs and options, same weights, on the same kind
    of device with as many threads, however often it was interrupted. Raises InputError, UsageError.
    """
    out = Path(out)
    footage = triplets.gather(photos, videos, size, held_out)
    recipe = {
        "steps": steps,
        "seed": seed,
        "size": size,
        "batch_size": batch_size,
        "rate": rate,
        "preset": preset,
        "start": weights.sha256(str(start)) if start else "",
        "files": sorted(of for _, of in footage.files),
    }
    state, checkpoint = _State(recipe, device, start), out.with_suffix(".checkpoint")
    state.train(
        min(steps, until or steps), lambda step: triplets.batch(footage, seed, step, batch_size, size, preset),
        checkpoint, checkpoint_every, report,
    )  # fmt: skip
    result = {"step": state.step, "seconds": round(state.seconds, 1), "losses": state.recent(4)}
    result["sha256"] = weights.save(state.averaged(), out, {"network": "FlowNet", "step": state.step, **recipe})
    result["figures"] = interpolator_card.figures(out, held_out)
    words = {
        "--photos": photos,
        "--videos": videos,
        "--held-out": held_out,
        "-o": out,
        "--steps": steps,
        "--until": until,
        "--seed": seed,
        "--preset": preset,
        "--start": start,
        "--device": device,
    }
    command = made_by("train-interpolator", (), words, in_python(train_interpolator, recipe))
    card = interpolator_card.text(out.stem, footage, recipe, result, command, note)
    atomic.write(out.with_suffix(".md"), card.encode())
    checkpoint.unlink(missing_ok=True)
    return result


class _State(Run):
    """With a running average of the weights, which is what is kept."""

    def __init__(self, recipe: dict, device: str, start: str | Path = ""):
        super().__init__(recipe, flow.FlowNet, device)
        if start:
            weights.load(self.net, start, optional=flow.DEEP)
        self.average = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), recipe["rate"], weight_decay=1e-4)

    def advance(self, batch: Batch) -> dict[str, float]:
        """One optimiser step, and one of the average. Raises Diverged."""
        rate = warmed_cosine(self.recipe["rate"], self.step, WARM_UP, self.step / self.recipe["steps"])
        terms = self.descend(rate, loss, self.net, batch.to(self.device))
        keep = min(AVERAGE, self.step / (self.step + 10))
        for name, value in self.net.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        return terms

    def averaged(self) -> flow.FlowNet:
        net = flow.FlowNet()
        net.load_state_dict(self.average)
        return net

    def content(self) -> dict:
        return super().content() | {"average": self.average}

    def restore(self, content: dict) -> None:
        super().restore(content)
        self.average = content["average"]
