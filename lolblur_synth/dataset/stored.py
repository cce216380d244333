"""What earlier builds left in an output folder: recipe, plan, and pairs of videos that are no longer planned.

The code of the user's stages lies beside the recipe, so that the dataset can be built again. It is data here: a dataset
may come from a stranger, so nothing is imported from it unless the user names its recipe (`to_continue`).
"""

import dataclasses
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from lolblur_synth import recipes
from lolblur_synth.dataset import layout
from lolblur_synth.dataset.records import Place, Plan
from lolblur_synth.errors import Damaged, ForeignOutput, RecipeError
from lolblur_synth.recipe.schema import Recipe

CODE = "stages"  # folder of the dataset for the files of the user's stages


def recipe(out: Path) -> Recipe | None:
    """The recipe that the dataset `out` was built with; None where `out` is no dataset or has no recipe yet.

    The stages of the user in it are not imported.
    """
    path = out / "recipe.toml"
    if not (out / layout.STATE).is_dir() or not path.is_file():
        return None
    return recipes.parse(path.read_text("utf-8"), str(path))


def to_continue(out: Path) -> Recipe | None:
    """As `recipe`, for a build that names no recipe. Raises RecipeError where it has stages of the user."""
    earlier = recipe(out)
    if earlier is not None and earlier.stages:
        path = out / "recipe.toml"
        names = ", ".join(stage.target for stage in earlier.stages)
        raise RecipeError(f"{path} names code, {names}, which is not run unasked", "give the recipe that OUT was built "
                          f"with; or read the code, then add --recipe {shlex.quote(str(path))}")  # fmt: skip
    return earlier


def write_recipe(out: Path, recipe: Recipe) -> None:
    """Write OUT/recipe.toml and, for each stage file of the user, OUT/stages/NAME.py, which the recipe then names."""
    stages = []
    for stage in recipe.stages:
        if stage.path:
            layout.own_folder(out, out / CODE)
            layout.write_atomic(out, out / CODE / f"{stage.name}.py", stage.source.encode())
            stage = dataclasses.replace(stage, target=f"{CODE}/{stage.name}.py:{stage.code}")
        stages.append(stage)
    text = recipes.to_toml(dataclasses.replace(recipe, stages=tuple(stages)))
    layout.write_atomic(out, out / "recipe.toml", text.encode())


def damaged_stages(out: Path) -> list[tuple[str, str]]:
    """("missing" or "corrupt", path) of each stage file of the dataset that is not what its recipe was written for."""
    try:
        earlier = recipe(out)
    except RecipeError:
        return []
    stages = [stage for stage in earlier.stages if stage.path] if earlier else []
    return [("corrupt" if stage.found else "missing", stage.target.rpartition(":")[0])
            for stage in stages if stage.found != stage.sha256]  # fmt: skip


def plan(out: Path) -> dict | None:
    """The last plan of `out`; None where there is none, or one that is torn. Raises Damaged where it is none of ours.

    The names in it become parts of paths: others than numbers are not taken.
    """
    path = out / layout.STATE / "plan.json"
    plan = layout.read_json(path)
    if plan is None or "clips" not in plan:
        return None
    if not isinstance(plan["clips"], list) or not all(map(_is_clip, plan["clips"])) or not _has_refusals(plan):
        raise Damaged(f"{path}: not a plan of this program", "run `lolblur-synth build` again with the same videos")
    return plan


def _is_clip(clip: Any) -> bool:
    if not isinstance(clip, dict) or clip.get("split") not in layout.SPLITS or not isinstance(clip.get("pairs"), list):
        return False
    if not isinstance(clip.get("name", ""), str) or not isinstance(clip.get("sha256", ""), str):
        return False
    if not isinstance(clip.get("fps", 0.0), int | float):
        return False
    names = [clip.get("sequence"), *clip["pairs"]]
    return all(isinstance(name, str) and layout.NUMBER.fullmatch(name) for name in names)


def _has_refusals(plan: dict) -> bool:
    refused = plan.get("refused", [])
    return isinstance(refused, list) and all(isinstance(each, dict) and isinstance(each.get("name"), str) and
                                             isinstance(each.get("message"), str) for each in refused)  # fmt: skip


def check_recipe(out: Path, asked: Recipe) -> None:
    """Raise ForeignOutput, naming every difference, where `out` was built with another recipe than `asked`."""
    earlier = recipe(out)
    changes = recipes.changes(earlier, asked) if earlier else []
    if changes:
        hint = f"leave the recipe options out to continue with the recipe of {out}, or use another output folder"
        if earlier and earlier.stages:
            recipe_file = shlex.quote(str(out / "recipe.toml"))
            hint = f"--recipe {recipe_file} continues with the recipe of {out}; or use another output folder"
        raise ForeignOutput(f"{out} was built with another recipe ({'; '.join(changes)})", hint)


def clips(out: Path | None) -> dict[str, Place]:
    """sha256 -> place of each video in the last plan of `out`, and of each video that has pairs from an earlier one.

    The latter keep their number and their split for the case that they are given again.
    """
    if out is None:
        return {}
    try:
        planned_clips = (plan(out) or {"clips": []})["clips"]
    except Damaged:  # the build writes it anew
        planned_clips = []
    places = {clip["sha256"]: Place(clip["sequence"], clip["split"]) for clip in planned_clips if "sha256" in clip}
    planned = {place.sequence for place in places.values()}
    for folder in sorted((out / layout.STATE / "pairs").glob("*/*")):
        if layout.NUMBER.fullmatch(folder.name) and folder.name not in planned:
            records = filter(None, map(layout.read_json, sorted(folder.glob("*.json"))))
            source = next(records, {}).get("source")
            if isinstance(source, dict) and isinstance(source.get("sha256"), str):
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
