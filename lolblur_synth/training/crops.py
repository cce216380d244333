"""What LEDNet is trained on: crops of pairs, flipped, turned and, with --online or --mix, degraded at random.

Sample n of a training is a function of (seed, n) alone: which pair, which crop, which flips. A training that is resumed
at any iteration, on any number of processes and of loader workers, therefore sees the same samples.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from lolblur_synth.dataset.pair_folders import Pair
from lolblur_synth.draw import rng
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.frames import to_display, to_linear
from lolblur_synth.models import lift
from lolblur_synth.recipe.schema import DefocusConfig, NoiseConfig
from lolblur_synth.stages import defocus, noise
from lolblur_synth.training import mixture
from lolblur_synth.training.frame_store import FrameFiles, FrameStore, as_display

ZOOM = (0.7, 1.5)  # side of the crop over the side of what is taken from the frame, with --vary; uniform
Degrade = Callable[[Tensor, np.random.Generator], Tensor]


class Crops(Dataset):
    """An endless training set: item n is a random crop of a pair, flipped and transposed at random (p = 0.5 each).

    Every pair comes once in an epoch, in an order that is shuffled for each epoch. Items are (low, high), both
    (3, height, width) float32 display, 0..1, or (low, high, told), told: `lift.statistics` of the whole low frame.

    frames    of each pair, low first and high last; with a third between them, samples are those of mixture.py
    size      n -> (height, width) of sample n
    degrade   changes the low crop, with a random generator of its own for each sample
    vary      for little footage: crops are also zoomed by ZOOM, as far as the frame reaches, and the colour channels
              of half of them are permuted
    told      whether items have the statistics
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        size: Callable[[int], tuple[int, int]],
        seed: int,
        degrade: Degrade | None = None,
        vary: bool = False,
        told: bool = False,
        frames: FrameFiles | FrameStore | None = None,
    ):
        self.pairs, self.size, self.seed, self.degrade, self.vary, self.told = pairs, size, seed, degrade, vary, told
        self.frames = FrameFiles([(pair.low, pair.high) for pair in pairs]) if frames is None else frames
        self.epoch, self.order = -1, np.arange(0)

    def __getitem__(self, n: int) -> tuple[Tensor, ...]:
        epoch, place = divmod(n, len(self.pairs))
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = rng(self.seed, "lednet", f"epoch-{epoch}", "order").permutation(len(self.pairs))
        index = self.order[place]
        frames = self._read(index)
        crops, order = self._augment(index, frames, self.size(n), rng(self.seed, "lednet", f"sample-{n}", "crop"))
        draw = rng(self.seed, "lednet", f"sample-{n}", "degrade")
        if len(frames) > 2:
            blocks = tuple(lift.blocks(as_display(frame)[None])[0, order] for frame in frames)
            made = mixture.sample(crops, blocks, draw)
        else:
            blocks = lift.blocks(as_display(frames[0])[None])[0, order] if self.told else crops[0][:, :1, :1]
            low = crops[0] if self.degrade is None else self.degrade(crops[0], draw)
            made = mixture.Sample(low, crops[-1], blocks)
        if not self.told:
            return made.low, made.high
        return made.low, made.high, lift.of_blocks(made.blocks[None])[0]

    def _read(self, index: int) -> tuple[Tensor, ...]:
        frames, pair = self.frames[index], self.pairs[index]
        if len({frame.shape for frame in frames}) > 1:
            sizes = " and ".join(f"{frame.shape[2]}x{frame.shape[1]}" for frame in frames)
            raise InputError(f"{pair.clip}/{pair.frame}: the two frames of the pair are {sizes}",
                             "build the pair again", "size")  # fmt: skip
        return frames

    def _augment(
        self, index: int, frames: tuple[Tensor, ...], size: tuple[int, int], draw: np.random.Generator
    ) -> tuple[tuple[Tensor, ...], list[int]]:
        """The crops of the frames of a pair, and the order of their colour channels."""
        height, width = frames[0].shape[1:]
        if height < size[0] or width < size[1]:
            pair = self.pairs[index]
            raise InputError(
                f"{pair.clip}/{pair.frame}: {width}x{height} is smaller than the crop of {size[1]}x{size[0]}",
                "choose a smaller --crop, a multiple of 8",
                "size",
            )
        taken = size
        if self.vary:
            side = min(round(size[0] / draw.uniform(*ZOOM)), height, width)
            taken = (side, min(round(side * size[1] / size[0]), width))
        top, left = draw.integers(height - taken[0] + 1), draw.integers(width - taken[1] + 1)
        flip_x, flip_y, transpose = draw.random(3) < 0.5
        if size[0] != size[1]:
            transpose = False
        part = slice(top, top + taken[0]), slice(left, left + taken[1])
        crops = [_turn(as_display(frame[:, *part]), flip_x, flip_y, transpose) for frame in frames]
        order = [0, 1, 2]
        if self.vary:
            order = draw.permutation(3).tolist() if draw.random() < 0.5 else order
            crops = [F.interpolate(crop[None, order], size, mode="bilinear", antialias=True)[0] for crop in crops]
        return tuple(crops), order


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


def batches(start: int, stop: int, size: Callable[[int], int], rank: int = 0, world: int = 1) -> Iterator[range]:
    """The sample numbers of iterations start to stop for one of `world` processes: its share of each global batch.

    size: iteration -> samples in its global batch. Iteration i has the numbers from i * size(0) on.
    """
    for iteration in range(start, stop):
        share = size(iteration) // world
        first = iteration * size(0) + rank * share
        yield range(first, first + share)
