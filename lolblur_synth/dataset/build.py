"""The tool behind `lolblur-synth build`: videos in, a dataset out, resumable and byte-identical.

find inputs -> survey (read each once) -> plan -> jobs of at most CHUNK pairs -> manifest
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lolblur_synth import __version__, recipes
from lolblur_synth.dataset import checks, journal, keys, layout, manifest, sources, stored, survey
from lolblur_synth.dataset.lock import hold
from lolblur_synth.dataset.records import Job, Listener, Pair, Plan
from lolblur_synth.errors import InputError
from lolblur_synth.files import remote
from lolblur_synth.parallel import clusters, machine, pool
from lolblur_synth.recipe.schema import Recipe

CHUNK = 4  # pairs a job: few, so that workers share a video evenly, but each job decodes it from its first frame on.
# A constant, never derived from --jobs: jobs of another length might sum in another order.


class Failure(NamedTuple):
    """An input that was rejected, or a pair that could not be built. reason: a stable word; hint: what to do."""

    name: str
    reason: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Summary:
    """What a build did, in pairs; `failed`: rejected inputs, then pairs that could not be built."""

    planned: int
    built: int
    already: int
    failed: tuple[Failure, ...]
    warnings: tuple[str, ...]


def build(
    videos: Sequence[str | Path] | str | Path,
    out: str | Path,
    recipe: Recipe | str | None = None,
    *,
    set: Sequence[str] = (),
    jobs: int | None = None,
    shard: tuple[int, int] = (1, 1),
    device: str = "auto",
    backend: str = "local",
    address: str = "",
    listener: Listener = lambda kind, fields: None,
) -> Summary:
    """Make the dataset `out` from `videos` (files or folders); the same call again continues.

    videos: a capture rate may follow the path, "a.mp4@960", in frames/s, or stand in a clips.toml beside the files. A
    str may be a URL that fsspec knows, such as "s3://bucket/videos".
    recipe: a Recipe, a built-in name or a TOML file; the stages of the user that it names are run. Without `recipe`
    and `set`: the recipe that `out` was built with, or else "lolblur".
    set: `section.key=value` overrides. jobs: worker processes; None: one a core as far as memory allows.
    shard: (I, N) builds the I-th of N shares. device: auto, cpu or cuda[:N]. backend: local, dask or ray; address: of
    a running cluster. listener: called with each event, see `records.Listener`.
    Raises RecipeError (4), InputError when no input is usable (5), ForeignOutput (10), Locked (11), NoSpace (13),
    Interrupted (130).
    Videos and pairs that fail do not raise: the summary lists them.
    Ten arguments, because this is the Python face of the command: each is one option of `lolblur-synth build`.
    """
    words = [remote.as_word(str(word)) for word in ([videos] if isinstance(videos, str | Path) else videos)]
    out = remote.output_folder(out)
    if recipe is None:
        recipe = (None if set else stored.to_continue(out)) or "lolblur"
    if isinstance(recipe, str):
        recipe = recipes.load(recipe)
    recipe = recipes.override(recipe, list(set))
    run = clusters.choose(backend, address)
    checks.check_inputs(words, out)
    named = sources.Sources(words)
    recipe = checks.ready(recipe)
    checks.claim(out, recipe)
    copies = out / layout.STATE / f"remote-{shard[0]}-of-{shard[1]}"
    with hold(out / layout.STATE, shard), named.inputs(copies) as inputs:
        device = machine.resolve_device(device)
        if shard == (1, 1):  # another shard may have files in flight
            layout.clean(out)
        plan, pending = prepare(inputs, out, recipe, jobs, device, listener, run=run)
        stored.write_recipe(out, recipe)
        journal.note_inputs(out, words)
        stored.forget_failures(out, plan)
        for line in stored.left_over(out, plan):
            listener("note", {"message": line})
        already = plan.pairs - len(pending)
        tasks = _tasks(plan, pending, out, recipe, device, shard)
        listener("plan", {"pairs": plan.pairs, "already": already, "todo": sum(len(items) for _, items in tasks)})
        try:
            built, failed = _run(tasks, out, jobs or machine.auto_jobs(device), listener, run)
        finally:
            manifest.write(out)
            if shard == (1, 1):
                layout.clean(out)
    refusals = [Failure(r.name, r.reason, r.message, r.hint) for r in plan.refused]
    return Summary(plan.pairs, built, already, tuple(refusals + failed), plan.warnings)


def prepare(
    inputs: sources.Inputs,
    out: Path | None,
    recipe: Recipe,
    jobs: int | None,
    device: str,
    listener: Listener,
    write: bool = True,
    run: clusters.Run = pool.run,
) -> tuple[Plan, list[Pair]]:
    """The plan, and those of its pairs that are not built yet.

    inputs: of `sources.Sources`, or of `video.find_clips`. out: the dataset that was built before, None where there is
    none. write=False: leave `out` as it is. run: `pool.run` or that of a cluster. Raises InputError when no input is
    usable, ForeignOutput for a changed capture rate.
    """
    from lolblur_synth.dataset import plan

    usable, rejected = inputs
    jobs = jobs or machine.auto_jobs()
    videos, unreadable = survey.all_inputs(usable, out, recipe, jobs, listener, run, write)
    planned = plan.make(videos, rejected + unreadable, recipe, stored.clips(out))
    checks.check_rates(planned, out)
    for warning in planned.warnings:
        listener("note", {"message": warning})
    for refusal in planned.refused:
        listener("failed", dataclasses.asdict(refusal))
    if not planned.clips and planned.refused:
        raise InputError(f"no usable video: all {len(planned.refused)} inputs were refused",
                         "each is listed with its reason and its remedy", "none")  # fmt: skip
    if not planned.clips:
        raise InputError("no usable video", "give videos of about 250 fps, or folders of frames with --fps", "none")
    if out is None:
        return planned, [pair for clip in planned.clips for pair in clip.pairs]
    if write:
        layout.write_atomic(out, out / layout.STATE / "plan.json", layout.to_json(_plan_json(planned, recipe)))
    weights, damaged = keys.weight_hashes(recipe), journal.damaged(out)
    pending = [
        pair
        for clip in planned.clips
        for pair in clip.pairs
        if f"{pair.sequence}/{pair.name}" in damaged
        or not layout.is_done(out, clip.split, pair.sequence, pair.name, keys.key(recipe, clip, pair, weights, device))
    ]
    return planned, pending


def _plan_json(plan: Plan, recipe: Recipe) -> dict:
    """What `status` and `verify` need to know of the plan: names of inputs, no paths."""
    clips = [
        {
            "sequence": clip.sequence,
            "split": clip.split,
            "name": clip.video.name,
            "sha256": clip.video.sha256,
            "fps": clip.video.fps,
            "light": clip.video.light,
            "pairs": [pair.name for pair in clip.pairs],
        }
        for clip in plan.clips
    ]
    return {
        "recipe": recipes.sha256(recipe),
        "clips": clips,
        "version": __version__,
        "refused": [dataclasses.asdict(r) for r in plan.refused],
    }


def _tasks(
    plan: Plan, pending: list[Pair], out: Path, recipe: Recipe, device: str, shard: tuple[int, int]
) -> list[pool.Task]:
    """Jobs of the pairs of a few units of one clip; the I-th of N shards takes every N-th job."""
    missing, weights = set(pending), keys.weight_hashes(recipe)
    tasks: list[pool.Task] = []
    number = 0  # counts jobs with nothing left to do as well, so that a shard's share does not depend on progress
    for clip in plan.clips:
        for chunk in chunks(clip.pairs):
            pairs = tuple(pair for pair in chunk if pair in missing)
            if pairs and number % shard[1] == shard[0] - 1:
                key_by_pair = {pair: keys.key(recipe, clip, pair, weights, device) for pair in pairs}
                tasks.append((Job(recipe, clip, device, out, key_by_pair, weights), pairs))
            number += 1
    return tasks


def chunks(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Pairs of one clip in turn, at most CHUNK of them, and those whose frames are denoised together in one."""
    chunk: list[Pair] = []
    for _, group in itertools.groupby(pairs, lambda pair: pair.unit or pair.name):
        unit = list(group)
        if chunk and len(chunk) + len(unit) > CHUNK:
            yield chunk
            chunk = []
        chunk += unit
    if chunk:
        yield chunk


def _run(
    tasks: list[pool.Task], out: Path, jobs: int, listener: Listener, run: clusters.Run
) -> tuple[int, list[Failure]]:
    """Hand the tasks to workers. Returns the number of pairs built and the failures; logs both."""
    built = 0
    failed: list[Failure] = []
    videos = {job.clip.sequence: job.clip.video for job, _ in tasks}
    left = Counter(pair.sequence for _, pairs in tasks for pair in pairs)

    def report(kind: str, pair: Pair, result: dict) -> None:
        nonlocal built
        name = f"{pair.sequence}/{pair.name}"
        if kind == "done":
            built += 1
            listener("pair", {"pair": name, **result})
        else:
            failed.append(Failure(name, result["reason"], result["message"], result.get("hint", "")))
            layout.write_failure(out, pair.sequence, pair.name, result)
            listener("failed", {"name": name, **result})
        left[pair.sequence] -= 1
        if videos[pair.sequence].url and not left[pair.sequence]:
            sources.release(Path(videos[pair.sequence].path))
        journal.add(out, [{"pair": name, "kind": kind, **(result or {})}])

    run("lolblur_synth.dataset.worker:build", tasks, jobs, report)
    return built, failed
