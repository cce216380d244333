"""The logs of a training that its options ask for, beside its own files: tensorboard's, Weights & Biases'."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lolblur_synth.training import tensorboard_log, wandb_log
from lolblur_synth.training.config import LednetConfig, SynthesisTraining
from lolblur_synth.training.run import Report
from lolblur_synth.training.tensorboard_log import Write


@contextlib.contextmanager
def loss_logs(config: LednetConfig | SynthesisTraining, out: Path, first: int | None = None) -> Iterator[Write]:
    """A function that adds values by name to each log that is asked for, at a step. Raises UsageError.

    first: the step from which a run goes on, for tensorboard.
    """
    with (
        tensorboard_log.scalars(config.tensorboard, first) as to_tensorboard,
        wandb_log.scalars(config.wandb, out, config) as to_wandb,
    ):

        def write(step: int, values: dict[str, float]) -> None:
            to_tensorboard(step, values)
            to_wandb(step, values)

        yield write


@contextlib.contextmanager
def logged(config: SynthesisTraining, out: Path, report: Report | None) -> Iterator[Report]:
    """`report` for the training of a synthesis network, which writes the losses to the logs as well."""
    with loss_logs(config, out) as write:

        def log_and_report(step: int, losses: dict[str, float]) -> None:
            write(step, {f"loss/{name}": value for name, value in losses.items()})
            if report:
                report(step, losses)

        yield log_and_report
