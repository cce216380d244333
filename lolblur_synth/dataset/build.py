"""The tool behind `lolblur-synth build`: videos in, a dataset out, resumable and byte-identical.

    find -> survey (each input is read once) -> plan -> one job a run of pairs -> manifest

The module is not called `build`, so that `lolblur_synth.build` can be the function.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lolblur_synth import __version__, recipes
from lolblur_synth.dataset import keys as identity
from lolblur_synth.dataset import layout, manifest, stored, survey
from lolblur_synth.dataset.lock import hold
from lolblur_synth.errors import ForeignOutput, InputError, UsageError
from lolblur_synth.files import capture_rates, listing
from lolblur_synth.parallel import clusters, machine, pool
from lolblur_synth.recipe.schema import Recipe

CHUNK = 4  # pairs a job: short enough to share out, long enough to decode a video few times; never derived from --jobs


class Failure(NamedTuple):
    """An input that was refused, or a pair that could not be built. reason: a stable word; hint: what to do."""

    name: str
    reason: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Summary:
    """What a build did. `failed` holds refused inputs and pairs that failed."""

    planned: int
    built: int
    already: int
    failed: tuple[Failure, ...]
    warnings: tuple[str, ...]


Listener = Callable[[str, dict], None]  # called as listener("plan" | "pair" | "failed" | "note", facts)


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
    listener: Listener = lambda kind, facts: None,
) -> Summary:
    """Make the dataset `out` from `videos` (files or folders); the same call again continues.

    videos: "a.mp4@960" is a.mp4, captured at 960 frames/s; so is a file that a clips.toml beside it names (`rates`).
    recipe: a Recipe, a built-in name or a TOML file; without it and without `set` the recipe that `out` was built with,
    or else "lolblur"; set: `section.key=value` overrides; jobs: worker processes, by default one a core as far as
    memory allows; shard: (I, N) builds the I-th of N shares; device: auto, cpu, cuda[:N];
    backend: local, dask or ray; address: of a running cluster.
    Raises InputError when no input is usable (5), ForeignOutput (10), Locked (11), NoSpace (13), Interrupted (130).
    Failing videos and pairs do not raise: they are in the summary.
    """
    paths = [Path(p) for p in ([videos] if isinstance(videos, str | Path) else videos)]
    out = Path(out)
    if recipe is None:
        recipe = (None if set else stored.recipe(out)) or "lolblur"
    if isinstance(recipe, str):
        recipe = recipes.load(recipe)
    recipe = recipes.override(recipe, list(set))
    run = clusters.choose(backend, address)
    check_inputs(paths, out)
    claim(out, recipe)
    with hold(out / layout.STATE, shard):
        device = machine.resolve_device(device)
        if shard == (1, 1):  # another shard may have files in flight
            layout.clean(out)
        plan, pending = prepare(paths, out, recipe, jobs, device, listener, run=run)
        layout.write_atomic(out, out / "recipe.toml", recipes.to_toml(recipe).encode())
        stored.forget_failures(out, plan)
        for line in stored.left_over(out, plan):
            listener("note", {"message": line})
        already = plan.pairs - len(pending)
        tasks = _tasks(plan, pending, out, recipe, device, shard)
        listener("plan", {"pairs": plan.pairs, "already": already, "todo": sum(len(items) for _, items in tasks)})
        try:
            built, failed = _run(tasks, out, jobs or machine.auto_jobs(), listener, run)
        finally:
            manifest.write(out)
            if shard == (1, 1):
                layout.clean(out)
    refusals = [Failure(r.name, r.reason, r.message, r.hint) for r in plan.refused]
    return Summary(plan.pairs, built, already, tuple(refusals + failed), plan.warnings)


def check_inputs(paths: Sequence[Path], out: Path | None) -> None:
    """Every input exists, is no dataset, and does not hold the output (the next build would read its own frames)."""
    for path, _ in map(capture_rates.split, paths):
        if not os.path.lexists(path):
            swapped = out is not None and os.path.isdir(out) and not os.path.isdir(out / layout.STATE)
            hint = "check the path; the output folder comes last" if swapped else "check the path"
            raise InputError(f"{path}: no such file or folder", hint, "missing")
        if out is not None and path.is_dir() and out.resolve() == path.resolve():
            raise UsageError(f"{out} is the input and the output", "name another output folder, after the VIDEOS")
        if os.path.isdir(path / layout.STATE):
            raise UsageError(
                f"{path} is a dataset, not a folder of videos",
                f"name the videos before it, or see how far it is: lolblur-synth status {path}",
            )
        if out is not None and path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"the output {out} is inside the input {path}", "choose an output elsewhere")


def claim(out: Path, recipe: Recipe) -> None:
    """Make sure that out is a folder that is empty or ours, writable, and of the same recipe. Creates it.

    System files and hidden ones (.DS_Store, lost+found) are not content: Finder, and mkfs on a new disk, leave them.
    """
    state = out / layout.STATE
    if out.exists() and not out.is_dir():
        raise ForeignOutput(f"{out} is a file", "give a folder")
    if state.is_symlink() or (out.is_dir() and not state.is_dir() and _holds_files(out)):
        raise ForeignOutput(f"{out} holds files that are not a lolblur-synth dataset",
                            "give an empty or a new folder, after the VIDEOS")  # fmt: skip
    stored.check_recipe(out, recipe)
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / f"tmp-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        layout.raise_no_space(error, state)
        raise ForeignOutput(
            f"cannot write to {out}: {error.strerror}", "check its permissions, or give another folder"
        ) from None


def _holds_files(folder: Path) -> bool:
    try:
        return bool(listing.entries(folder))
    except OSError as error:
        raise ForeignOutput(
            f"cannot look into {folder}: {error.strerror}", "check its permissions, or give another folder"
        ) from None


def prepare(
    paths: Sequence[Path],
    out: Path | None,
    recipe: Recipe,
    jobs: int | None,
    device: str,
    listener: Listener,
    write: bool = True,
    run: clusters.Run = pool.run,
) -> tuple[Any, list]:
    """The plan, and the pairs of it that are not built yet. out=None: nothing was built; write=False: only look."""
    from lolblur_synth.dataset import plan as planning
    from lolblur_synth.files import video

    found, refusals = video.find_clips(paths)
    jobs = jobs or machine.auto_jobs()
    facts, unreadable = survey.all_inputs(found, out, recipe, jobs, listener, run, write)
    plan = planning.make(facts, refusals + unreadable, recipe, stored.clips(out))
    _check_rates(plan, out)
    for warning in plan.warnings:
        listener("note", {"message": warning})
    for refusal in plan.refused:
        listener("failed", dataclasses.asdict(refusal))
    if not plan.clips:
        raise InputError(
            "no usable video" + (f": all {len(plan.refused)} inputs were refused" if plan.refused else ""),
            "each is listed with its reason and its remedy"
            if plan.refused
            else "give videos of about 250 fps, or folders of frames with --fps",
            "none",
        )
    if out is None:
        return plan, [pair for clip in plan.clips for pair in clip.pairs]
    if write:
        layout.write_atomic(out, out / layout.STATE / "plan.json", layout.to_json(_plan_json(plan, recipe)))
    hashes = identity.weights_of(recipe)
    pairs = [(clip, pair) for clip in plan.clips for pair in clip.pairs]
    keys = [identity.key(recipe, *each, hashes, device) for each in pairs]
    pending = [
        pair
        for (clip, pair), key in zip(pairs, keys, strict=True)
        if not layout.is_done(out, clip.split, pair.sequence, pair.name, key)
    ]
    return plan, pending


def _check_rates(plan, out: Path | None) -> None:
    """Raise ForeignOutput where a clip had another capture rate in the plan that is already in out: other pairs."""
    earlier = layout.read_json(out / layout.STATE / "plan.json") if out else None
    rate_by_clip = {clip["sha256"]: clip.get("fps") for clip in earlier["clips"]} if earlier else {}
    for clip in (clip.facts for clip in plan.clips):
        if (before := rate_by_clip.get(clip.sha256)) not in (None, clip.fps):
            raise ForeignOutput(
                f"{clip.name}: {clip.fps:.9g} fps, but {out} was built with it at {before:.9g} fps",
                f"give its rate again, {clip.name}@{before:.9g} (or in clips.toml), or use another output folder",
            )


def _plan_json(plan, recipe: Recipe) -> dict:
    """What `status` and `verify` need to know of the plan; names, never paths."""
    clips = [
        {
            "sequence": clip.sequence,
            "split": clip.split,
            "name": clip.facts.name,
            "sha256": clip.facts.sha256,
            "fps": clip.facts.fps,
            "light": clip.facts.light,
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


def _tasks(plan, pending: list, out: Path, recipe: Recipe, device: str, shard: tuple[int, int]) -> list[pool.Task]:
    """Runs of at most CHUNK pairs of one clip; the I-th of N shards takes every N-th run."""
    wanted, hashes, tasks, number = {(p.sequence, p.name) for p in pending}, identity.weights_of(recipe), [], 0
    for clip in plan.clips:
        for start in range(0, len(clip.pairs), CHUNK):
            run = tuple(p for p in clip.pairs[start : start + CHUNK] if (p.sequence, p.name) in wanted)
            if run and number % shard[1] == shard[0] - 1:
                keys = {p: identity.key(recipe, clip, p, hashes, device) for p in run}
                payload = {
                    "out": out,
                    "recipe": recipe,
                    "clip": clip,
                    "keys": keys,
                    "weights": hashes,
                    "device": device,
                }
                tasks.append((payload, run))
            number += 1
    return tasks


def _run(tasks: list[pool.Task], out: Path, jobs: int, listener: Listener, run: clusters.Run) -> tuple[int, list]:
    """Hand the tasks to workers; count, log and note failures."""
    built, failed, log = 0, [], out / layout.STATE / "log.jsonl"

    def report(kind: str, pair, result) -> None:
        nonlocal built
        name = f"{pair.sequence}/{pair.name}"
        if kind == "done":
            built += 1
            listener("pair", {"pair": name, **result})
        else:
            failed.append(Failure(name, result["reason"], result["message"], result.get("hint", "")))
            layout.write_failure(out, pair.sequence, pair.name, result)
            listener("failed", {"name": name, **result})
        with contextlib.suppress(OSError), log.open("a") as stream:
            stream.write(json.dumps({"time": time.time(), "pair": name, "kind": kind, **(result or {})}) + "\n")

    run("lolblur_synth.dataset.worker:build", tasks, jobs, report)
    return built, failed
