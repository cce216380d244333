"""The first step of a build: workers read every input once, and the dataset caches what they found."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lolblur_synth import __version__
from lolblur_synth.dataset import layout
from lolblur_synth.dataset.records import Listener, VideoInfo
from lolblur_synth.errors import InputError
from lolblur_synth.parallel import clusters, pool
from lolblur_synth.recipe.schema import Recipe

if TYPE_CHECKING:  # importing files.video takes seconds
    from lolblur_synth.files.video import Input, RejectedInput


def all_inputs(
    inputs: list[Input], out: Path | None, recipe: Recipe, jobs: int, listener: Listener, run: clusters.Run = pool.run,
    write: bool = True,
) -> tuple[list[VideoInfo], list[RejectedInput]]:  # fmt: skip
    """Read every input once, unless an earlier build did: what it holds, or why it is rejected.

    out: the dataset that holds the cache, or None. write=False: read the cache, but do not add to it.
    run: `pool.run`, or that of a cluster. Raises StoreError where a store does not answer any more.
    """
    from lolblur_synth.files.video import RejectedInput

    videos: list[VideoInfo] = []
    rejected: list[RejectedInput] = []
    unread = []
    for item in inputs:
        cached = _cached(out, item, recipe) if out else None
        if cached is None:
            unread.append(item)
        else:
            videos.append(cached)
    listener("survey", {"inputs": len(inputs), "todo": len(unread)})

    def report(kind: str, item: Input, result: Any) -> None:
        listener("surveyed", {"name": item.name})
        if kind == "failed":
            named = result["message"] if item.name in result["message"] else f"{item.name}: {result['message']}"
            rejected.append(RejectedInput(item.name, result["reason"], named, result.get("hint", "")))
            return
        videos.append(result)
        if out and write:
            path = _cache_path(out, item, recipe, result.stamp)
            layout.write_atomic(out, path, layout.to_json(dataclasses.asdict(result) | OF_THIS_RUN))

    run("lolblur_synth.dataset.worker:survey", [(recipe, (item,)) for item in unread], jobs, report)
    return videos, rejected


def _cached(out: Path, item: Input, recipe: Recipe) -> VideoInfo | None:
    """What an earlier build found in this very input, with these options; None where the cache does not say."""
    from lolblur_synth.files import video

    try:
        stamp = video.stamp(item)
    except (OSError, InputError):
        return None  # the worker that reads the input reports why that fails
    values = layout.read_json(_cache_path(out, item, recipe, stamp))
    if values is None or not is_survey(values) or values["stamp"] != stamp:
        return None
    return from_json(
        values | {"path": str(item.path), "name": item.name, "url": item.remote.url if item.remote else ""}
    )


OF_THIS_RUN = {"path": "", "name": "", "url": ""}  # fields of a VideoInfo that are not kept; a URL may hold a password
PAIRS = "tuple[tuple[float, float], ...]"
KINDS: dict[str, Any] = {"str": str, "int": int, "float": (int, float)}


def is_survey(values: dict) -> bool:
    """Whether JSON values are those of a VideoInfo: every field, each of its type, and numbers that can be true."""
    kinds = VideoInfo.__annotations__
    if values.keys() != kinds.keys() or not all(_is_of(str(kinds[name]), value) for name, value in values.items()):
        return False
    return min(values["frames"], values["width"], values["height"]) > 0 and 0 < values["fps"] < float("inf")


def _is_of(kind: str, value: Any) -> bool:
    if kind in KINDS:
        return not isinstance(value, bool) and isinstance(value, KINDS[kind])
    if not isinstance(value, list):
        return False
    if kind in (PAIRS, "tuple[Moments, ...]"):
        return all(isinstance(pair, list) and len(pair) == 2 and all(_is_of("float", end) for end in pair)
                   for pair in value)  # fmt: skip
    return all(_is_of(kind.removeprefix("tuple[").partition(",")[0], item) for item in value)


def from_json(values: dict) -> VideoInfo:
    """The record whose fields were written as JSON, which has lists where the record has tuples."""
    return VideoInfo(**{key: _as_tuple(value) for key, value in values.items()})


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _cache_path(out: Path, item: Input, recipe: Recipe, stamp: str) -> Path:
    """The cache file of an input. Its name is a hash of the input's path and stamp, the options that matter, and the
    fields of `VideoInfo`: where one of them changes, the input is read again."""
    options = [recipe.input, recipe.interpolate.cut, recipe.skip, recipe.resize, item.fps]
    if "denoise" not in recipe.skip:
        options.append(recipe.denoise)
    place = item.remote.url.encode() if item.remote else os.fsencode(os.path.realpath(item.path))
    parts = (__version__, tuple(VideoInfo.__annotations__), place, stamp, options)
    return out / layout.STATE / "surveys" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.json"
