"""What the trainings of the synthesis networks share: steps that go on where they were interrupted, and their cards.

Steps are functions of (seed, step), so that the same options give the same weights, however often a run was stopped.
Training LEDNet has more to it (several processes, validation, days): see lednet.py and checkpoint.py.
"""

import contextlib
import io
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lolblur_synth.errors import Diverged, UsageError
from lolblur_synth.files import atomic

CLIP = 1.0  # gradient norm
RECENT = 100  # steps whose losses the card averages

Report = Callable[[int, dict[str, float]], None]
Loss = Callable[..., tuple[Tensor, dict[str, float]]]  # the sum to minimise, and its terms


class Run:
    """What a training carries from step to step: network, optimiser, step, CPU seconds, the last losses.

    A subclass makes the optimiser and defines `advance`, one optimiser step on a batch; it calls `descend`.
    """

    optimiser: torch.optim.Optimizer

    def __init__(self, recipe: dict, network: Callable[[], nn.Module], device: str):
        self.recipe, self.device = recipe, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe["seed"])
            self.net = network().to(device)
        self.step, self.seconds, self.losses = 0, 0.0, []

    def advance(self, batch: Any) -> dict[str, float]:
        raise NotImplementedError

    def train(self, last: int, batch: Callable[[int], Any], checkpoint: Path, every: int, report: Report | None):
        """Go on to step `last` from where `checkpoint` was left, if it is there; write it each `every` steps."""
        if checkpoint.exists():
            self.resume(checkpoint)
        while self.step < last:
            begun = time.process_time()
            losses = self.advance(batch(self.step))
            self.seconds += time.process_time() - begun
            if report:
                report(self.step, losses)
            if self.step % every == 0 and self.step < last:
                self.save(checkpoint)

    def descend(self, rate: float, loss: Loss, *arguments) -> dict[str, float]:
        """One optimiser step down the gradient of `loss`; its terms. Raises Diverged where it is no number any more."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        total, terms = loss(*arguments)
        if not torch.isfinite(total):
            raise Diverged(f"the loss is {float(total)} at step {self.step}", "lower the learning rate")
        total.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), CLIP)
        self.optimiser.step()
        self.step += 1
        same = self.losses and self.losses[-1].keys() == terms.keys()
        self.losses = (self.losses if same else [])[1 - RECENT :] + [terms]
        return terms

    def recent(self, digits: int = 5) -> dict[str, float]:
        """Mean of the last steps' losses."""
        return {name: round(float(np.mean([terms[name] for terms in self.losses])), digits) for name in self.losses[0]}

    def content(self) -> dict:
        """What a checkpoint holds."""
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
            "recipe": json.dumps(self.recipe),
        }

    def restore(self, content: dict) -> None:
        self.net.load_state_dict(content["net"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.step, self.seconds, self.losses = content["step"], content["seconds"], content["losses"]

    def save(self, path: Path) -> None:
        buffer = io.BytesIO()
        torch.save(self.content(), buffer)
        atomic.write(path, buffer.getvalue())

    def resume(self, path: Path) -> None:
        """Raises UsageError: the checkpoint is damaged, or of another run."""
        try:
            content = torch.load(path, map_location=self.device, weights_only=True)
            same = content["recipe"] == json.dumps(self.recipe)
        except Exception as error:  # a damaged pickle may raise anything
            raise UsageError(f"{path}: not a readable checkpoint", "delete it to train from the start") from error
        if not same:
            raise UsageError(f"{path}: of a run with other options or inputs", "delete it, or repeat its options")
        self.restore(content)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within the block torch computes with one thread on a CPU: the same sums on every machine, whatever its cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def warmed_cosine(peak: float, step: int, warm_up: int, done: float) -> float:
    """The learning rate: up to `peak` in the first `warm_up` steps, and down to 0 as `done` goes from 0 to 1."""
    return peak * min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * done))


def sources(pictures: Iterable) -> list[tuple[str, str]]:
    """(file, sha256) of what pictures with `name` and `sha256` are from, each once; stills are "FILE frame N"."""
    return sorted({(picture.name.split(" frame ")[0], picture.sha256) for picture in pictures})


def trained_on(files: Iterable[tuple[str, str]], note: str) -> list[str]:
    """The end of a card, in lines of Markdown."""
    rows = (f"| {file} | {sha256} |" for file, sha256 in files)
    return ["## Trained on", "", *([note, ""] if note else []), "| file | sha256 |", "|---|---|", *rows, ""]
