"""What LEDNet is trained on: crops of pairs, flipped, turned and, with --online, degraded at random.

Sample n of a training is a function of (seed, n) alone: which pair, which crop, which flips. A training that is resumed
at any iteration, on any number of processes and of loader workers, therefore sees the same samples.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from lolblur_synth.dataset.pair_folders import Pair
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.draw import rng
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.frames import to_display, to_linear
from lolblur_synth.models.lednet import exposure_gain
from lolblur_synth.recipe.schema import DefocusConfig, NoiseConfig
from lolblur_synth.stages import defocus, noise

ZOOM = (0.7, 1.5)  # side of the crop over the side of what is taken from the frame, with --vary; uniform
Degrade = Callable[[Tensor, np.random.Generator], Tensor]


class Crops(Dataset):
    """An endless training set: item n is a random crop of a pair, flipped and transposed at random (p = 0.5 each).

    Every pair comes once in an epoch, in an order that is shuffled for each epoch. Items are (low, high), both
    (3, crop, crop) float32 display, 0..1.

    degrade   changes the low crop, with a random generator of its own for each sample
    expose    0, or a mean: the low crop is multiplied by the gain that gives the whole low frame this mean
    vary      for little footage: crops are also zoomed by ZOOM, as far as the frame reaches, and the colour channels
              of half of them are permuted
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
    """Add sensor noise, drawn for this sample, to (3, H, W) display, 0..1. The model is raw-pg, which
    cycleisp imitates many times more slowly."""
    config = NoiseConfig(model="raw-pg")
    return noise.apply(low[None], config, noise.draw(config, draw))[0]


def defocused_noisy(low: Tensor, draw: np.random.Generator) -> Tensor:
    """Add defocus and noise, both drawn for this sample, to (3, H, W) display, 0..1."""
    config = DefocusConfig()
    light = defocus.apply(to_linear(low[None]), config, defocus.draw(config, draw))
    return noisy(to_display(light)[0], draw)


def online(pair: tuple[str, str]) -> Degrade:
    """What --online does to the input folder of `pair`. Raises UsageError for a folder that has its noise already."""
    degradations: dict[str, Degrade] = {"low_sharp": defocused_noisy, "low_blur": noisy}
    if pair[0] not in degradations:
        raise UsageError(
            f"--online adds noise, and {pair[0]} is not free of it",
            "use --pair low_blur:high_sharp_scaled or low_sharp:high_sharp_scaled",
        )
    return degradations[pair[0]]


def batches(start: int, stop: int, batch: int, rank: int = 0, world: int = 1) -> Iterator[range]:
    """The sample numbers of iterations start to stop for one of `world` processes: its share of each global batch."""
    share = batch // world
    for iteration in range(start, stop):
        first = iteration * batch + rank * share
        yield range(first, first + share)
