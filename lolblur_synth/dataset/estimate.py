"""The tool behind `lolblur-synth plan`: what `build` would do, with disk and time measured on one real pair."""

import dataclasses
import shutil
import tempfile
import time
from pathlib import Path

from lolblur_synth import recipes
from lolblur_synth.dataset import build, layout, stored, verify
from lolblur_synth.parallel import machine
from lolblur_synth.recipe.schema import Recipe


def plan(
    videos: list[Path], out: Path | None, recipe: Recipe, jobs: int | None, device: str,
    listener: build.Listener = lambda kind, facts: None,
) -> dict:  # fmt: skip
    """A JSON-able account of what `build` would do. Nothing is written to `out`.

    listener: as of `build.build`, and called with "measure" before a pair is built. `seconds` and `bytes` come from
    building the first missing pair in a temporary folder; they are None when nothing is left to build.
    Raises InputError (exit 5) when no video can be used, ForeignOutput (10) when `out` has another recipe.
    """
    build.check_inputs(videos, out)
    if out is not None:
        stored.check_recipe(out, recipe)
    device = machine.resolve_device(device)
    built = out if out is not None and (out / layout.STATE).is_dir() else None
    found, pending = build.prepare(videos, built, recipe, jobs, device, listener, write=False)
    workers = jobs or machine.auto_jobs()
    if pending:
        listener("measure", {})
    size, seconds = _measure(found, pending, recipe, device) if pending else (None, None)
    place = next(p for p in [(out or Path.cwd()).absolute(), *(out or Path.cwd()).absolute().parents] if p.exists())
    return {
        "recipe": recipe.name,
        "recipe_sha256": recipes.sha256(recipe),
        "off": list(recipe.skip),
        "clips": [
            {
                "name": clip.facts.name,
                "sequence": clip.sequence,
                "split": clip.split,
                "fps": clip.facts.fps,
                "frames": clip.facts.frames,
                "size": [clip.facts.width, clip.facts.height],
                "cuts": len(clip.facts.cuts),
                "pairs": len(clip.pairs),
                "light": clip.facts.light,
            }
            for clip in found.clips
        ],
        "refused": [dataclasses.asdict(refusal) for refusal in found.refused],
        "warnings": list(found.warnings),
        "pairs": found.pairs,
        "left": len(pending),
        "bytes": None if size is None else size * len(pending),
        "free": shutil.disk_usage(place).free,
        "seconds": None if seconds is None else seconds * len(pending) / workers,
        "jobs": workers,
    }


def _measure(found, pending: list, recipe: Recipe, device: str) -> tuple[int, float]:
    """Bytes and seconds of one pair: the second of two runs, when everything is compiled and loaded."""
    from lolblur_synth.dataset import worker

    clip = next(clip for clip in found.clips if pending[0] in clip.pairs)
    job = {
        "recipe": recipe,
        "clip": clip,
        "keys": {pending[0]: ""},
        "weights": {},
        "device": device,
    }
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            steps = list(worker.build(job | {"out": Path(folder)}, (pending[0],)))
            seconds = time.perf_counter() - started
    return (steps[-1][2].get("bytes", 0), seconds)


def to_text(found: dict) -> str:
    """The account as a table for people."""
    lines = [f"{'clip':>6} {'split':6} {'frames':>7} {'fps':>7} {'size':>10} {'cuts':>5} {'pairs':>6}  name"]
    for clip in found["clips"]:
        size = "x".join(map(str, clip["size"]))
        lines.append(
            f"{clip['sequence']:>6} {clip['split']:6} {clip['frames']:7} {clip['fps']:7g} {size:>10} "
            f"{clip['cuts']:5} {clip['pairs']:6}  {clip['name']}"
            + (f" ({verify.LIGHT_IN_WORDS})" if clip["light"] == "measured" else "")
        )
    for refusal in found["refused"]:
        lines += [f"refused: {refusal['message']}", *([f"  {refusal['hint']}"] if refusal["hint"] else [])]
    lines += [f"note: {warning}" for warning in found["warnings"]]
    off = f"; off: {', '.join(found['off'])}" if found["off"] else ""
    lines.append(f"{found['pairs']} pairs, {found['left']} to build, recipe {found['recipe']}{off}")
    if found["left"]:
        lines.append(
            f"disk: about {max(1, found['bytes'] / 1e6):.0f} MB needed, {found['free'] / 1e6:.0f} MB free"
            + ("; NOT ENOUGH" if found["bytes"] > found["free"] else "")
        )
        minutes = found["seconds"] / 60
        about = f"about {minutes:.1f} minutes" if minutes >= 1 else "less than a minute"
        lines.append(f"time: {about} with {found['jobs']} worker{'s' * (found['jobs'] != 1)}")
    return "\n".join(lines)
