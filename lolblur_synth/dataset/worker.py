"""What a worker process does: survey inputs, build pairs. `parallel/pool.py` calls `survey` and `build` by name."""

import dataclasses
import functools
import itertools
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from lolblur_synth import __version__, pipeline
from lolblur_synth.dataset import layout, sources
from lolblur_synth.dataset.records import Job, Pair, VideoInfo
from lolblur_synth.dataset.steady import steady
from lolblur_synth.errors import InputError
from lolblur_synth.files import video
from lolblur_synth.files.remote import StoreError
from lolblur_synth.parallel.ahead import ahead
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import average, denoise, resize, user

BYTES_AHEAD = 1 << 28  # of decoded frames that wait while a device computes ...
MOST_AHEAD = 48  # ... which are no more than four pairs need


def survey(recipe: Recipe, inputs: tuple[video.Input, ...]) -> Iterator[tuple]:
    """Decode each input once from end to end; yields the events of `parallel/pool.py`, the result is a VideoInfo.

    Raises StoreError where a store does not answer any more: without some videos the others would be numbered, and
    split, differently.
    """
    for item in inputs:
        yield "begin", item
        try:
            yield "done", item, inspect(recipe, item)
        except InputError as error:
            if isinstance(error, StoreError) and error.stops:
                raise
            yield "failed", item, {"reason": error.reason, "message": str(error), "hint": error.hint}


def inspect(recipe: Recipe, item: video.Input) -> VideoInfo:
    """What an input holds. Raises InputError where it cannot be used, or changes while it is read."""
    if item.remote is not None:
        with sources.at_hand(item) as here:
            return dataclasses.replace(inspect(recipe, here), url=item.remote.url, stamp=item.remote.version)
    try:
        stamp = video.stamp(item)
        with steady():
            info = _decode(recipe, item, stamp)
        if video.stamp(item) == stamp:
            return info
    except OSError as error:
        raise InputError(f"{item.name}: {error.strerror}", "check that it is still there and can be read") from None
    raise InputError(f"{item.name}: changed while it was read", "run again when nothing writes to it", "changed")


def _decode(recipe: Recipe, item: video.Input, stamp: str) -> VideoInfo:
    source = video.probe(item, recipe.input, item.fps or recipe.input.fps or None)
    shown = resize.shown((source.width, source.height), recipe.resize)
    scan = video.scan_frames(source, recipe.interpolate.cut, shown=shown)
    noise = denoise.Draw(0.0) if "denoise" in recipe.skip else _noise(recipe, source)
    assert noise.sigma is not None  # it was estimated
    return VideoInfo(
        name=source.name,
        path=str(item.path),
        kind=item.kind,
        sha256=video.digest(item),
        fps=source.fps,
        frames=source.frames,
        width=source.width,
        height=source.height,
        bits=source.bits,
        colour=source.colour,
        decoder=source.decoder,
        cuts=scan.cuts,
        repeats=scan.repeats,
        sigma=noise.sigma,
        lightness=scan.lightness,
        curve=noise.curve,
        notes=source.notes,
        moments=scan.moments,
        light=source.light,
        picture=_picture(item.path) if item.kind == "video" else "",
        stamp=stamp,
    )


def _picture(clip: Path) -> str:
    """sha256 of the picture that a clip was shot from, told by the record that `shoot` writes beside it; else ""."""
    facts = layout.read_json(clip.with_suffix(".json")) or {}
    source = facts.get("source")
    sha256 = source.get("sha256") if "poses" in facts and isinstance(source, dict) else ""
    return sha256 if isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) else ""


def _noise(recipe: Recipe, source: video.Video) -> denoise.Draw:
    """The noise to remove: as the recipe says, or estimated once for each video, on frames around its middle."""
    if recipe.denoise.sigma != "auto":
        return denoise.Draw(float(recipe.denoise.sigma))
    count = min(source.frames, 2 * average.reach(min(recipe.average.window)) + 1)
    start = (source.frames - count) // 2
    stack = [pipeline.prepare(frame, recipe) for frame in video.display(source, start, start + count)]
    return denoise.estimate(torch.cat(stack))


def build(job: Job, pairs: tuple[Pair, ...]) -> Iterator[tuple]:
    """Synthesise and commit pairs of one clip, in time order, in one pass over the video; `job.out` is set.

    Yields the events of `parallel/pool.py`; the result holds `seconds` and the `bytes` of the five images. On a device
    a thread codes and writes a pair while the next one is made, which is reported as begun after that.
    """
    stacks = read_stacks(job, pairs)
    if job.device == "cpu":
        stamp = ""
        for pair in pairs:
            yield "begin", pair
            stamp, finish = _made(stacks, pair, job, stamp)
            yield finish()
        return
    with ThreadPoolExecutor(1) as writer:
        yield "begin", pairs[0]
        stamp, finish = _made(stacks, pairs[0], job, "")
        for pair in pairs[1:]:
            written = writer.submit(finish)
            stamp, finish = _made(stacks, pair, job, stamp)
            yield written.result()
            yield "begin", pair
        yield finish()


def _made(stacks: Iterator[torch.Tensor], pair: Pair, job: Job, stamp: str) -> tuple[str, Callable[[], tuple]]:
    """Makes a pair. Returns the stamp of its video, "" where that cannot be used, and what writes the pair and returns
    the event "done" or "failed"; an unexpected error of the making is raised there."""
    info, started = job.clip.video, time.perf_counter()
    try:
        stamp = stamp or check_content(info)
        with steady():
            images, record = make(next(stacks), pair, job)
    except Exception as error:
        return stamp, functools.partial(_give_up, error, pair, info, stamp)
    return stamp, functools.partial(_commit, pair, job, stamp, images, record, started)


def _give_up(error: Exception, pair: Pair, info: VideoInfo, stamp: str) -> tuple:
    """The event of a pair that could not be made. Raises the error where it is not for this pair alone."""
    if isinstance(error, StoreError) and error.stops:
        raise error
    if isinstance(error, (InputError, StopIteration)):  # StopIteration: an earlier error ended the stream
        return "failed", pair, _failure(info, stamp, error)
    raise error


def _commit(pair: Pair, job: Job, stamp: str, images: dict[str, np.ndarray], record: dict, started: float) -> tuple:
    """The event of a pair that was made: commits it, unless its video has changed."""
    assert job.out is not None
    try:
        check_content(job.clip.video, stamp)  # never commit pixels under the checksum of a file they do not come from
    except InputError as error:
        return "failed", pair, _failure(job.clip.video, stamp, error)
    threads = 1 if job.device == "cpu" else len(images)
    record = layout.commit(job.out, record, images, job.recipe.dataset.png_level, threads)
    size = sum(entry["bytes"] for entry in record["sha256"].values())
    return "done", pair, {"seconds": round(time.perf_counter() - started, 3), "bytes": size}


def check_content(info: VideoInfo, stamp: str = "") -> str:
    """The stamp of the files of a video. Raises InputError where they are not what the survey read.

    stamp: an earlier result of this function; the files must not have changed since. Without it, files whose stamp
    differs from the survey's (linked, other permissions, seen from another machine) are compared by their checksum.
    """
    try:
        now = video.stamp(input_of(info))
        if now == stamp or (not stamp and (now == info.stamp or _digest(input_of(info), now) == info.sha256)):
            return now
        message = "changed since it was surveyed"
    except OSError as error:
        message = f"was read by the survey, but not now: {error.strerror}"
    raise InputError(
        f"{info.name}: {message}", "run the same command again: another content counts as a new video", "changed"
    )


@functools.lru_cache(maxsize=8)
def _digest(item: video.Input, stamp: str) -> str:
    """The checksum of an input; the stamp makes a changed input another key of the cache."""
    return video.digest(item)


def _failure(info: VideoInfo, stamp: str, error: Exception) -> dict:
    """Why a pair was not built. A changed input is the better reason than the damage that the reader met in it."""
    if isinstance(error, InputError) and stamp:
        try:
            check_content(info, stamp)
        except InputError as change:
            error = change
    return {
        "reason": getattr(error, "reason", "unreadable"),
        "message": str(error) or f"{info.name}: could not be read to here",
        "hint": getattr(error, "hint", ""),
    }


def input_of(info: VideoInfo) -> video.Input:
    """The input of a video; a remote one is downloaded, where its files are not here yet."""
    if info.url:
        sources.fetch(Path(info.path), info.url)
    return video.Input(Path(info.path), info.name, info.kind)


def read_stacks(job: Job, pairs: tuple[Pair, ...]) -> Iterator[torch.Tensor]:
    """For each pair the frames of its window, (T, 3, H, W) float32 extended display RGB, resized and denoised; one pass
    over the video."""
    recipe, info = job.recipe, job.clip.video
    source = video.probe(input_of(info), recipe.input, info.fps)
    units = [list(group) for _, group in itertools.groupby(pairs, lambda pair: pair.unit)]
    wanted = [(unit[0].first, unit[-1].last) for unit in units]
    decoded = video.read(source, wanted[0][0], wanted[-1][1] + 1)
    if job.device != "cpu":
        frame_bytes = 12 * source.width * source.height
        decoded = ahead(decoded, max(2, min(MOST_AHEAD, BYTES_AHEAD // frame_bytes)))
    for unit, frames in zip(units, pipeline.spans(decoded, wanted[0][0], wanted, recipe), strict=True):
        if unit[0].unit is None:
            yield from pipeline.windows(frames, unit[0].first, [pair.shown for pair in unit])
        else:
            stacks = _denoised_stacks(frames, unit, job)
            while stacks:
                yield stacks.pop(0)


def _denoised_stacks(frames: Iterator[torch.Tensor], unit: list[Pair], job: Job) -> list[torch.Tensor]:
    """The stacks of a unit, all at once: so the denoiser's frames, 0.6 GB at 1120x640, are gone when pairs are made."""
    recipe, info = job.recipe, job.clip.video
    first, together = unit[0].first, unit[0].unit
    assert together is not None
    measured = denoise.Draw(info.sigma, info.curve)
    if early := before_denoising(recipe):
        drawn = {name: value for name, value in draws_of(unit[0], job).items() if name in early}
        frames = user.stream_after("resize", (frame.to(job.device) for frame in frames), recipe, drawn)
    frames = pipeline.denoised(frames, first, together, recipe, measured, job.device)
    return list(pipeline.windows(frames, together[0], [pair.shown for pair in unit]))


def before_denoising(recipe: Recipe) -> list[str]:
    """Stages of the user whose frames are denoised afterwards, and which are therefore shared by neighbouring pairs."""
    return [] if "denoise" in recipe.skip else [stage.name for stage in recipe.stages if stage.after == "resize"]


def synthesise(job: Job, pair: Pair) -> tuple[dict[str, np.ndarray], dict]:
    """The images and the record of one pair alone, read from its video. Writes nothing. Raises InputError."""
    with steady():
        return make(next(read_stacks(job, (pair,))), pair, job)


def draws_of(pair: Pair, job: Job) -> dict:
    """Every draw of one pair, by stage; without clip_reverse where the frames hold the light above white."""
    recipe, info = job.recipe, job.clip.video
    if info.light == video.MEASURED:
        recipe = dataclasses.replace(recipe, skip=(*recipe.skip, "clip_reverse"))
    return pipeline.draw_all(recipe, info.sha256, pair.segment, pair.name, pair.window, info.sigma,
                             info.curve, job.clip.moments(pair.segment))  # fmt: skip


def make(stack: torch.Tensor, pair: Pair, job: Job) -> tuple[dict[str, np.ndarray], dict]:
    """The images of one pair, folder -> (H, W, 3) uint8 RGB, and its record without checksums. Writes nothing."""
    recipe = job.recipe
    draws = draws_of(pair, job)
    done = {"denoise", *before_denoising(recipe)}  # by `read_stacks`
    undone = {name: drawn for name, drawn in draws.items() if name not in done}
    images, measured = pipeline.synthesise(stack, pair.mid - pair.shown[0], recipe, undone, job.device)
    return images, describe(pair, job) | measured


def describe(pair: Pair, job: Job) -> dict:
    """The record of one pair, without checksums and without what is measured on its frames. Opens no file."""
    recipe, info = job.recipe, job.clip.video
    return {
        "pair": f"{pair.sequence}/{pair.name}",
        "split": job.clip.split,
        "sequence": pair.sequence,
        "name": pair.name,
        "segment": pair.segment,
        "source": {
            "name": info.name,
            "sha256": info.sha256,
            "fps": info.fps,
            "decoder": info.decoder,
            "colour": info.colour,
            "bits": info.bits,
        }
        | ({"picture": info.picture} if info.picture else {})
        | ({"notes": list(info.notes)} if info.light == video.MEASURED and info.notes else {}),
        "frames": [pair.first, pair.last],
        "mid": pair.mid,
        "window": pair.window,
        "light": info.light,
        "draws": pipeline.plain(draws_of(pair, job)),
        "skipped": list(recipe.skip),
        **({"stages": {stage.name: stage.sha256 for stage in recipe.stages}} if recipe.stages else {}),
        "weights": job.weights or {},
        "version": __version__,
        "key": job.keys[pair] if job.keys else "",
    }
