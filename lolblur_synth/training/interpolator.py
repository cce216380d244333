"""Train FlowNet, the interpolation network (models/flow.py), on true frames between two frames.

Each term is a logarithm of a mean over one item, so that an easy item, where every method is good, counts as much as a
hard one: PSNR is a logarithm as well. For a pair and its two instants

    1/2 log(mean (sample - true)^2) + 1/4 log(mean |gradient of it|) + 1/8 log(mean |flow - exact flow|)

the last where the flow is known, in rendered scenes. Squares, not absolute differences, because an exposure is a mean:
where the motion cannot be known, the mean of what may be there is right.
"""

import io
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import weights, whole
from lolblur_synth.errors import UsageError
from lolblur_synth.models import flow, warping
from lolblur_synth.training import interpolator_card, triplets
from lolblur_synth.training.triplets import Batch

FLOOR, FLOW_FLOOR = 0.003, 0.1  # below which an error is as good as none: display value, pixels
GRADIENT_WEIGHT, FLOW_WEIGHT = 0.25, 0.125
CLIP = 1.0  # gradient norm
WARM_UP = 50  # steps
AVERAGE = 0.995  # of the weights that are kept, a step


def loss(net: flow.FlowNet, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """The three terms and their weighted sum, means over the batch; `psnr`, dB, of the samples beside them."""
    forward, backward, pair = net.refine(batch.first, batch.second, batch.forward, batch.backward)
    photometric, gradient, psnr = [], [], []
    for k in range(batch.times.shape[1]):
        t = batch.times[:, k, None, None, None]
        fused = net.fuse(pair, warping.carry(forward, backward, t), t)
        splines = batch.first_spline, batch.second_spline
        error = flow.sample(batch.first, batch.second, splines, fused, t) - batch.targets[:, k]
        squared = error.square().mean((1, 2, 3))
        photometric.append(0.5 * (squared + FLOOR**2).log())
        edges = 0.5 * (error.diff(dim=2).abs().mean((1, 2, 3)) + error.diff(dim=3).abs().mean((1, 2, 3)))
        gradient.append((edges + FLOOR).log())
        psnr.append(-10 * torch.log10(squared.detach() + 1e-8))
    wrong = 0.5 * ((forward[:, :2] - batch.true_forward).norm(dim=1, keepdim=True)
                   + (backward[:, :2] - batch.true_backward).norm(dim=1, keepdim=True))
    terms = {
        "photometric": torch.stack(photometric).mean(),
        "gradient": GRADIENT_WEIGHT * torch.stack(gradient).mean(),
        "flow": FLOW_WEIGHT * (batch.known * (wrong.mean((1, 2, 3)) + FLOW_FLOOR).log()).mean(),
    }
    return sum(terms.values()), {name: float(term.detach()) for name, term in terms.items()} | {
        "psnr": float(torch.stack(psnr).mean())}


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
    device: str = "cpu",
    checkpoint_every: int = 50,
    note: str = "",
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> dict:
    """Train from scratch, or go on where a checkpoint beside `out` was left; write the weights and their card.

    photos, videos    files or folders; stills of the videos serve as photographs too. One of the two may be empty
    held_out          videos never trained on: the card's figures are of these; without them it has none
    out               the .safetensors to write; the card is the same name with .md, the checkpoint with .checkpoint
    steps             optimiser steps; rate: peak learning rate of AdamW, warmed up, then a cosine to 0
    until             stop after this step of them and keep the average up to there; it is not bad, only less settled
    size, batch_size  items of size x size pixels, so many a step
    note              text for the card, such as the origin and licence of the footage
    report            called after each step with its number and losses, for progress

    Returns {"step", "sha256", "seconds", "losses", "figures"}. Same inputs and options, same weights, on the same kind
    of device with as many threads, however often it was interrupted. Raises InputError, UsageError.
    """
    out = Path(out)
    footage = triplets.gather(photos, videos, size)
    recipe = {"steps": steps, "seed": seed, "size": size, "batch_size": batch_size, "rate": rate,
              "files": sorted(sha256 for _, sha256 in footage.files)}
    state = _State(recipe, device)
    checkpoint = out.with_suffix(".checkpoint")
    if checkpoint.exists():
        state.resume(checkpoint)
    last = min(steps, until or steps)
    while state.step < last:
        begun = time.process_time()
        losses = state.advance(triplets.batch(footage, seed, state.step, batch_size, size))
        state.seconds += time.process_time() - begun
        if report:
            report(state.step, losses)
        if state.step % checkpoint_every == 0 and state.step < last:
            state.save(checkpoint)
    result = {"step": state.step, "seconds": round(state.seconds, 1), "losses": state.recent()}
    result["sha256"] = weights.save(state.averaged(), out, {"network": "FlowNet", "step": state.step, **recipe})
    result["figures"] = interpolator_card.figures(out, held_out)
    whole.write(out.with_suffix(".md"), interpolator_card.text(out.stem, footage, recipe, result, note).encode())
    checkpoint.unlink(missing_ok=True)
    return result


class _State:
    """What a run carries from step to step: network, its running average, optimiser, step, CPU seconds, last losses."""

    def __init__(self, recipe: dict, device: str):
        self.recipe, self.device = recipe, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe["seed"])
            self.net = flow.FlowNet().to(device)
        self.average = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), recipe["rate"], weight_decay=1e-4)
        self.step, self.seconds, self.losses = 0, 0.0, []

    def advance(self, batch: Batch) -> dict[str, float]:
        """One optimiser step. Raises UsageError where the loss is no number any more."""
        done = self.step / self.recipe["steps"]
        warm = min(1.0, (self.step + 1) / WARM_UP)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe["rate"] * warm * 0.5 * (1 + math.cos(math.pi * done))
        self.optimiser.zero_grad()
        total, terms = loss(self.net, batch.to(self.device))
        if not torch.isfinite(total):
            raise UsageError(f"the loss is {float(total)} at step {self.step}", "lower the learning rate")
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, self.step / (self.step + 10))
        for name, value in self.net.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        self.losses = (self.losses + [terms])[-100:]
        return terms

    def recent(self) -> dict[str, float]:
        """Mean of the last 100 steps' losses."""
        return {name: round(float(np.mean([terms[name] for terms in self.losses])), 4) for name in self.losses[0]}

    def averaged(self) -> flow.FlowNet:
        net = flow.FlowNet()
        net.load_state_dict(self.average)
        return net

    def save(self, path: Path) -> None:
        content = {"net": self.net.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict(),
                   "step": self.step, "seconds": self.seconds, "losses": self.losses,
                   "recipe": json.dumps(self.recipe)}
        buffer = io.BytesIO()
        torch.save(content, buffer)
        whole.write(path, buffer.getvalue())

    def resume(self, path: Path) -> None:
        try:
            content = torch.load(path, map_location=self.device, weights_only=True)
            same = content["recipe"] == json.dumps(self.recipe)
        except Exception as error:  # a damaged pickle may raise anything
            raise UsageError(f"{path}: not a readable checkpoint", "delete it to train from the start") from error
        if not same:
            raise UsageError(f"{path}: of a run with other options or footage", "delete it, or repeat its options")
        self.net.load_state_dict(content["net"])
        self.average = content["average"]
        self.optimiser.load_state_dict(content["optimiser"])
        self.step, self.seconds, self.losses = content["step"], content["seconds"], content["losses"]
