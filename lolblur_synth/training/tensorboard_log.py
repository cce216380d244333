"""Losses as curves in a tensorboard log, where the package is installed; no training needs it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from lolblur_synth.errors import UsageError
from lolblur_synth.files import listing

EVENTS = "events.out.tfevents"  # begins the names of the files of a log
Write = Callable[[int, dict[str, float]], None]


@contextlib.contextmanager
def scalars(folder: str | Path | None, first: int | None = None) -> Iterator[Write]:
    """A function that adds values by name to the log in `folder`, at a step; without a folder it does nothing.

    first: the step from which a run goes on; what an earlier log holds from there on is no longer shown.
    Raises UsageError where the package is missing or the folder cannot be written.
    """
    if not folder:
        yield lambda step, values: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("tensorboard is not installed", 'pip install "lolblur-synth[train]"') from error
    try:
        writer = SummaryWriter(str(folder), purge_step=first)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}", "name a folder for the tensorboard log") from error
    with writer:

        def write(step: int, values: dict[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield write


def is_log(path: Path) -> bool:
    """Whether a folder is a tensorboard log, and nothing else is in it."""
    files = [entry for entry in listing.walk(path) if entry.kind != listing.FOLDER] if path.is_dir() else []
    return bool(files) and all(entry.path.name.startswith(EVENTS) for entry in files)
