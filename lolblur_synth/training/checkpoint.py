"""Checkpoints of trainings, and what train-lednet keeps in OUT: checkpoints/00001000.pt, the last three, log.csv, and
pictures/.

A checkpoint is a torch zip of plain tensors and numbers, written whole or not at all, read with `weights_only`. A
damaged one is recognised by its CRC sums; train-lednet then uses the one before it, with a warning.
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
from lolblur_synth.training import pictures
from lolblur_synth.training.tensorboard_log import is_log

CHECKPOINTS_KEPT = 3
log = logging.getLogger(__name__)


def claim(out: Path) -> None:
    """Make OUT, or refuse a folder that holds something else. Raises ForeignOutput."""
    ours = ("checkpoints", "log.csv", "lednet.safetensors", "frames-*")
    if out.exists() and (not out.is_dir() or any(not any(map(path.match, ours)) and not is_log(path) and not
                                                 (path.name == pictures.FOLDER and pictures.are_ours(path))
                                                 for path, _ in listing.entries(out))):  # fmt: skip
        raise ForeignOutput(f"{out} is not the output of a training", "use an empty or new folder")
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)


def save(folder: Path, iteration: int, state: dict) -> Path:
    """Write the checkpoint of an iteration, then drop all but the last three. Raises NoSpace; earlier ones stay."""
    path = folder / f"{iteration:08d}.pt"
    write(path, state)
    for old in _files(folder)[:-CHECKPOINTS_KEPT]:
        old.unlink(missing_ok=True)
    return path


def write(path: Path, state: dict) -> None:
    """Write tensors and numbers, whole or not at all. Raises NoSpace."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with full_disk_as_error(path):
        atomic.write(path, buffer.getvalue())


@contextlib.contextmanager
def full_disk_as_error(path: Path) -> Iterator[None]:
    """Within the block a full disk is a NoSpace, which names the file, not an OSError."""
    try:
        yield
    except OSError as error:
        raise_no_space(error, path)
        raise


def latest(folder: Path) -> dict | None:
    """The newest undamaged checkpoint, or None where there is none at all. Raises InputError where all are damaged."""
    files = _files(folder)
    for path in reversed(files):
        try:
            return load(path)
        except InputError as error:
            log.warning("%s; the checkpoint before it is used", error)
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
        raise InputError(f"{path}: not a readable checkpoint", "restore the file", "corrupt") from error


def refuse_other_training(out: Path, former: dict, identity: dict) -> None:
    """Raise ForeignOutput where a checkpoint in OUT is of another training than the one that is to go on.

    former, identity: the options and the hashes of the pairs, of the checkpoint and of this training.
    """
    if "frames" not in former:
        log.warning(
            "%s: an earlier version began this training and kept no hash of its frames; whether they were rebuilt "
            "since then is not known",
            out,
        )
        former = former | {"frames": identity["frames"]}
    differing = sorted(name for name, value in identity.items() if former.get(name) != value)
    if differing == ["frames"]:
        raise ForeignOutput(
            f"{out} holds a training on other frames: they have the same names, but were built or changed since",
            "train anew into another output folder, or restore the frames; "
            "--weights OUT/lednet.safetensors starts from what was learnt",
        )
    if differing:
        raise ForeignOutput(
            f"{out} holds a training with another {', '.join(differing)}",
            "use the same options and data, or another output folder",
        )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.pt"))


class Log:
    """log.csv. A run that is resumed first drops the rows that it will write again."""

    FIELDS = (
        "iteration",
        "lr",
        "loss",
        "l1",
        "matched",
        "fft",
        "ssim",
        "perceptual",
        "side_l1",
        "side_perceptual",
        "val_psnr_rgb",
    )

    def __init__(self, path: Path, iteration: int):
        self.path = path
        rows = []
        if path.is_file():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if _is_whole(row) and int(row["iteration"]) <= iteration]
        kept = io.StringIO(newline="")
        writer = csv.DictWriter(kept, self.FIELDS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        with full_disk_as_error(path):
            atomic.write(path, kept.getvalue().encode())

    def add(self, iteration: int, lr: float, terms: dict[str, float], psnr: float | None) -> None:
        values = {"iteration": iteration, "lr": lr, "val_psnr_rgb": psnr} | terms
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.FIELDS).writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()}
            )


def _is_whole(row: dict) -> bool:
    """Not one that a kill or a full disk cut short."""
    return (row["iteration"] or "").isdigit() and None not in row.values()
