"""The first step of a build: every input is read once, by workers; what was learnt is kept beside the dataset."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

from lolblur_synth import __version__, dataset, runner
from lolblur_synth.recipe import Recipe

Listener = Callable[[str, dict], None]


def all_inputs(
    found: list, out: Path | None, recipe: Recipe, jobs: int, listener: Listener, run: Callable = runner.run
) -> tuple[list, list]:
    """Read every input once: its facts, or why it is refused. What an earlier build learnt is not read again.

    run: `runner.run`, or one of `clusters`.
    """
    from lolblur_synth.plan import Facts
    from lolblur_synth.video import Refusal

    caches = {item: _cache_path(out, item, recipe) for item in found} if out else {}
    facts, refused, unknown = [], [], []
    for item in found:
        known = dataset.read_json(caches[item]) if item in caches else None
        if known is None:
            unknown.append(item)
        else:
            curve = tuple(map(tuple, known["curve"]))
            facts.append(Facts(**known | {"cuts": tuple(known["cuts"]), "curve": curve, "path": str(item.path),
                                          "notes": tuple(known["notes"])}))
    listener("survey", {"inputs": len(found), "todo": len(unknown)})

    def report(kind: str, item, result) -> None:
        listener("surveyed", {"name": item.name})
        if kind == "failed":
            named = result["message"] if item.name in result["message"] else f"{item.name}: {result['message']}"
            refused.append(Refusal(item.name, result["reason"], named))
            return
        facts.append(result)
        if item in caches:
            dataset.write_atomic(out, caches[item], dataset.to_json(dataclasses.asdict(result) | {"path": ""}))

    run("lolblur_synth.work:survey", [(recipe, (item,)) for item in unknown], jobs, report)
    return facts, refused


def _cache_path(out: Path, item, recipe: Recipe) -> Path:
    """Where the facts about an input are kept: a name that changes with it, with the options, and with `Facts`."""
    from lolblur_synth.plan import Facts

    options = [recipe.input, recipe.interpolate.cut, recipe.skip, item.fps]
    if "denoise" not in recipe.skip:
        options += [recipe.denoise, recipe.resize]
    name = hashlib.sha256(repr((__version__, tuple(Facts.__annotations__), item.name, _stamp(item), options)).encode())
    return out / dataset.STATE / "surveys" / f"{name.hexdigest()[:32]}.json"


def _stamp(item) -> list[tuple]:
    """Name, size and time of each file of an input: they change when the input does, and need no reading."""
    from lolblur_synth.video.capture import sidecar

    files = [item.path, *filter(None, [sidecar(item.path)])] if item.kind == "video" else sorted(item.path.iterdir())
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
