"""The first step of a build: every input is read once, by workers; what was learnt is kept beside the dataset."""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lolblur_synth import __version__
from lolblur_synth.dataset import layout
from lolblur_synth.errors import InputError
from lolblur_synth.parallel import pool
from lolblur_synth.recipe.schema import Recipe

Listener = Callable[[str, dict], None]


def all_inputs(
    found: list, out: Path | None, recipe: Recipe, jobs: int, listener: Listener, run: Callable = pool.run,
    write: bool = True,
) -> tuple[list, list]:  # fmt: skip
    """Read every input once: its facts, or why it is refused. What an earlier build learnt is not read again.

    out: the dataset beside which facts are kept, or None; write=False: look there, but leave it as it is;
    run: `pool.run`, or one of `clusters`.
    """
    from lolblur_synth.files.video import Refusal

    facts, refused, unread = [], [], []
    for item in found:
        earlier = _kept(out, item, recipe) if out else None
        if earlier is None:
            unread.append(item)
        else:
            facts.append(earlier)
    listener("survey", {"inputs": len(found), "todo": len(unread)})

    def report(kind: str, item, result) -> None:
        listener("surveyed", {"name": item.name})
        if kind == "failed":
            named = result["message"] if item.name in result["message"] else f"{item.name}: {result['message']}"
            refused.append(Refusal(item.name, result["reason"], named, result.get("hint", "")))
            return
        facts.append(result)
        if out and write:
            path = _cache_path(out, item, recipe, result.stamp)
            layout.write_atomic(out, path, layout.to_json(dataclasses.asdict(result) | {"path": "", "name": ""}))

    run("lolblur_synth.dataset.worker:survey", [(recipe, (item,)) for item in unread], jobs, report)
    return facts, refused


def _kept(out: Path, item, recipe: Recipe) -> Any | None:
    """What an earlier build learnt about this very input: `plan.Facts`, or None."""
    from lolblur_synth.dataset.plan import Facts
    from lolblur_synth.files import video

    try:
        stamp = video.stamp(item)
    except (OSError, InputError):
        return None  # whoever reads it says why it cannot be read
    values = layout.read_json(_cache_path(out, item, recipe, stamp))
    if values is None or values.keys() != Facts.__annotations__.keys() or values["stamp"] != stamp:
        return None
    return Facts(**{key: _tuples(value) for key, value in values.items()} | {"path": str(item.path), "name": item.name})


def _tuples(value: Any) -> Any:
    """JSON has lists where `plan.Facts` has tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _cache_path(out: Path, item, recipe: Recipe, stamp: str) -> Path:
    """Where the facts about an input are kept: a name that changes with the place of the input and its stamp, with the
    options, and with `Facts`. A dataset that was copied to another machine is surveyed again: same facts, same plan."""
    from lolblur_synth.dataset.plan import Facts

    options = [recipe.input, recipe.interpolate.cut, recipe.skip, recipe.resize, item.fps]
    if "denoise" not in recipe.skip:
        options.append(recipe.denoise)
    parts = (__version__, tuple(Facts.__annotations__), os.fsencode(os.path.realpath(item.path)), stamp, options)
    return out / layout.STATE / "surveys" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.json"
