"""What a worker measures for `plan`: a few pairs, made as in a build, and how far things move in them."""

import dataclasses
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch

from lolblur_synth import pipeline
from lolblur_synth.dataset import worker
from lolblur_synth.dataset.records import Job, Pair
from lolblur_synth.errors import InputError
from lolblur_synth.files import video
from lolblur_synth.files.remote import StoreError
from lolblur_synth.stages import interpolate

SMALL = 96, 64  # px; of the frames of the pair that loads kernels and networks


class Rehearsal(NamedTuple):
    """decode: s to decode one frame of the clip; warm: s that the first pair of a worker takes longer, since it loads
    kernels and networks; seconds, bytes: of the pairs; motion: median motion of the pixels in an exposure, px."""

    pairs: int
    decode: float
    warm: float
    seconds: float
    bytes: int
    motion: float


def rehearse(job: Job, items: tuple[tuple[Pair, ...], ...]) -> Iterator[tuple]:
    """Make pairs of one clip as `worker.build` does; the result of each is a Rehearsal."""
    for pairs in items:
        yield "begin", pairs
        try:
            yield "done", pairs, _measured(job, pairs)
        except InputError as error:
            if isinstance(error, StoreError) and error.stops:
                raise
            yield "failed", pairs, {"reason": error.reason, "message": str(error), "hint": error.hint}


def _measured(job: Job, pairs: tuple[Pair, ...]) -> Rehearsal:
    """Raises InputError where a pair cannot be made."""
    started = time.perf_counter()
    warm_up(job, pairs[0])
    warm = time.perf_counter() - started
    decode, motion = look(job, pairs[0])
    started = time.perf_counter()
    events = [event for event in worker.build(job, pairs) if event[0] != "begin"]
    seconds = time.perf_counter() - started
    for kind, _, result in events:
        if kind == "failed":
            raise InputError(result["message"], result["hint"], result["reason"])
    size = sum(result["bytes"] for _, _, result in events)
    return Rehearsal(len(pairs), decode, max(0.0, warm - decode * (pairs[0].last + 1)), seconds, size, motion)


def warm_up(job: Job, pair: Pair) -> None:
    """Load what the first pair of a worker loads, on small frames."""
    width, height = SMALL
    resize = dataclasses.replace(job.recipe.resize, width=width, height=height)
    small = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, resize=resize))
    alone = dataclasses.replace(pair, unit=pair.shown if pair.unit else None)
    worker.synthesise(small, alone)


def look(job: Job, pair: Pair) -> tuple[float, float]:
    """Seconds to decode one frame, and the median motion of the pixels around `pair.mid`, px in an exposure."""
    started = time.perf_counter()
    source = video.probe(worker.input_of(job.clip.video), job.recipe.input, job.clip.video.fps)
    decoded = list(video.display(source, pair.mid - 1, pair.mid + 2))
    seconds = time.perf_counter() - started
    stack = torch.cat([pipeline.prepare(frame, job.recipe) for frame in decoded])
    field = interpolate.motion(stack, dataclasses.replace(job.recipe.interpolate, method="dis"), refuse_cuts=False)
    length = torch.as_tensor(field.forward)[..., :2].norm(dim=-1)
    return seconds / (pair.mid + 2), pair.window * float(length.median())
