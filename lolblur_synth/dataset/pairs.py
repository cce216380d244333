"""The pairs of a dataset as tensors, for any training loop: `lolblur_synth.PairDataset`.

Which folders hold them is told by pair_folders.py; which of them must not be trained on, by splits.py; online_pairs.py
draws defocus and noise anew.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lolblur_synth import draw
from lolblur_synth.dataset import manifest
from lolblur_synth.dataset.pair_folders import PAIR, Pair, split_name
from lolblur_synth.dataset.splits import gather
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files.images import read_image

Transform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class PairDataset(Dataset):
    """The pairs of one split as (low, high) tensors, (3, H, W) float32 display, 0..1, for any training loop.

    root         a built dataset or a LOL-Blur folder
    split        "train", "test", …; pairs of the train split whose video is in another split as well are left out, with
                 a warning
    pair         the two folders, input and ground truth
    crop         side of a square, or (height, width), px; the same part of both frames. In the train split it is drawn
                 for each index and epoch, in other splits it is the middle
    transform    (low, high) -> (low, high), after the crop
    return_meta  items are (low, high, meta): a dict of texts and numbers that a DataLoader can collate: `index`,
                 `clip`, `frame`, `low` and `high` (paths), and `record`, the line of manifest.jsonl as JSON, "" where
                 there is none
    seed         of the crops

    Item n of an epoch is a function of (seed, epoch, n), whatever the number of loader workers; `set_epoch` begins
    another one, and persistent workers see it. Raises InputError, also for frames that are smaller than the crop.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        pair: tuple[str, str] = PAIR,
        crop: int | tuple[int, int] | None = None,
        transform: Transform | None = None,
        return_meta: bool = False,
        seed: int = 0,
    ):
        self.pairs = gather([Path(root)], split, pair)
        self.crop = (crop, crop) if isinstance(crop, int) else crop
        if self.crop is not None and min(self.crop) < 1:
            raise UsageError(f"crop = {crop}: not a size", "give the side of a square, or (height, width), px")
        self.transform, self.return_meta, self.seed = transform, return_meta, seed
        self.in_the_middle = (split_name(split) or split) != "train"
        self.records = _records(self.pairs) if return_meta else {}
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # shared, so that running workers see it change

    def set_epoch(self, epoch: int) -> None:
        """Another epoch: other crops of the same pairs. Call it before the loader is iterated."""
        self.epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        index = range(len(self.pairs))[index]  # -1 is the last one; past the end is an IndexError
        pair = self.pairs[index]
        low, high = read_pair(pair)
        if self.crop is not None:
            low, high = self._crop(pair, index, low, high)
        low, drawn = self.degrade(low, f"epoch-{int(self.epoch)}-{index}")
        if self.transform is not None:
            low, high = self.transform(low, high)
        if not self.return_meta:
            return low, high
        meta = {"index": index, "clip": pair.clip, "frame": pair.frame, "low": str(pair.low), "high": str(pair.high)}
        return low, high, meta | {"record": self.records.get(pair.low, "")} | drawn

    def degrade(self, low: Tensor, unit: str) -> tuple[Tensor, dict[str, str]]:
        """The input of a sample, and more entries of its meta. unit: names the sample, for draws. Here: as it is."""
        return low, {}

    def _crop(self, pair: Pair, index: int, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        assert self.crop is not None
        (height, width), (rows, columns) = self.crop, low.shape[1:]
        if rows < height or columns < width:
            message = f"{pair.clip}/{pair.frame}: {columns}x{rows} is smaller than the crop of {width}x{height}"
            raise InputError(message, "choose a smaller crop", "size")
        top, left = (rows - height) // 2, (columns - width) // 2
        if not self.in_the_middle:
            rng = draw.rng(self.seed, "pairs", f"epoch-{int(self.epoch)}-{index}", "crop")
            top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
        part = (slice(None), slice(top, top + height), slice(left, left + width))
        return low[part].contiguous(), high[part].contiguous()


def _records(pairs: list[Pair]) -> dict[Path, str]:
    """The lines of the manifests of built datasets, as JSON, by the file of the input."""
    homes = {pair.low.parents[3] for pair in pairs if len(pair.low.parents) > 3}
    lines = {(home, record["split"], *record["pair"].split("/")): json.dumps(record) for home in sorted(homes)
             if (home / manifest.NAME).is_file() for record in manifest.read(home)}  # fmt: skip
    names = {pair.low: (pair.low.parents[3], pair.low.parents[2].name, pair.clip, pair.frame) for pair in pairs
             if len(pair.low.parents) > 3}  # fmt: skip
    return {path: lines[name] for path, name in names.items() if name in lines}


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
