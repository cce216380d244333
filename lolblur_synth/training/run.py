"""A training, whatever is trained: the loop, one step of the optimiser, and how a run goes on after an interruption.

`Run` is the base of all four trainings (lednet.py, darken.py, interpolator.py, noise.py). Batches and learning rates
are functions of (seed, step) alone, so that the same options give the same weights, however often a run was stopped.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lolblur_synth.errors import Diverged, InputError, UsageError
from lolblur_synth.training import checkpoint

LARGEST_NORM = 1.0  # of the gradient; a larger one is scaled down to it
AVERAGED_STEPS = 100  # the card gives the mean of the losses of so many last steps

Report = Callable[[int, dict[str, float]], None]  # called after each step with its number and its losses


class Run:
    """A network on its way: its weights, its optimiser, and the number of steps done.

    A subclass sets `optimiser` and defines `advance`, one optimiser step on a batch, which calls `descend`.
    """

    optimiser: torch.optim.Optimizer
    largest_norm: float = LARGEST_NORM
    on_divergence = "lower the learning rate"  # what to do; the hint of Diverged

    def __init__(self, network: Callable[[], nn.Module], seed: int, device: str | torch.device):
        """network: makes the network, from first weights that depend on the seed alone."""
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = network().to(self.device)
        self.step, self.stopping = 0, False

    def advance(self, batch: Any) -> dict[str, float]:
        """One optimiser step. Returns its losses by name; sets `stopping` to end the run after it."""
        raise NotImplementedError

    def checkpoint_is_due(self) -> bool:
        return False

    def validate(self) -> None:
        """Measure what the report of a step with a checkpoint tells."""

    def save(self) -> None:
        """Write what `resume` needs."""

    def train(self, batches: Iterable, last: int, report: Report | None = None) -> None:
        """From the step that is reached to step `last`; batches: one for each step between them, in their order."""
        for batch in batches:
            losses = self.advance(batch)
            done = self.stopping or self.step == last
            due = done or self.checkpoint_is_due()
            if due:
                self.validate()
            if report:  # before the checkpoint, after which a step that was not reported would be missing for good
                report(self.step, losses)
            if due:
                self.save()
            if done:
                break

    def descend(self, rate: float, loss: Tensor, terms: dict[str, Tensor]) -> dict[str, float]:
        """One step down the gradient of `loss` at a learning rate. Returns the terms of the loss as numbers.

        Raises Diverged where a term or the norm of the gradient is not finite; the weights are then left as they were.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.largest_norm)
        *values, norm = self.over_processes([*(term.detach() for term in terms.values()), norm])
        if not all(map(math.isfinite, (*values, norm))):
            raise Diverged(f"the loss is not finite after step {self.step}; earlier checkpoints are kept",
                           self.on_divergence)  # fmt: skip
        self.optimiser.step()
        self.step += 1
        return dict(zip(terms, values, strict=True))

    def over_processes(self, values: Sequence[Tensor]) -> list[float]:
        """The mean of each value over the processes of the training; here there is one process."""
        return torch.stack(tuple(values)).tolist()


class SynthesisRun(Run):
    """The training of a network that the synthesis uses: minutes to hours in one process, one checkpoint file.

    recipe: everything that decides the weights; a checkpoint of another recipe is refused.
    """

    def __init__(self, network: Callable[[], nn.Module], recipe: dict, device: str):
        super().__init__(network, recipe["seed"], device)
        self.recipe = recipe
        self.seconds, self.losses = 0.0, []  # CPU time of the whole training; the terms of the last steps

    def train_with_checkpoints(self, batch: Callable[[int], Any], last: int, path: Path, every: int,
                               report: Report | None = None) -> None:  # fmt: skip
        """`train`, from where the checkpoint at `path` was left, if there is one; it is written each `every` steps.

        batch: the batch of a step, by its number.
        """
        self.path, self.every = path, every
        if path.exists():
            self.resume()
        self.begun = time.process_time() - self.seconds
        self.train((batch(step) for step in range(self.step, last)), last, report)

    def checkpoint_is_due(self) -> bool:
        return self.step % self.every == 0

    def descend(self, rate: float, loss: Tensor, terms: dict[str, Tensor]) -> dict[str, float]:
        values = super().descend(rate, loss, terms)
        same = self.losses and self.losses[-1].keys() == values.keys()  # else another phase has begun
        self.losses = (self.losses if same else [])[1 - AVERAGED_STEPS :] + [values]
        return values

    def mean_losses(self, digits: int = 5) -> dict[str, float]:
        """Mean of each term over the last AVERAGED_STEPS steps."""
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

    def save(self) -> None:
        self.seconds = time.process_time() - self.begun
        checkpoint.write(self.path, self.content())

    def resume(self) -> None:
        """Go on from the checkpoint. Raises UsageError where it is damaged, or of another run."""
        try:
            content = checkpoint.load(self.path)
            same = content["recipe"] == json.dumps(self.recipe)
        except (InputError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path}: not a readable checkpoint", "delete it to train from the start") from error
        if not same:
            raise UsageError(f"{self.path}: of a run with other options or inputs", "delete it, or repeat its options")
        self.restore(content)


def follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move averaged weights towards those of a network: average <- decay average + (1 - decay) net."""
    with torch.no_grad():
        get_ema_multi_avg_fn(decay)(list(average.parameters()), list(net.parameters()), None)


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
