"""From inputs to the list of pairs: which source frames make which pair, in which split, and what is refused.

A video is cut at its middle into two segments. Inside a segment the exposures follow each other at `dataset.rate`,
never overlap, and never read across the seam or a scene cut. Everything here is arithmetic on facts about the videos:
the same facts, recipe and seed give the same plan.
"""

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction

from lolblur_synth import draw
from lolblur_synth.errors import InputError
from lolblur_synth.files.video import Refusal, repeats_in_words
from lolblur_synth.recipe.schema import AverageConfig, Recipe
from lolblur_synth.stages import average, darken, denoise, resize


@dataclass(frozen=True)
class Pair:
    """One blurred frame and its companions. Frame numbers count from 0 in the source."""

    sequence: str  # folder name, "0003"
    name: str  # file name without suffix, "0012"
    segment: int
    window: int  # source-frame intervals in the exposure
    mid: int  # the ground truth
    first: int  # first source frame read, denoising context included
    last: int  # last source frame read


@dataclass(frozen=True)
class Clip:
    """One video of the plan and its pairs."""

    sequence: str
    split: str
    facts: "Facts"
    pairs: tuple[Pair, ...]

    def moments(self, segment: int) -> darken.Moments:
        """Of the frames that the pairs of a segment span: the same for each of them, whoever builds it."""
        spanned = [pair for pair in self.pairs if pair.segment == segment]
        return self.facts.moments_of(spanned[0].first, spanned[-1].last)


@dataclass(frozen=True)
class Facts:
    """What was learnt about one input by reading it once."""

    name: str
    path: str
    kind: str  # "video" or "frames"
    sha256: str
    fps: float
    frames: int
    width: int
    height: int
    bits: int
    colour: str
    decoder: str
    cuts: tuple[int, ...]  # a scene cut lies between frame i and i + 1
    repeats: float  # frames stored this many times in a row, on average; 1 when all differ
    sigma: float  # estimated noise, 8-bit code values; 0 when denoise is off
    lightness: float  # mean L*/100, 0..1
    curve: tuple[tuple[float, float], ...] = ()  # the estimated noise at some levels: (level, deviation)
    notes: tuple[str, ...] = ()  # what its file says that a user should know, each without the name
    moments: tuple[darken.Moments, ...] = ()  # of unsaturated pixels, by equal parts of the video, in order
    light: str = "guessed"  # "measured" where the file holds light above white; see `video.Video`
    stamp: str = ""  # `video.stamp` of the files when they were read; not part of what pixels depend on

    def moments_of(self, first: int, last: int) -> darken.Moments:
        """Mean of l = L*/100, and of l^2, over the unsaturated pixels of the frames first..last."""
        if not self.moments:
            return self.lightness, self.lightness**2
        parts = [self.moments[frame * len(self.moments) // self.frames] for frame in range(first, last + 1)]
        return sum(mean for mean, _ in parts) / len(parts), sum(square for _, square in parts) / len(parts)


@dataclass(frozen=True)
class Plan:
    clips: tuple[Clip, ...]
    refused: tuple[Refusal, ...]
    warnings: tuple[str, ...]

    @property
    def pairs(self) -> int:
        return sum(len(clip.pairs) for clip in self.clips)


def make(facts: list[Facts], refused: list[Refusal], recipe: Recipe, previous: dict[str, tuple[str, str]]) -> Plan:
    """Place the pairs of every video.

    previous: sha256 -> (sequence, split) of an earlier plan for the same output, so that videos added later change
    neither the number nor the split of those already there.
    """
    refused, warnings, placed = list(refused), [], []
    seen: dict[str, str] = {}
    for video in sorted(facts, key=lambda v: (v.name, v.sha256)):
        if video.sha256 in seen:
            warnings.append(f"{video.name}: same content as {seen[video.sha256]}; used once")
            continue
        seen[video.sha256] = video.name
        try:
            pairs = place(video, recipe)
            warning = _check_lightness(video, pairs, recipe)
        except InputError as error:
            refused.append(Refusal(video.name, error.reason, str(error), error.hint))
            continue
        placed.append((video, pairs))
        warnings += _warnings(video, recipe, len(pairs)) + warning
    sequences = _number([video.sha256 for video, _ in placed], previous)
    splits = _split([video.sha256 for video, _ in placed], recipe, previous)
    clips = []
    for video, pairs in placed:
        sequence = sequences[video.sha256]
        pairs = tuple(dataclasses.replace(pair, sequence=sequence) for pair in pairs)
        clips.append(Clip(sequence, splits[video.sha256], video, pairs))
    clips.sort(key=lambda clip: clip.sequence)
    return Plan(tuple(clips), tuple(sorted(refused, key=lambda r: r.name)), tuple(warnings))


def place(video: Facts, recipe: Recipe) -> list[Pair]:
    """The pairs of one video, in time order, with `sequence` still empty.

    Raises InputError "too-short" or "cuts" when not a single exposure fits.
    """
    smallest = 2 * average.reach(min(recipe.average.window)) + 1
    if video.frames < smallest:
        raise InputError(
            f"{video.name}: {video.frames} frame{'s' * (video.frames != 1)}, one exposure needs {smallest}",
            "use a longer clip, or a smaller --window",
            "too-short",
        )
    wanted = min(recipe.dataset.pairs, 2 * recipe.dataset.segment_pairs)
    seam = video.frames // 2
    halves = [(0, seam), (seam, video.frames)] if wanted > 1 and seam >= smallest else [(0, video.frames)]
    counts = [math.ceil(wanted / len(halves)), wanted // len(halves)][: len(halves)]
    pairs: list[Pair] = []
    for segment, ((start, stop), count) in enumerate(zip(halves, counts, strict=True)):
        count = min(count, recipe.dataset.segment_pairs)
        for window, mid, first, last in _exposures(video, recipe, segment, start, stop)[:count]:
            pairs.append(Pair("", f"{len(pairs):04d}", segment, window, mid, first, last))
    if not pairs:
        raise InputError(
            f"{video.name}: no {smallest} frames in a row without a scene cut",
            "split the video into its shots, or raise interpolate.cut",
            "cuts",
        )
    return pairs


def _exposures(video: Facts, recipe: Recipe, segment: int, start: int, stop: int) -> list[tuple[int, int, int, int]]:
    """(window, mid, first, last) of every exposure that fits into source frames start..stop-1."""
    window = draw_window(recipe, video.sha256, segment, stop - start)
    reach = average.reach(window)
    stride = max(Fraction(video.fps) / Fraction(recipe.dataset.rate), Fraction(window))
    context = 0 if "denoise" in recipe.skip else denoise.CONTEXT
    shots = [start, *(cut + 1 for cut in video.cuts if start <= cut < stop - 1), stop]
    exposures, earliest = [], Fraction(start + reach)
    for low, high in zip(shots[:-1], shots[1:], strict=True):
        earliest = max(earliest, Fraction(low + reach))
        while (mid := round(earliest)) + reach < high:
            exposures.append((window, mid, max(low, mid - reach - context), min(high - 1, mid + reach + context)))
            earliest += stride
    return exposures


def draw_window(recipe: Recipe, sha256: str, segment: int, frames: int) -> int:
    """The window of a segment, drawn among those that fit into `frames` source frames."""
    fitting = tuple(w for w in recipe.average.window if 2 * average.reach(w) + 1 <= frames)
    config = AverageConfig(window=fitting or (min(recipe.average.window),))
    return average.draw(config, draw.rng(recipe.dataset.seed, sha256, f"segment-{segment}", "average")).window


def _check_lightness(video: Facts, pairs: list[Pair], recipe: Recipe) -> list[str]:
    """A warning where many of the exposures that may be drawn are too bright for a video.

    Raises InputError "too-dark" where its ground truth is too dark to be one.
    """
    if "darken" in recipe.skip:
        return []
    clip, truth, unmet = Clip("", "", video, tuple(pairs)), 0.0, 0.0  # means over the pairs
    for segment in {pair.segment: 0 for pair in pairs}:
        share = sum(pair.segment == segment for pair in pairs) / len(pairs)
        drawn = darken.draw(recipe.darken, draw.rng(recipe.dataset.seed, video.sha256, f"segment-{segment}", "darken"))
        truth += 100 * share * darken.dimmed(clip.moments(segment), drawn.dim)
        unmet += share * darken.unmet(clip.moments(segment), recipe.darken)
    if truth < recipe.dataset.min_lightness:
        raise InputError(
            f"{video.name}: too dark for a ground truth: mean L* {truth:.1f} of its unsaturated pixels, once dimmed; "
            f"at least {recipe.dataset.min_lightness:g} is needed",
            "use a brighter clip, or take it all the same with --set dataset.min_lightness=0",
            "too-dark",
        )
    if unmet <= 0.2:
        return []
    most = recipe.darken.max_share
    fate = f"above {most:g} of that and are lowered to it" if most < 1 else "above that and leave it as it is"
    return [
        f"{video.name}: its ground truth has a mean L* of {truth:.0f} (unsaturated pixels); {100 * unmet:.0f} % of the "
        f"exposures that may be drawn are {fate}; a lower --exposure avoids that"
    ]


def _number(hashes: list[str], previous: dict[str, tuple[str, str]]) -> dict[str, str]:
    """sha256 -> sequence: earlier numbers are kept, new videos follow in the order of their names."""
    sequences = {sha: previous[sha][0] for sha in hashes if sha in previous}
    following = max((int(sequence) + 1 for sequence, _ in previous.values()), default=0)
    for sha in hashes:
        if sha not in sequences:
            sequences[sha] = f"{following:04d}"
            following += 1
    return sequences


def _split(hashes: list[str], recipe: Recipe, previous: dict[str, tuple[str, str]]) -> dict[str, str]:
    """sha256 -> split: the videos whose keyed hash is smallest go to test, until the fraction is reached.

    The key is the content alone: with the seed in it, datasets of one video set and several seeds would hold out
    different videos, and joined they would train on the test videos of each other.
    """
    splits = {sha: previous[sha][1] for sha in hashes if sha in previous}
    rank = {sha: hashlib.sha256(f"{sha}\x1fsplit".encode()).digest() for sha in hashes}
    missing = round(recipe.dataset.test_fraction * len(hashes)) - sum(split == "test" for split in splits.values())
    fresh = sorted((sha for sha in hashes if sha not in splits), key=rank.get)
    return splits | {sha: "test" if position < missing else "train" for position, sha in enumerate(fresh)}


def _warnings(video: Facts, recipe: Recipe, pairs: int) -> list[str]:
    """What a user should know about a video that is used all the same."""
    warnings = [f"{video.name}: {note}" for note in video.notes]
    width, height = recipe.resize.width, recipe.resize.height
    if resize.enlarges((video.width, video.height), recipe.resize):
        warnings.append(
            f"{video.name}: {video.width}x{video.height} is enlarged to {width}x{height}; "
            f"use --size to stay at or below the source"
        )
    if video.repeats > 1:
        warnings.append(
            f"{video.name}: {repeats_in_words(video.repeats)}, so motion will stutter; "
            f"the true rate is about {video.fps / video.repeats:g} fps"
        )
    if video.cuts:
        places = ", ".join(map(str, video.cuts[:3])) + (", …" if len(video.cuts) > 3 else "")
        count = f"{len(video.cuts)} scene cut{'s' * (len(video.cuts) > 1)}"
        warnings.append(f"{video.name}: {count}, after frame {places}; "
                        f"exposures are moved so that none crosses one")  # fmt: skip
    if video.fps < 120:
        warnings.append(
            f"{video.name}: {video.fps:g} fps; blur synthesis expects about 250 fps "
            f"(for a slow-motion file give its capture rate: --fps 250)"
        )
    if pairs < recipe.dataset.pairs:
        warnings.append(f"{video.name}: {pairs} of {recipe.dataset.pairs} pairs fit into {video.frames} frames")
    return warnings
