"""Pairs of frames for LEDNet, from a dataset built here or from another one (pairs.py says which layouts are read).

Sample n of a training is a pure function of (seed, n): which pair, which crop, which flips. A training resumed at any
iteration, on any number of processes and loader workers, therefore sees the same samples.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from lolblur_synth.draw import rng
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files.images import read_image
from lolblur_synth.frames import to_display, to_linear
from lolblur_synth.models.lednet import exposure_gain
from lolblur_synth.recipe.schema import DefocusConfig, NoiseConfig
from lolblur_synth.stages import defocus, noise
from lolblur_synth.training.pairs import PAIR, Pair, find_pairs, pair_names
from lolblur_synth.training.sources import content_hash, gather, hold_out

__all__ = ["PAIR", "Crops", "Pair", "PairDataset", "batches", "content_hash", "find_pairs", "gather", "hold_out",
           "online", "pair_names", "read_frame", "read_pair"]  # fmt: skip
ZOOM = (0.7, 1.5)  # of crops that vary
Degrade = Callable[[Tensor, np.random.Generator], Tensor]


def read_frame(path: Path) -> Tensor:
    """(3, H, W) float32 display, 0..1. Raises InputError with the whole path: every clip has a 0000.png."""
    try:
        return torch.from_numpy(read_image(path)).permute(2, 0, 1)
    except InputError as error:
        raise InputError(f"{path.parent}/{error}", error.hint, error.reason) from error


def read_pair(pair: Pair) -> tuple[Tensor, Tensor]:
    """The two frames, (3, H, W) float32 display, 0..1. Raises InputError where one is unreadable or sizes differ."""
    low, high = read_frame(pair.low), read_frame(pair.high)
    if low.shape != high.shape:
        sizes = " and ".join(f"{frame.shape[2]}x{frame.shape[1]}" for frame in (low, high))
        raise InputError(
            f"{pair.clip}/{pair.frame}: the two frames of the pair are {sizes}", "build the pair again", "size"
        )
    return low, high


class PairDataset(Dataset):
    """The pairs of one split as (low, high) tensors, (3, H, W) float32 display, 0..1, for any training loop.

    root: a built dataset or a LOL-Blur folder; pair: the two modalities. Pairs of the train split whose video is in
    another split as well are left out, and it is said. Raises InputError.
    """

    def __init__(self, root: str | Path, split: str = "train", pair: tuple[str, str] = PAIR):
        self.pairs = gather([Path(root)], split, pair)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return read_pair(self.pairs[index])


class Crops(Dataset):
    """An endless training set: item n is a random crop of a pair, flipped and transposed at random (p = 0.5 each).

    Every pair comes once an epoch, in an order shuffled anew. Items are (low, high), (3, crop, crop).
    degrade: what is done to the low crop, a function of it and of a generator. expose: 0, or the mean to which the
    whole low frame is brought by a gain before its crop is given out. vary: for little footage, crops are also zoomed
    by ZOOM, as far as the frame reaches, and the colours of half of them change places.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        crop: int,
        seed: int,
        degrade: Degrade | None = None,
        expose: float = 0,
        vary: bool = False,
    ):
        self.pairs, self.crop, self.seed, self.degrade, self.expose = pairs, crop, seed, degrade, expose
        self.vary = vary
        self.epoch, self.order = -1, np.arange(0)

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(n, len(self.pairs))
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = rng(self.seed, "lednet", f"epoch-{epoch}", "order").permutation(len(self.pairs))
        pair = self.pairs[self.order[place]]
        frames = read_pair(pair)
        low, high = self._augment(pair, frames, rng(self.seed, "lednet", f"sample-{n}", "crop"))
        if self.degrade is not None:
            low = self.degrade(low, rng(self.seed, "lednet", f"sample-{n}", "degrade"))
        if self.expose:
            low = low * exposure_gain(frames[0][None], self.expose)[0]
        return low, high

    def _augment(self, pair: Pair, frames: tuple[Tensor, Tensor], draw: np.random.Generator) -> tuple[Tensor, ...]:
        height, width = frames[0].shape[1:]
        if min(height, width) < self.crop:
            raise InputError(
                f"{pair.clip}/{pair.frame}: {width}x{height} is smaller than the crop of {self.crop}",
                "choose a smaller --crop, a multiple of 8",
                "size",
            )
        side = min(round(self.crop / draw.uniform(*ZOOM)), height, width) if self.vary else self.crop
        top, left = draw.integers(height - side + 1), draw.integers(width - side + 1)
        flip_x, flip_y, transpose = draw.random(3) < 0.5
        crops = [_turn(frame[:, top : top + side, left : left + side], flip_x, flip_y, transpose) for frame in frames]
        if self.vary:
            size, order = (self.crop, self.crop), draw.permutation(3) if draw.random() < 0.5 else np.arange(3)
            crops = [F.interpolate(crop[None, order], size, mode="bilinear", antialias=True)[0] for crop in crops]
        return tuple(crops)


def _turn(frame: Tensor, flip_x: bool, flip_y: bool, transpose: bool) -> Tensor:
    axes = [axis for axis, flipped in ((2, flip_x), (1, flip_y)) if flipped]
    frame = frame.flip(axes)
    return (frame.transpose(1, 2) if transpose else frame).contiguous()


def noisy(low: Tensor, draw: np.random.Generator) -> Tensor:
    """(3, H, W) display, 0..1 -> with the noise of a sensor drawn anew: raw-pg, which cycleisp imitates slowly."""
    config = NoiseConfig(model="raw-pg")
    return noise.apply(low[None], config, noise.draw(config, draw))[0]


def defocused_noisy(low: Tensor, draw: np.random.Generator) -> Tensor:
    """(3, H, W) display, 0..1 -> out of focus and noisy, both drawn anew."""
    config = DefocusConfig()
    light = defocus.apply(to_linear(low[None]), config, defocus.draw(config, draw))
    return noisy(to_display(light)[0], draw)


def online(pair: tuple[str, str]) -> Degrade:
    """What --online does to the input folder of `pair`. Raises UsageError for a folder that has its noise already."""
    known = {"low_sharp": defocused_noisy, "low_blur": noisy}
    if pair[0] not in known:
        raise UsageError(
            f"--online adds noise, and {pair[0]} is not free of it",
            "use --pair low_blur:high_sharp_scaled or low_sharp:high_sharp_scaled",
        )
    return known[pair[0]]


def batches(start: int, stop: int, batch: int, rank: int = 0, world: int = 1) -> Iterator[range]:
    """The sample numbers of iterations start to stop for one of `world` processes: its share of each global batch."""
    share = batch // world
    for iteration in range(start, stop):
        first = iteration * batch + rank * share
        yield range(first, first + share)
