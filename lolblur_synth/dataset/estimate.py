"""The tool behind `lolblur-synth plan`: what `build` would do, with disk and time measured on one real pair."""

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lolblur_synth import recipes
from lolblur_synth.dataset import build, checks, layout, stored, verify
from lolblur_synth.dataset.records import Clip, Job, Listener, Pair, Plan
from lolblur_synth.dataset.sources import Sources, Word
from lolblur_synth.errors import counted
from lolblur_synth.parallel import machine
from lolblur_synth.recipe.schema import Recipe


def plan(
    videos: Sequence[Word], out: Path | None, recipe: Recipe, jobs: int | None, device: str,
    listener: Listener = lambda kind, fields: None,
) -> dict:  # fmt: skip
    """What `build` would do, as a dict for JSON. Writes nothing to `out`.

    `seconds` and `bytes` are measured by building the first missing pair in a temporary folder, and None when nothing
    is left to build. listener: as of `build.build`; it is also called with "measure" before that pair is built.
    Raises InputError (exit 5) when no video can be used, ForeignOutput (10) when `out` has another recipe.
    """
    checks.check_inputs(videos, out)
    named = Sources(videos)
    recipe = checks.ready(recipe)
    if out is not None:
        stored.check_recipe(out, recipe)
    device = machine.resolve_device(device)
    built = out if out is not None and (out / layout.STATE).is_dir() else None
    workers = jobs or machine.auto_jobs(device)
    with named.inputs() as inputs:
        planned, pending = build.prepare(inputs, built, recipe, jobs, device, listener, write=False)
        if pending:
            listener("measure", {})
        size, seconds = _measure(planned, pending[0], recipe, device) if pending else (None, None)
    place = next(p for p in [(out or Path.cwd()).absolute(), *(out or Path.cwd()).absolute().parents] if p.exists())
    return {
        "recipe": recipe.name,
        "recipe_sha256": recipes.sha256(recipe),
        "off": list(recipe.skip),
        "clips": [
            {
                "name": clip.video.name,
                "sequence": clip.sequence,
                "split": clip.split,
                "fps": clip.video.fps,
                "frames": clip.video.frames,
                "size": [clip.video.width, clip.video.height],
                "cuts": len(clip.video.cuts),
                "pairs": len(clip.pairs),
                "exposure_ms": [round(1000 * window / clip.video.fps, 1) for window in _windows(clip)],
                "light": clip.video.light,
            }
            for clip in planned.clips
        ],
        "refused": [dataclasses.asdict(refusal) for refusal in planned.refused],
        "warnings": list(planned.warnings),
        "pairs": planned.pairs,
        "left": len(pending),
        "bytes": None if size is None else size * len(pending),
        "free": shutil.disk_usage(place).free,
        "seconds": None if seconds is None else seconds * len(pending) / workers,
        "jobs": workers,
    }


def _windows(clip: Clip) -> tuple[int, int]:
    """The shortest and the longest window of a clip's pairs, in source frames."""
    windows = [pair.window for pair in clip.pairs]
    return min(windows), max(windows)


def _measure(plan: Plan, pair: Pair, recipe: Recipe, device: str) -> tuple[int, float]:
    """Bytes and seconds of one pair: of the second of two runs, since the first one compiles and loads."""
    from lolblur_synth.dataset import worker

    clip = next(clip for clip in plan.clips if pair in clip.pairs)
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            *_, (_, _, result) = worker.build(Job(recipe, clip, device, out=Path(folder)), (pair,))
            seconds = time.perf_counter() - started
    return result.get("bytes", 0), seconds


def to_text(account: dict) -> str:
    """What `plan` returned, as a table for people."""
    lines = [
        f"{'clip':>6} {'split':6} {'frames':>7} {'fps':>7} {'size':>10} {'cuts':>5} {'pairs':>6} {'exposure':>9}  name"
    ]
    for clip in account["clips"]:
        size = "x".join(map(str, clip["size"]))
        exposure = " to ".join(f"{length:.0f}" for length in sorted({*clip["exposure_ms"]})) + " ms"
        lines.append(
            f"{clip['sequence']:>6} {clip['split']:6} {clip['frames']:7} {clip['fps']:7g} {size:>10} "
            f"{clip['cuts']:5} {clip['pairs']:6} {exposure:>9}  {clip['name']}"
            + (f" ({verify.LIGHT_IN_WORDS})" if clip["light"] == "measured" else "")
        )
    for refusal in account["refused"]:
        lines += [f"refused: {refusal['message']}", *([f"  {refusal['hint']}"] if refusal["hint"] else [])]
    lines += [f"note: {warning}" for warning in account["warnings"]]
    off = f"; off: {', '.join(account['off'])}" if account["off"] else ""
    lines.append(f"{account['pairs']} pairs, {account['left']} to build, recipe {account['recipe']}{off}")
    if account["left"]:
        lines.append(
            f"disk: about {max(1, account['bytes'] / 1e6):.0f} MB needed, {account['free'] / 1e6:.0f} MB free"
            + ("; NOT ENOUGH" if account["bytes"] > account["free"] else "")
        )
        minutes = account["seconds"] / 60
        about = f"about {minutes:.1f} minutes" if minutes >= 1 else "less than a minute"
        lines.append(f"time: {about} with {counted(account['jobs'], 'worker')}")
    return "\n".join(lines)
