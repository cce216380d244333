"""How long a build will take and how much it will write, from a rehearsal of a few of its jobs on as many workers."""

import heapq
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lolblur_synth.dataset import build
from lolblur_synth.dataset.calibration import GUESSED, Overhead
from lolblur_synth.dataset.records import Clip, Job, Pair, Plan
from lolblur_synth.dataset.rehearsal import Rehearsal
from lolblur_synth.parallel import pool
from lolblur_synth.recipe.schema import Recipe

CALIBRATED = 0.8, 1.25  # of the forecast: the range, widened where rehearsals differ by more
UNCALIBRATED = 0.65, 1.6
ClipPairs = tuple[Clip, tuple[Pair, ...]]  # the pairs of one job
MOST_REHEARSALS = 16  # jobs, on machines with more workers


@dataclass(frozen=True)
class Forecast:
    """Seconds from the command to its end, and bytes of the images; low, high: the range. pair: seconds of one pair in
    one worker. motion: median motion of the material, px in an exposure."""

    seconds: float
    low: float
    high: float
    bytes: int
    bytes_low: int
    bytes_high: int
    pair: float
    motion: float


def jobs_of(plan: Plan, pending: Sequence[Pair]) -> list[ClipPairs]:
    """What a build hands to its workers: the clip and the missing pairs of each job."""
    missing = set(pending)
    jobs = []
    for clip in plan.clips:
        for chunk in build.chunks(clip.pairs):
            if pairs := tuple(pair for pair in chunk if pair in missing):
                jobs.append((clip, pairs))
    return jobs


def rehearse(jobs: Sequence[ClipPairs], recipe: Recipe, device: str, workers: int) -> dict[int, Rehearsal]:
    """Make the pairs of a few jobs, spread over all of them, in a temporary folder: number of the job -> what it took.

    As many jobs as workers, at once, so that cores, caches and disk are shared as in the build.
    """
    count = min(workers, len(jobs), MOST_REHEARSALS)
    chosen = sorted({round(n * (len(jobs) - 1) / max(1, count - 1)) for n in range(count)})
    number_by_pairs = {jobs[number][1]: number for number in chosen}
    rehearsals: dict[int, Rehearsal] = {}

    def report(kind: str, pairs: tuple[Pair, ...], result: Rehearsal) -> None:
        if kind == "done":
            rehearsals[number_by_pairs[pairs]] = result

    with tempfile.TemporaryDirectory(prefix="lolblur-") as folder:
        tasks: list[pool.Task] = [(Job(recipe, jobs[n][0], device, out=Path(folder)), (jobs[n][1],)) for n in chosen]
        pool.run("lolblur_synth.dataset.rehearsal:rehearse", tasks, workers, report)
    return rehearsals


def forecast(
    jobs: Sequence[ClipPairs], rehearsals: dict[int, Rehearsal], workers: int, survey: float, overhead: Overhead | None
) -> Forecast:
    """What the jobs will take on `workers`, of which at least one was rehearsed.

    survey: seconds that reading the inputs took. overhead: None where the machine is not calibrated.
    """
    decode = _decode_by_pixel(jobs, rehearsals)
    costs = [
        (result.seconds - decode * _pixels_decoded(*jobs[number])) / result.pairs
        for number, result in rehearsals.items()
    ]
    pair = max(0.0, statistics.mean(costs))
    durations = [decode * _pixels_decoded(clip, pairs) + pair * len(pairs) for clip, pairs in jobs]
    warm = statistics.mean(result.warm for result in rehearsals.values())
    beside = sum(overhead or GUESSED) + survey + warm
    seconds = beside + makespan(durations, workers)
    spread = max(abs(cost / pair - 1) for cost in costs) if pair else 0.0
    low, high = CALIBRATED if overhead else UNCALIBRATED
    sizes = [result.bytes / result.pairs for result in rehearsals.values()]
    left = sum(len(pairs) for _, pairs in jobs)
    return Forecast(
        seconds, seconds * min(low, 1 / (1 + spread)), seconds * max(high, 1 + spread),
        round(left * statistics.mean(sizes)), round(left * min(sizes) * low), round(left * max(sizes) * high),
        pair, statistics.median(result.motion for result in rehearsals.values()),
    )  # fmt: skip


def makespan(jobs: Sequence[float], workers: int) -> float:
    """Seconds until the last of `workers` is done, each of which takes the next job when it is free."""
    free = [0.0] * workers
    for seconds in jobs:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _pixels_decoded(clip: Clip, pairs: Sequence[Pair]) -> int:
    """Pixels of the frames that a job decodes: all from the first one of its video on."""
    return (pairs[-1].last + 1) * clip.video.width * clip.video.height


def _decode_by_pixel(jobs: Sequence[ClipPairs], rehearsals: dict[int, Rehearsal]) -> float:
    """Seconds to decode one pixel. The lowest of the rehearsals: each includes what opening a file takes."""
    videos = {number: jobs[number][0].video for number in rehearsals}
    return min(result.decode / (videos[number].width * videos[number].height)
               for number, result in rehearsals.items())  # fmt: skip
