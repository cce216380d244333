"""What earlier builds left in an output folder: recipe, plan, and pairs of videos that are no longer planned."""

import os
from collections import Counter
from pathlib import Path

from lolblur_synth import recipes
from lolblur_synth.dataset import layout
from lolblur_synth.dataset.records import Place, Plan
from lolblur_synth.errors import ForeignOutput
from lolblur_synth.recipe.schema import Recipe


def recipe(out: Path) -> Recipe | None:
    """The recipe that the dataset `out` was built with; None where `out` is no dataset or has no recipe yet."""
    path = out / "recipe.toml"
    if not (out / layout.STATE).is_dir() or not path.is_file():
        return None
    return recipes.parse(path.read_text(), str(path))


def check_recipe(out: Path, asked: Recipe) -> None:
    """Raise ForeignOutput, naming every difference, where `out` was built with another recipe than `asked`."""
    earlier = recipe(out)
    changes = recipes.changes(earlier, asked) if earlier else []
    if changes:
        raise ForeignOutput(
            f"{out} was built with another recipe ({'; '.join(changes)})",
            f"leave the recipe options out to continue with the recipe of {out}, or use another output folder",
        )


def clips(out: Path | None) -> dict[str, Place]:
    """sha256 -> place of each video in the last plan of `out`, and of each video that has pairs from an earlier one.

    The latter keep their number and their split for the case that they are given again.
    """
    if out is None:
        return {}
    plan = layout.read_json(out / layout.STATE / "plan.json") or {"clips": []}
    places = {clip["sha256"]: Place(clip["sequence"], clip["split"]) for clip in plan["clips"]}
    planned = {place.sequence for place in places.values()}
    for folder in sorted((out / layout.STATE / "pairs").glob("*/*")):
        if folder.name.isdecimal() and folder.name not in planned:
            records = filter(None, map(layout.read_json, sorted(folder.glob("*.json"))))
            source = next(records, {}).get("source")
            if isinstance(source, dict) and "sha256" in source:
                places.setdefault(source["sha256"], Place(folder.name, folder.parent.name))
    return places


def forget_failures(out: Path, plan: Plan) -> None:
    """Remove the failure records of pairs that are no longer planned, such as those of a video that was replaced."""
    planned = {layout.failure_path(out, pair.sequence, pair.name) for clip in plan.clips for pair in clip.pairs}
    for path in (out / layout.STATE / "failed").glob("*/*.json"):
        if path not in planned:
            layout.disk.unlink(path)


def left_over(out: Path, plan: Plan) -> list[str]:
    """One line for each video that has pairs in `out` but is not in the plan; its pairs stay."""
    planned = {clip.sequence: clip.video.sha256 for clip in plan.clips}
    names = {clip.video.name for clip in plan.clips}
    whole: Counter[tuple[str, str]] = Counter()  # pairs by (name of the video, place)
    damaged: Counter[tuple[str, str]] = Counter()
    for path in sorted((out / layout.STATE / "pairs").glob("*/*/*.json")):
        split, sequence, name = path.parts[-3], path.parts[-2], path.stem
        record = layout.read_json(path) if sequence not in planned else None
        if record is not None and isinstance(record.get("source"), dict):
            video, place = str(record["source"].get("name")), os.path.join(split, "*", sequence)
            is_whole = layout.is_done(out, split, sequence, name, record.get("key"))
            (whole if is_whole else damaged)[video, place] += 1
    lines = []
    for video, place in sorted(whole.keys() | damaged.keys()):
        count, lost = whole[video, place] + damaged[video, place], damaged[video, place]
        line = (
            f"{video}: its content has changed; {count} pairs of the earlier content stay in {place}"
            if video in names
            else f"{video}: not among the inputs any more; its {count} pairs stay in {place}"
        )
        lines.append(line + (f" ({lost} of them lack files that only the earlier input can give back)" if lost else ""))
    return lines
