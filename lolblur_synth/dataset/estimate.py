"""The tool behind `lolblur-synth plan`: what `build` would do, with disk and time from a rehearsal of a few jobs."""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from lolblur_synth import recipes
from lolblur_synth.dataset import build, calibration, checks, forecast, layout, stored, verify
from lolblur_synth.dataset.forecast import Forecast
from lolblur_synth.dataset.records import Clip, Listener, Pair, Plan
from lolblur_synth.dataset.sources import Sources, Word
from lolblur_synth.errors import counted
from lolblur_synth.parallel import machine
from lolblur_synth.recipe.schema import Recipe


def plan(
    videos: Sequence[Word], out: Path | None, recipe: Recipe, jobs: int | None, device: str,
    listener: Listener = lambda kind, fields: None, calibrate: bool = False,
) -> dict:  # fmt: skip
    """What `build` would do, as a dict for JSON. Writes nothing to `out`.

    `seconds` and `bytes` come from a rehearsal of a few jobs in a temporary folder; they are None when nothing is left
    to build, or nothing could be rehearsed. calibrate: measure what a build costs beside its pairs on this machine,
    where that is not known yet, and keep it in the user's cache. listener: as of `build.build`; it is also called with
    "calibrate" and "rehearse" before these begin.
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
        started = time.perf_counter()
        planned, pending = build.prepare(inputs, built, recipe, workers, device, listener, write=False)
        survey = time.perf_counter() - started
        future = _forecast(planned, pending, recipe, device, workers, survey, listener, calibrate) if pending else None
    return _account(planned, len(pending), recipe, workers, future, out)


def _account(planned: Plan, left: int, recipe: Recipe, workers: int, future: Forecast | None, out: Path | None) -> dict:
    place = next(p for p in [(out or Path.cwd()).absolute(), *(out or Path.cwd()).absolute().parents] if p.exists())
    return {
        "recipe": recipe.name,
        "recipe_sha256": recipes.sha256(recipe),
        "off": list(recipe.skip),
        "clips": [_told(clip) for clip in planned.clips],
        "refused": [dataclasses.asdict(refusal) for refusal in planned.refused],
        "warnings": list(planned.warnings),
        "pairs": planned.pairs,
        "left": left,
        "bytes": future and future.bytes,
        "bytes_range": future and [future.bytes_low, future.bytes_high],
        "free": shutil.disk_usage(place).free,
        "seconds": future and future.seconds,
        "seconds_range": future and [future.low, future.high],
        "pair_seconds": future and future.pair,
        "motion_px": future and round(future.motion, 1),
        "jobs": workers,
    }


def _told(clip: Clip) -> dict:
    return {
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


def _windows(clip: Clip) -> tuple[int, int]:
    """The shortest and the longest window of a clip's pairs, in source frames."""
    windows = [pair.window for pair in clip.pairs]
    return min(windows), max(windows)


def _forecast(
    planned: Plan, pending: list[Pair], recipe: Recipe, device: str, workers: int, survey: float, listener: Listener,
    calibrate: bool,
) -> Forecast | None:  # fmt: skip
    """None where no pair could be made."""
    overhead = calibration.measured(workers, device)
    if overhead is None and calibrate:
        listener("calibrate", {})
        overhead = calibration.measure(workers, device)
    jobs = forecast.jobs_of(planned, pending)
    listener("rehearse", {"jobs": min(workers, len(jobs))})
    rehearsals = forecast.rehearse(jobs, recipe, device, workers)
    return forecast.forecast(jobs, rehearsals, workers, survey, overhead) if rehearsals else None


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
    if account["left"] and account["seconds"] is not None:
        lines += _in_words(account)
    elif account["left"]:
        lines.append("disk and time: not known, because no pair could be made; `build` names the reason of each")
    return "\n".join(lines)


def _in_words(account: dict) -> list[str]:
    """Disk, time and motion."""
    low, high = (max(1, round(size / 1e6)) for size in account["bytes_range"])
    short = "; NOT ENOUGH" if account["bytes"] > account["free"] else ""
    shortest, longest = map(_in_units, account["seconds_range"])
    return [
        f"disk: {low} to {high} MB needed, {account['free'] / 1e6:.0f} MB free{short}",
        f"time: {shortest} to {longest} with {counted(account['jobs'], 'worker')}, "
        f"{account['pair_seconds']:.1f} s a pair in each",
        f"motion: half of the pixels move by more than {account['motion_px']:.1f} px in an exposure",
    ]


def _in_units(seconds: float) -> str:
    """ "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
