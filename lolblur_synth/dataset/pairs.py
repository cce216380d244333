"""The pairs of a dataset as tensors, for any training loop: `lolblur_synth.PairDataset`.

Which folders hold them is told by pair_folders.py; which of them must not be trained on, by splits.py.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lolblur_synth.dataset.pair_folders import PAIR, Pair
from lolblur_synth.dataset.splits import gather
from lolblur_synth.errors import InputError
from lolblur_synth.files.images import read_image


class PairDataset(Dataset):
    """The pairs of one split as (low, high) tensors, (3, H, W) float32 display, 0..1, for any training loop.

    root: a built dataset or a LOL-Blur folder; pair: the two modalities. Pairs of the train split whose video is in
    another split as well are left out, with a warning. Raises InputError.
    """

    def __init__(self, root: str | Path, split: str = "train", pair: tuple[str, str] = PAIR):
        self.pairs = gather([Path(root)], split, pair)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return read_pair(self.pairs[index])


def read_pair(pair: Pair) -> tuple[Tensor, Tensor]:
    """The two frames, (3, H, W) float32 display, 0..1. Raises InputError where one is unreadable or sizes differ."""
    low, high = read_frame(pair.low), read_frame(pair.high)
    if low.shape != high.shape:
        sizes = " and ".join(f"{frame.shape[2]}x{frame.shape[1]}" for frame in (low, high))
        raise InputError(
            f"{pair.clip}/{pair.frame}: the two frames of the pair are {sizes}", "build the pair again", "size"
        )
    return low, high


def read_frame(path: Path) -> Tensor:
    """(3, H, W) float32 display, 0..1. Raises InputError with the whole path: every clip has a 0000.png."""
    try:
        return torch.from_numpy(read_image(path)).permute(2, 0, 1)
    except InputError as error:
        raise InputError(f"{path.parent}/{error}", error.hint, error.reason) from error
