"""Losses as curves of Weights & Biases, where a project is named and the package is installed; no training needs it.

This alone uses the network, and only where it is asked for: with WANDB_MODE=offline everything stays in the folder
`wandb`, and `wandb sync` sends it later.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lolblur_synth.errors import UsageError
from lolblur_synth.training.tensorboard_log import Write


@contextlib.contextmanager
def scalars(project: str, out: Path, config: Any) -> Iterator[Write]:
    """A function that adds values by name to a new run of the project, at a step; without a project it does nothing.

    out: where the training writes; it names the run and its group, so that the parts of an interrupted training stay
    together. config: dataclass of the training's options. Raises UsageError where the package is missing, or where it
    cannot begin a run.
    """
    if not project:
        yield lambda step, values: None
        return
    try:
        import wandb

        begin = wandb.init
    except (ImportError, AttributeError) as error:  # a folder of its logs, `wandb`, can be imported as an empty package
        raise UsageError("wandb is not installed", 'pip install "lolblur-synth[wandb]"') from error
    try:
        run = begin(project=project, name=out.stem, group=out.stem, config=dataclasses.asdict(config),
                    settings=wandb.Settings(console="off"))  # fmt: skip
    except Exception as error:  # its own errors, and those of whatever lies below it
        message = " ".join(str(error).split())
        raise UsageError(f"--wandb {project}: {message}", "run `wandb login`, or set WANDB_MODE=offline") from error
    finished = False
    try:
        yield lambda step, values: run.log(values, step=step)
        finished = True
    finally:
        run.finish(exit_code=0 if finished else 1)
