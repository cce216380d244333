"""The records that survey, plan, build and worker hand to each other. Standard library only, plain values, picklable.

VideoInfo   what one pass over an input showed      Pair, Clip, Plan   what is to be built
Job         all that a worker needs to build pairs of one clip
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # importing files.video takes seconds: it brings PyAV, OpenCV and torch
    from lolblur_synth.files.video import RejectedInput
    from lolblur_synth.recipe.schema import Recipe

Listener = Callable[[str, dict], None]  # called as listener("plan" | "pair" | "failed" | "note" | …, fields)
Moments = tuple[float, float]  # means of l and of l^2 over unsaturated pixels, l = L*/100, 0..1


@dataclass(frozen=True)
class VideoInfo:
    """What one pass over an input, from the first frame to the last, showed."""

    name: str  # relative to the path that the user gave; for messages and the manifest
    path: str
    kind: str  # "video" or "images", as `files.video.Input.kind`
    sha256: str  # of the content
    fps: float  # capture rate, frames/s
    frames: int
    width: int  # px, as displayed
    height: int
    bits: int  # of a channel, as stored
    colour: str  # pixel format, matrix and range, such as "yuv420p bt709 limited"
    decoder: str  # program and version
    cuts: tuple[int, ...]  # a scene cut lies between frame i and frame i + 1
    repeats: float  # how often each picture is stored, on average; 1 when all frames differ
    sigma: float  # estimated noise, standard deviation in 8-bit code values; 0 when denoise is off
    lightness: float  # mean L*/100, 0..1
    curve: tuple[tuple[float, float], ...] = ()  # noise by brightness: (level 0..1, standard deviation)
    notes: tuple[str, ...] = ()  # warnings of the reader, each without the name of the input
    moments: tuple[Moments, ...] = ()  # of equal parts of the video, in time order
    light: str = "guessed"  # "measured" where the file holds light above white, as `files.video.Video.light`
    picture: str = ""  # sha256 of the picture that `shoot` made it of, as the record beside it says
    stamp: str = ""  # `files.video.stamp` at the time of reading; pixels do not depend on it
    url: str = ""  # where it lies in a store; the files at `path` are then empty until `sources.fetch`

    @property
    def scene(self) -> str:
        """What must not be in two splits: the video, and with it all clips that `shoot` made of one picture."""
        return self.picture or self.sha256

    def moments_of(self, first: int, last: int) -> Moments:
        """Means of l and of l^2, l = L*/100, over the unsaturated pixels of the frames first..last."""
        if not self.moments:
            return self.lightness, self.lightness**2
        parts = [self.moments[frame * len(self.moments) // self.frames] for frame in range(first, last + 1)]
        return sum(mean for mean, _ in parts) / len(parts), sum(square for _, square in parts) / len(parts)


@dataclass(frozen=True)
class Pair:
    """One blurred frame and its ground truth. Frame numbers count from 0 in the source."""

    sequence: str  # folder name, "0003"
    name: str  # file name without suffix, "0012"
    segment: int  # 0 or 1; what must not flicker is drawn once a segment
    window: int  # source-frame intervals in the exposure
    mid: int  # the ground-truth frame
    first: int  # first source frame read, denoising context included
    last: int  # last source frame read
    unit: tuple[int, int] | None = None  # first and last frame that are denoised as one stream; None: without denoising

    @property
    def shown(self) -> tuple[int, int]:
        """First and last source frame of the exposure's window."""
        reach = math.ceil(self.window / 2)  # as stages/average.py has it
        return self.mid - reach, self.mid + reach


@dataclass(frozen=True)
class Clip:
    """One video of the plan and its pairs, in time order."""

    sequence: str
    split: str  # "train" or "test"
    video: VideoInfo
    pairs: tuple[Pair, ...]

    def moments(self, segment: int) -> Moments:
        """Of all frames that the pairs of a segment span, so that each pair of it gets the same exposure."""
        pairs = [pair for pair in self.pairs if pair.segment == segment]
        return self.video.moments_of(pairs[0].shown[0], pairs[-1].shown[1])


class Place(NamedTuple):
    """Where the pairs of a video are in the dataset: folder name ("0003") and "train" or "test"."""

    sequence: str
    split: str


@dataclass(frozen=True)
class Plan:
    """Every clip with its pairs, every input that was rejected, and what the user should know."""

    clips: tuple[Clip, ...]
    refused: tuple[RejectedInput, ...]
    warnings: tuple[str, ...]

    @property
    def pairs(self) -> int:
        return sum(len(clip.pairs) for clip in self.clips)


@dataclass(frozen=True)
class Job:
    """What a worker needs to build pairs of one clip.

    device: "cpu" or "cuda:N". out: the dataset to commit to; None: a preview, which commits nothing. keys: of each
    pair, `keys.key`, which later tells whether the pair is up to date; weights: `keys.weight_hashes`, for the record.
    """

    recipe: Recipe
    clip: Clip
    device: str = "cpu"
    out: Path | None = None
    keys: dict[Pair, str] | None = None
    weights: dict[str, str] | None = None
