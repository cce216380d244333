"""One pass over a video: does every frame decode, where are the scene cuts, are frames repeated, how bright is it?

Frames are compared as grey thumbnails of about 160 columns. Two frames belong to different scenes if their
*decorrelation* is high: 1 - r, with r the correlation of the square roots of the thumbnails. The mean difference fails
at night, when two shots may differ less than two frames of one firework. A flash is told from a cut by the frame after
it, which resembles the frame before it. Where frames are stored several times, only distinct frames are compared, since
a pan jumps from one to the next. `stages.interpolate` keeps a simpler detector for the frames of one
window: a stage may not import this room, and which frames it holds is part of its result.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from lolblur_synth import frames
from lolblur_synth.files.video.reader import Video, luma

COLUMNS = 160
MAX_PARTS = 1024  # of a video, for each of which lightness is measured
SATURATED = 0.98  # L* / 100; LOL-Blur paper, section 3.2
BLACK_DEVIATION = 0.01  # standard deviation, 0..1, below which a thumbnail is black; two black frames are alike
STILL_DIFFERENCE = 0.5 / 255  # mean absolute difference, 0..1, below which nothing moves
LONGEST_REPEAT = 16  # frames
CUTS_NAMED = 3  # in a message


@dataclass(frozen=True)
class Scan:
    """What one pass over a video showed.

    frames: how many were decoded, always as many as `probe` counted. differences: mean absolute difference of frames i
    and i + 1, 0..1. cuts: i where a new scene begins at i + 1. repeats: how often each picture is stored in a row (8
    for 30 fps in a 240 fps file, 2.5 for 24 in 60), 1 where pictures differ. lightness: mean L*/100 of the thumbnails.
    moments: for at most MAX_PARTS equal parts of the video, in order, the means of l = L*/100 and of l^2 over the
    unsaturated pixels that the output shows.
    """

    frames: int
    differences: tuple[float, ...]
    cuts: tuple[int, ...]
    repeats: float
    lightness: float
    moments: tuple[tuple[float, float], ...] = ()


def scan_frames(video: Video, cut: float = 0.15, ratio: float = 2.5, shown: tuple[float, float] = (1.0, 1.0)) -> Scan:
    """Decode all of `video` once, one frame in memory. Raises InputError where a frame is damaged or missing.

    cut: a scene cut has a decorrelation above this, 0..1, between both frames before it and both frames after it;
    ratio: and above this many times the decorrelation of the frames within its two neighbouring pairs.
    shown: shares of the width and height, 0..1, that the output shows, around the centre of the picture as displayed.
    """
    across, down = shown if video.rotation % 180 == 0 else shown[::-1]  # of the frame as stored
    jumps = _Jumps()
    means, differences = [], []
    previous = None
    sums = np.zeros((min(video.frames, MAX_PARTS), 3))
    for number, frame in enumerate(luma(video)):
        sums[number * len(sums) // video.frames] += _sums(frame, across, down)
        small = _thumbnail(frame)
        means.append(float(frames.lightness(torch.from_numpy(small).expand(1, 3, -1, -1)).mean()))
        if previous is not None:
            differences.append(round(float(np.abs(small - previous).mean()), 6))
        jumps.add(small)
        previous = small
    cuts = jumps.cuts(cut, ratio)
    repeats = repeated(np.array(differences))
    if cuts and repeats > 1:
        cuts = _cuts_between_distinct(video, distinct(np.array(differences), repeats), cut, ratio)
    moments = tuple((round(one / count, 5), round(two / count, 5)) for count, one, two in sums.tolist())
    return Scan(video.frames, tuple(differences), cuts, repeats, round(float(np.mean(means)), 4), moments)


def _cuts_between_distinct(video: Video, chosen: np.ndarray, cut: float, ratio: float) -> tuple[int, ...]:
    """The cuts of a video between the `chosen` frames (numbers, ascending); decodes the video once more."""
    jumps, numbers = _Jumps(), set(chosen.tolist())
    for number, small in enumerate(_thumbnails(video)):
        if number in numbers:
            jumps.add(small)
    return tuple(int(chosen[i + 1]) - 1 for i in jumps.cuts(cut, ratio))


class _Jumps:
    """The decorrelation of each thumbnail from the three before it; only these are held."""

    def __init__(self) -> None:
        self.last: deque[np.ndarray] = deque(maxlen=3)
        self.lags: tuple[list[float], ...] = ([], [], [])  # lags[k][i]: decorrelation of frames i and i + k + 1

    def add(self, small: np.ndarray) -> None:
        texture = np.sqrt(small) - np.sqrt(small).mean()
        for lag, earlier in zip(self.lags, reversed(self.last), strict=False):
            lag.append(_decorrelation(earlier, texture))
        self.last.append(texture)

    def cuts(self, cut: float, ratio: float) -> tuple[int, ...]:
        """i where a new scene begins at thumbnail i + 1; arguments as of `scan_frames`."""
        one, two, three = self.lags
        cuts = []
        for i, here in enumerate(one):
            across = [
                here,
                *two[max(i - 1, 0) : i + 1],
                *three[max(i - 1, 0) : i],
            ]  # every pair of i-1, i with i+1, i+2
            around = max([*one[max(i - 1, 0) : i], *one[i + 1 : i + 2]], default=0.0)
            if min(across) > max(cut, ratio * around):
                cuts.append(i)
        return tuple(cuts)


def _sums(frame: np.ndarray, across: float, down: float) -> tuple[int, float, float]:
    """Number, sum of l and sum of l^2 of the unsaturated pixels in the middle of a frame; of all, if all are saturated.

    About COLUMNS pixels of each row are taken as they are: means of neighbours would spread the light of small lamps.
    """
    height, width = frame.shape
    top, left = round(height * (1 - down) / 2), round(width * (1 - across) / 2)
    step = max(1, width // COLUMNS)
    some = np.ascontiguousarray(frame[top : height - top : step, left : width - left : step])
    lightness = frames.lightness(torch.from_numpy(some).expand(1, 3, -1, -1))[0, 0].double().numpy()
    unsaturated = lightness[lightness <= SATURATED]
    values = unsaturated if unsaturated.size else lightness
    return values.size, float(values.sum()), float((values**2).sum())


def _thumbnails(video: Video) -> Iterator[np.ndarray]:
    return (_thumbnail(frame) for frame in luma(video))


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape
    scale = min(1.0, COLUMNS / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _decorrelation(a: np.ndarray, b: np.ndarray) -> float:
    floor = BLACK_DEVIATION**2 * a.size
    return 1 - float(((a * b).sum() + floor) / (np.sqrt((a * a).sum() * (b * b).sum()) + floor))


def repeated(differences: np.ndarray) -> float:
    """How often a picture is stored: 8 for 30 fps in 240, 2.5 for 24 in 60, 1.2 for 25 in 30, 1 where all differ.

    differences: mean absolute difference of frames i and i + 1, 0..1.
    """
    return _even_repeat(differences) or _uneven_repeat(differences) or _some_repeated(differences) or 1


def cuts_in_words(cuts: Sequence[int]) -> str:
    """`4 scene cuts, after frames 40, 47, 300, …`: where a new scene begins after frame i, at least one."""
    frame_numbers = ", ".join(map(str, cuts[:CUTS_NAMED])) + (", …" if len(cuts) > CUTS_NAMED else "")
    plural = "s" * (len(cuts) > 1)
    return f"{len(cuts)} scene cut{plural}, after frame{plural} {frame_numbers}"


def repeats_in_words(repeats: float) -> str:
    """The result of `repeated` in words, to begin a sentence with."""
    if repeats % 1 == 0:
        return f"every frame is stored {repeats:g} times"
    return f"frames are stored {repeats:g} times on average"


def _even_repeat(differences: np.ndarray) -> int:
    """The longest period in which one difference is large and the others are not, wherever something moves; or 0."""
    for period in range(LONGEST_REPEAT, 1, -1):
        for phase in range(period):
            blocks = differences[phase : phase + (len(differences) - phase) // period * period].reshape(-1, period)
            moving = blocks[blocks.max(axis=1, initial=0) > STILL_DIFFERENCE]
            if len(moving) >= 4 and np.mean(moving[:, 0] > 4 * moving[:, 1:].max(axis=1)) >= 0.9:
                return period
    return 0


def _uneven_repeat(differences: np.ndarray) -> float:
    """The mean hold, in frames, if holds have two lengths that differ by one wherever something moves; or 0."""
    changes = np.flatnonzero(_changes(differences, reach=3))
    holds = np.diff(changes)
    holds = holds[holds <= LONGEST_REPEAT]  # longer: nothing moves
    if len(holds) < 8:
        return 0
    short = int(np.floor(holds.mean()))
    even = (holds == short) | (holds == short + 1)
    return round(float(holds[even].mean()), 2) if short >= 2 and even.mean() >= 0.9 else 0


def _some_repeated(differences: np.ndarray) -> float:
    """The mean hold, in frames, if every so many pictures one is stored twice; or 0."""
    holds = np.diff(np.flatnonzero(_changes(differences, reach=3)))
    distances = np.diff(np.flatnonzero(holds == 2))  # in pictures
    if len(distances) < 6:
        return 0
    usual = np.median(distances)
    even = np.mean(np.abs(distances - usual) <= 1) >= 0.9 and np.mean(holds <= 2) >= 0.9
    return round(float(holds[holds <= 2].mean()), 2) if even and usual <= LONGEST_REPEAT else 0


def _changes(differences: np.ndarray, reach: int) -> np.ndarray:
    """Whether frame i + 1 is a new picture: its difference stands out among those within `reach` on either side."""
    if not len(differences):
        return np.zeros(0, bool)
    padded = np.pad(differences, reach, constant_values=np.nan)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    before = np.fmax.reduce(near[:, :reach], axis=1)  # NaN at the first, where there is none
    after = np.fmax.reduce(near[:, reach + 1 :], axis=1)
    return differences > np.fmax(STILL_DIFFERENCE, np.fmin(before, after) / 4)


def distinct(differences: np.ndarray, repeats: float) -> np.ndarray:
    """The numbers of the frames that are new pictures, and one in LONGEST_REPEAT where nothing moves."""
    new = np.concatenate([[True], _changes(differences, int(np.ceil(repeats)))])
    held = 0
    for number in range(len(new)):
        held = 0 if new[number] else held + 1
        if held == LONGEST_REPEAT:
            new[number], held = True, 0
    return np.flatnonzero(new)
