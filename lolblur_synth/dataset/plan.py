"""From surveyed inputs to the list of pairs: which source frames make which pair, in which split, and what is refused.

A video is cut at its middle into two segments. Inside a segment the exposures follow each other at `dataset.rate`,
never overlap, and never read across the seam or a scene cut. No file is opened here: the same `VideoInfo` records,
recipe and seed give the same plan.
"""

import dataclasses
import hashlib
import math
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from lolblur_synth import draw
from lolblur_synth.dataset import advice
from lolblur_synth.dataset.records import Clip, Pair, Place, Plan, VideoInfo
from lolblur_synth.errors import InputError, counted
from lolblur_synth.files.video import RejectedInput
from lolblur_synth.recipe.schema import AverageConfig, Recipe
from lolblur_synth.stages import average, denoise

UNIT = 4  # pairs whose frames are denoised as one stream: neighbours share the frames between them, and their context


def make(videos: list[VideoInfo], refused: list[RejectedInput], recipe: Recipe, previous: dict[str, Place]) -> Plan:
    """Place the pairs of every video.

    previous: sha256 -> place of each video in an earlier plan for the same output: a video that is added later changes
    neither the number nor the split of those already there.
    """
    refused, warnings, placed = list(refused), [], []
    seen: dict[str, str] = {}
    for video in sorted(videos, key=lambda v: (v.name, v.sha256)):
        if video.sha256 in seen:
            warnings.append(f"{video.name}: same content as {seen[video.sha256]}; used once")
            continue
        seen[video.sha256] = video.name
        try:
            pairs = place(video, recipe)
            lightness = advice.check_lightness(video, pairs, recipe)
        except InputError as error:
            refused.append(RejectedInput(video.name, error.reason, str(error), error.hint))
            continue
        placed.append((video, pairs))
        warnings += advice.about(video, recipe, len(pairs)) + lightness
    sequences = _number([video.sha256 for video, _ in placed], previous)
    splits = _split({video.sha256: video.scene for video, _ in placed}, recipe, previous)
    clips = []
    for video, pairs in placed:
        sequence = sequences[video.sha256]
        numbered = tuple(dataclasses.replace(pair, sequence=sequence) for pair in pairs)
        clips.append(Clip(sequence, splits[video.sha256], video, numbered))
    clips.sort(key=lambda clip: clip.sequence)
    warnings += advice.about_light(clips, recipe)
    return Plan(tuple(clips), tuple(sorted(refused, key=lambda r: r.name)), tuple(warnings))


def place(video: VideoInfo, recipe: Recipe) -> list[Pair]:
    """The pairs of one video, in time order, with `sequence` still empty.

    Raises InputError "too-short" or "cuts" when not a single exposure fits.
    """
    recipe = _for_stills(recipe) if video.frames < _smallest(recipe) else recipe
    smallest = _smallest(recipe)
    if video.frames < smallest:
        raise InputError(
            f"{video.name}: {counted(video.frames, 'frame')}, one exposure needs {smallest}",
            "use a longer clip, or a smaller --window",
            "too-short",
        )
    most = min(recipe.dataset.pairs, 2 * recipe.dataset.segment_pairs)
    seam = video.frames // 2
    halves = [(0, seam), (seam, video.frames)] if most > 1 and seam >= smallest else [(0, video.frames)]
    counts = [math.ceil(most / len(halves)), most // len(halves)][: len(halves)]
    pairs: list[Pair] = []
    for segment, ((start, stop), count) in enumerate(zip(halves, counts, strict=True)):
        count = min(count, recipe.dataset.segment_pairs)
        for exposure in _exposures(video, recipe, segment, start, stop)[:count]:
            pairs.append(Pair("", f"{len(pairs):04d}", segment, *exposure))
    if not pairs:
        raise InputError(
            f"{video.name}: no {smallest} frames in a row without a scene cut",
            "split the video into its shots, or raise interpolate.cut",
            "cuts",
        )
    return pairs


def _smallest(recipe: Recipe) -> int:
    """Source frames that the shortest exposure reads."""
    return 2 * average.reach(min(recipe.average.window)) + 1


def _for_stills(recipe: Recipe) -> Recipe:
    """For a clip that is shorter than an exposure: where nothing is averaged, each of its frames is a still."""
    return dataclasses.replace(recipe, average=AverageConfig(window=(0,))) if "average" in recipe.skip else recipe


class Exposure(NamedTuple):
    """Where one exposure lies in the source; the fields are those of `Pair`."""

    window: int
    mid: int
    first: int
    last: int
    unit: tuple[int, int] | None


def _exposures(video: VideoInfo, recipe: Recipe, segment: int, start: int, stop: int) -> list[Exposure]:
    """Every exposure that fits into source frames start..stop-1."""
    window = draw_window(recipe, video.sha256, segment, stop - start)
    reach = average.reach(window)
    stride = max(Fraction(video.fps) / Fraction(recipe.dataset.rate), Fraction(window))
    together = UNIT if stride < 2 * reach + 1 + denoise.CONTEXT else 1  # further apart, frames between would be in vain
    shots = [start, *(cut + 1 for cut in video.cuts if start <= cut < stop - 1), stop]
    exposures, earliest = [], Fraction(start + reach)
    for low, high in zip(shots[:-1], shots[1:], strict=True):
        earliest, mids = max(earliest, Fraction(low + reach)), []
        while (mid := round(earliest)) + reach < high:
            mids.append(mid)
            earliest += stride
        for start in range(0, len(mids), together):
            exposures += _of_unit(mids[start : start + together], window, low, high - 1, "denoise" not in recipe.skip)
    return exposures


def _of_unit(mids: list[int], window: int, low: int, high: int, denoised: bool) -> list[Exposure]:
    """Exposures round `mids` in one shot, frames low..high, whose frames are denoised as one stream."""
    reach = average.reach(window)
    unit = mids[0] - reach, mids[-1] + reach
    if not denoised:
        return [Exposure(window, mid, mid - reach, mid + reach, None) for mid in mids]
    first, last = max(low, unit[0] - denoise.CONTEXT), min(high, unit[1] + denoise.CONTEXT)
    return [Exposure(window, mid, first, last, unit) for mid in mids]


def draw_window(recipe: Recipe, sha256: str, segment: int, frames: int) -> int:
    """The window of a segment, drawn among those that fit into `frames` source frames."""
    fitting = tuple(w for w in recipe.average.window if 2 * average.reach(w) + 1 <= frames)
    config = AverageConfig(window=fitting or (min(recipe.average.window),))
    return average.draw(config, draw.rng(recipe.dataset.seed, sha256, f"segment-{segment}", "average")).window


def _number(hashes: list[str], previous: dict[str, Place]) -> dict[str, str]:
    """sha256 -> sequence: earlier numbers are kept, new videos follow in the order of their names."""
    sequences = {sha: previous[sha].sequence for sha in hashes if sha in previous}
    following = max((int(place.sequence) + 1 for place in previous.values()), default=0)
    for sha in hashes:
        if sha not in sequences:
            sequences[sha] = f"{following:04d}"
            following += 1
    return sequences


def _split(scenes: dict[str, str], recipe: Recipe, previous: dict[str, Place]) -> dict[str, str]:
    """sha256 -> split: the scenes whose keyed hash is smallest go to test, until the fraction of videos is reached.

    Of two or more scenes at least one goes to test, unless the fraction is 0: what was trained on a few videos can be
    evaluated too.
    scenes: sha256 of each video -> its scene, which is in one split. The key is the content alone: with the seed in it,
    datasets of one video set and several seeds would hold out different videos, and joined they would train on the
    test videos of each other.
    """
    of_scene = {scene: previous[sha].split for sha, scene in scenes.items() if sha in previous}
    sizes = Counter(scenes.values())
    fraction = recipe.dataset.test_fraction
    missing = max(round(fraction * len(scenes)), int(fraction > 0 and len(sizes) > 1))
    missing -= sum(sizes[scene] for scene, split in of_scene.items() if split == "test")
    for scene in sorted(sizes, key=lambda scene: hashlib.sha256(f"{scene}\x1fsplit".encode()).digest()):
        if scene not in of_scene:
            of_scene[scene] = "test" if missing > 0 else "train"
            missing -= sizes[scene]
    kept = {sha: previous[sha].split for sha in scenes if sha in previous}
    return {sha: of_scene[scene] for sha, scene in scenes.items()} | kept
