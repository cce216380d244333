"""What a worker process does: survey inputs, build pairs. parallel/pool.py calls it by name."""

import dataclasses
import functools
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from lolblur_synth import __version__, pipeline
from lolblur_synth.dataset import layout
from lolblur_synth.dataset.plan import Facts, Pair
from lolblur_synth.errors import InputError
from lolblur_synth.files import video
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import average, denoise, resize

# Thread counts change the order of sums in some operators: they are constants, never derived from --jobs.
torch.set_num_threads(1)
cv2.setNumThreads(1)
# On a GPU torch would let a convolution round its input to 10 bits (TF32) and choose among algorithms that sum in any
# order: pixels are float32 to the last rounding, and the same on every run.
torch.backends.fp32_precision = "ieee"
torch.backends.cudnn.deterministic = True


def survey(recipe: Recipe, found: tuple) -> Iterator[tuple]:
    """("done", input, Facts) or ("failed", input, why) for each input; it is decoded once from end to end."""
    for item in found:
        yield "begin", item
        try:
            yield "done", item, _facts(recipe, item)
        except InputError as error:
            yield "failed", item, {"reason": error.reason, "message": str(error), "hint": error.hint}


def _facts(recipe: Recipe, item) -> Facts:
    try:
        stamp = video.stamp(item)
        facts = _read_facts(recipe, item, stamp)
        if video.stamp(item) == stamp:
            return facts
    except OSError as error:
        raise InputError(f"{item.name}: {error.strerror}", "check that it is still there and can be read") from None
    raise InputError(f"{item.name}: changed while it was read", "run again when nothing writes to it", "changed")


def _read_facts(recipe: Recipe, item, stamp: str) -> Facts:
    source = video.probe(item, recipe.input, item.fps or recipe.input.fps or None)
    shown = resize.shown((source.width, source.height), recipe.resize)
    found = video.survey(source, recipe.interpolate.cut, shown=shown)
    noise = denoise.Draw(0.0) if "denoise" in recipe.skip else _noise(recipe, source)
    return Facts(
        source.name,
        str(item.path),
        item.kind,
        video.digest(item),
        source.fps,
        source.frames,
        source.width,
        source.height,
        source.bits,
        source.colour,
        source.decoder,
        tuple(found.cuts),
        found.repeats,
        noise.sigma,
        found.lightness,
        noise.curve,
        source.notes,
        found.moments,
        source.light,
        stamp,
    )


def _noise(recipe: Recipe, source) -> denoise.Draw:
    """The noise to remove: as the recipe says, or estimated once a video on frames round its middle."""
    if recipe.denoise.sigma != "auto":
        return denoise.Draw(float(recipe.denoise.sigma))
    count = min(source.frames, 2 * average.reach(min(recipe.average.window)) + 1)
    start = (source.frames - count) // 2
    stack = [pipeline.prepare(frame, recipe) for frame in video.display(source, start, start + count)]
    return denoise.estimate(torch.cat(stack))


def build(job: dict, pairs: tuple[Pair, ...]) -> Iterator[tuple]:
    """Synthesise and commit the pairs of one clip, in time order, in one pass over the video."""
    recipe, facts = job["recipe"], job["clip"].facts
    stacks, stamp = _stacks(recipe, facts, pairs), ""
    for pair in pairs:
        yield "begin", pair
        started = time.perf_counter()
        try:
            stamp = stamp or check_content(facts)
            images, record = make(next(stacks), pair, job)
            check_content(facts, stamp)  # pixels of other files are never committed under the checksum of these
        except (InputError, StopIteration) as error:  # StopIteration: an earlier error ended the stream
            yield "failed", pair, _failure(facts, stamp, error)
            continue
        record = layout.commit(job["out"], record, images, recipe.dataset.png_level)
        size = sum(entry["bytes"] for entry in record["sha256"].values())
        yield "done", pair, {"seconds": round(time.perf_counter() - started, 3), "bytes": size}


def check_content(facts: Facts, stamp: str = "") -> str:
    """The stamp of the files behind `facts`. Raises InputError where they no longer are what was surveyed.

    stamp: what this function returned before; the files must not have changed since. Without it files whose stamp is
    another than in the survey (linked, made readable, seen from another machine) are compared by their checksum.
    """
    try:
        now = video.stamp(_input(facts))
        if now == stamp or (not stamp and (now == facts.stamp or _digest(_input(facts), now) == facts.sha256)):
            return now
        message = "changed since it was surveyed"
    except OSError as error:
        message = f"was read by the survey, but not now: {error.strerror}"
    raise InputError(
        f"{facts.name}: {message}", "run the same command again: another content counts as a new video", "changed"
    )


@functools.lru_cache(maxsize=8)
def _digest(item: video.Input, stamp: str) -> str:
    return video.digest(item)


def _failure(facts: Facts, stamp: str, error: Exception) -> dict:
    """Why a pair was not built; that the input changed comes before what its reader met."""
    if isinstance(error, InputError) and stamp:
        try:
            check_content(facts, stamp)
        except InputError as change:
            error = change
    return {
        "reason": getattr(error, "reason", "unreadable"),
        "message": str(error) or f"{facts.name}: could not be read to here",
        "hint": getattr(error, "hint", ""),
    }


def _input(facts: Facts) -> video.Input:
    return video.Input(Path(facts.path), facts.name, facts.kind)


def _stacks(recipe: Recipe, facts: Facts, pairs: tuple[Pair, ...]) -> Iterator[torch.Tensor]:
    source = video.probe(_input(facts), recipe.input, facts.fps)
    start = pairs[0].first
    yield from pipeline.windows(
        video.read(source, start, pairs[-1].last + 1), start, [(pair.first, pair.last) for pair in pairs], recipe
    )


def synthesise(job: dict, pair: Pair) -> tuple[dict[str, np.ndarray], dict]:
    """The images and the record of one pair alone, read from its video. Nothing is written. Raises InputError."""
    return make(next(_stacks(job["recipe"], job["clip"].facts, (pair,))), pair, job)


def make(stack: torch.Tensor, pair: Pair, job: dict) -> tuple[dict[str, np.ndarray], dict]:
    """The images of one pair and its record, without checksums. Nothing is written."""
    recipe, facts = job["recipe"], job["clip"].facts
    drawn = recipe
    if facts.light == video.MEASURED:  # light above white is in the frames, and is not guessed at
        drawn = dataclasses.replace(recipe, skip=(*recipe.skip, "clip_reverse"))
    draws = pipeline.draw_all(drawn, facts.sha256, pair.segment, pair.name, pair.window, facts.sigma,
                              facts.curve, job["clip"].moments(pair.segment))  # fmt: skip
    images, measured = pipeline.synthesise(stack, pair.mid - pair.first, recipe, draws, job["device"])
    record = {
        "pair": f"{pair.sequence}/{pair.name}",
        "split": job["clip"].split,
        "sequence": pair.sequence,
        "name": pair.name,
        "segment": pair.segment,
        "source": {
            "name": facts.name,
            "sha256": facts.sha256,
            "fps": facts.fps,
            "decoder": facts.decoder,
            "colour": facts.colour,
            "bits": facts.bits,
        }
        | ({"notes": list(facts.notes)} if facts.light == video.MEASURED and facts.notes else {}),
        "frames": [pair.first, pair.last],
        "mid": pair.mid,
        "window": pair.window,
        "light": facts.light,
        **measured,
        "draws": pipeline.plain(draws),
        "skipped": list(recipe.skip),
        "weights": job["weights"],
        "version": __version__,
        "key": job["keys"][pair],
    }
    return images, record
