"""The frames of a training: read from their files, or decoded once into one file that all processes map into memory.

Decoding PNGs takes a fifth of a step on a CPU. frames-HASH.u8 holds the frames one after another, (3, H, W) uint8,
frames-HASH.npy their sizes; HASH tells what the files held. They are written whole or not at all, and may be deleted
when the training is over.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lolblur_synth.dataset.pairs import read_frame
from lolblur_synth.training.checkpoint import full_disk_as_error


def path(folder: Path, content: str) -> Path:
    """Of the store in a folder; content: hash of what the frames hold."""
    return folder / f"frames-{content[:16]}.u8"


class FrameFiles:
    """The frames of each sample, (3, H, W) float32 display, read from their files each time.

    samples: the files of each sample, as many for each, whose frames are of one size.
    """

    def __init__(self, samples: Sequence[Sequence[Path]]):
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(map(read_frame, self.samples[index]))


class FrameStore:
    """The same, (3, H, W) uint8, from the files that `write` made."""

    def __init__(self, store: Path, frames_each: int):
        self.sizes, self.each = np.load(store.with_suffix(".npy")), frames_each
        self.starts = np.concatenate(([0], np.cumsum(3 * self.sizes.prod(1) * frames_each)))
        self.bytes = np.memmap(store, np.uint8, "r")

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        height, width = self.sizes[index]
        held = self.bytes[self.starts[index] : self.starts[index + 1]].reshape(self.each, 3, height, width)
        return tuple(torch.from_numpy(frame.copy()) for frame in held)


def as_display(frame: Tensor) -> Tensor:
    """uint8 or display values -> float32 display values, 0..1."""
    return frame.float().div_(255) if frame.dtype == torch.uint8 else frame


def write(store: Path, samples: Sequence[Sequence[Path]], report: Callable[[], None] | None = None) -> None:
    """Decode the frames of all samples into `store`; `report` is called after each sample.

    Frames of 16 bits lose 8. Raises InputError where a frame is unreadable, NoSpace.
    """
    partial, sizes = store.with_suffix(".partial"), []
    with full_disk_as_error(partial), partial.open("wb") as file:
        for frames in map(FrameFiles(samples).__getitem__, range(len(samples))):
            for frame in frames:
                file.write(frame.mul(255).round_().to(torch.uint8).numpy().tobytes())
            sizes.append(frames[0].shape[1:])
            if report:
                report()
        np.save(store.with_suffix(".npy"), np.array(sizes, np.int64))
    os.replace(partial, store)
