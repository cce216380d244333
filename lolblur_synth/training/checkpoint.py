"""What a training leaves: OUT/checkpoints/00001000.pt, whole or not at all, the last three kept; and OUT/log.csv.

A checkpoint is a torch zip of plain tensors and numbers, read with `weights_only`. A damaged one is told by its CRC
sums; the one before it is used instead, and the log says so.
"""

import contextlib
import csv
import io
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from lolblur_synth.dataset.layout import raise_no_space
from lolblur_synth.errors import ForeignOutput, InputError
from lolblur_synth.files import atomic, listing
from lolblur_synth.training.tensorboard_log import is_log

KEEP = 3
log = logging.getLogger(__name__)


def claim(out: Path) -> None:
    """Make OUT, or refuse a folder that holds something else. Raises ForeignOutput."""
    ours = {"checkpoints", "log.csv", "lednet.safetensors"}
    if out.exists() and (not out.is_dir() or any(path.name not in ours and not is_log(path)
                                                 for path, _ in listing.entries(out))):  # fmt: skip
        raise ForeignOutput(f"{out} is not the output of a training", "use an empty or new folder")
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)


def save(folder: Path, iteration: int, state: dict) -> Path:
    """Write the checkpoint of an iteration, then drop all but the last three. Raises NoSpace; earlier ones stay."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path = folder / f"{iteration:08d}.pt"
    with disk_full_told(path):
        atomic.write(path, buffer.getvalue())
    for old in _files(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def disk_full_told(path: Path) -> Iterator[None]:
    """Within the block a full disk is the user's NoSpace, not an OSError."""
    try:
        yield
    except OSError as error:
        raise_no_space(error, path)
        raise


def latest(folder: Path) -> dict | None:
    """The newest sound checkpoint, or None where there is none at all. Raises InputError where all are damaged."""
    files = _files(folder)
    for path in reversed(files):
        try:
            return load(path)
        except InputError as error:
            log.warning("%s; falling back to the checkpoint before it", error)
    if files:
        raise InputError(f"{folder}: all checkpoints are damaged", "start again with another --out", "corrupt")
    return None


def load(path: Path) -> dict:
    """One checkpoint, on the CPU. Raises InputError where it is damaged, or holds anything but tensors and numbers."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise InputError(f"{path}: {damaged} is damaged", "restore the file", "corrupt")
        return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # a damaged or hostile pickle may raise anything
        raise InputError(f"{path}: not a sound checkpoint", "restore the file", "corrupt") from error


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.pt"))


class Log:
    """log.csv, one row every so often; rows that a resumed run will write again are dropped first."""

    FIELDS = ("iteration", "lr", "loss", "l1", "perceptual", "side_l1", "side_perceptual", "val_psnr_rgb")

    def __init__(self, path: Path, iteration: int):
        self.path = path
        rows = []
        if path.is_file():
            with path.open(newline="") as file:
                rows = [
                    row
                    for row in csv.DictReader(file)
                    if (row["iteration"] or "0").isdigit() and int(row["iteration"]) <= iteration
                ]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.FIELDS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def add(self, iteration: int, lr: float, terms: dict[str, float], psnr: float | None) -> None:
        values = {"iteration": iteration, "lr": lr, "val_psnr_rgb": psnr} | terms
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.FIELDS).writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()}
            )
