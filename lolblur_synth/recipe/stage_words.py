"""The text of the stages of a user in a recipe: their names, their sections, their differences.

None of their code is run.
"""

import dataclasses
from typing import Any

from lolblur_synth.errors import RecipeError
from lolblur_synth.recipe import user_stages
from lolblur_synth.recipe.schema import SECTIONS, STAGE_NAMES, Recipe
from lolblur_synth.recipe.stage_record import UserStage
from lolblur_synth.recipe.values import toml_value

TAKEN = (*SECTIONS, "skip", "stages", "name", "base")  # keys of a recipe
WORDS = {user_stages.DISPLAY: "display values, 0..1", user_stages.LINEAR: "linear light"}


def check_names(names: list[str], where: str) -> None:
    """Raise RecipeError where a name cannot be that of a section, or is taken."""
    for name in names:
        if not name.isidentifier() or name in TAKEN:
            raise RecipeError(f"{where}: a stage of your own cannot be called {name!r}", "give it another name")
        if names.count(name) > 1:
            raise RecipeError(f"{where}: two stages are called {name}", "give one of them another name")


def stated(stage: UserStage, key: str, value: Any, where: str) -> UserStage:
    """The stage with one line of its section; `import_stages` checks the value."""
    origins = tuple((dict(stage.origins) | {key: where.removesuffix(": ")}).items())
    stage = dataclasses.replace(stage, origins=origins, imported=False)
    if key == "sha256":
        return dataclasses.replace(stage, sha256=str(value))
    if key == "after":
        place = str(value).replace("-", "_")
        if place not in STAGE_NAMES:
            raise RecipeError(f"{where}: after = {value!r} is no stage", f"one of {', '.join(STAGE_NAMES)}")
        return dataclasses.replace(stage, after=place)
    values = dict(stage.values) | {key: tuple(value) if isinstance(value, list) else value}
    return dataclasses.replace(stage, values=tuple(sorted(values.items())))


def section_lines(stage: UserStage) -> list[str]:
    """The section of a stage of the user; an imported one is held to the code that it has now."""
    lines, notes = [], dict(stage.notes)
    if stage.imported:
        lines = ["# of its code; another one makes another dataset", f'sha256 = "{stage.sha256}"']
        lines.append(f"# the stage after which it stands, where frames are {WORDS[user_stages.domain(stage)]}")
    lines += [f'after = "{stage.after}"'] if stage.after else []
    for name, value in stage.values:
        lines += [f"# {notes[name]}"] if name in notes else []
        lines.append(f"{name} = {toml_value(value)}")
    return lines


def differences(old: Recipe, new: Recipe) -> list[tuple[str, Any, Any]]:
    """(key, old value, new value) of what differs in the stages of two recipes."""
    before, now = ({stage.name: stage for stage in recipe.stages} for recipe in (old, new))
    changes: list[tuple[str, Any, Any]] = [("stages", tuple(before), tuple(now))] if [*before] != [*now] else []
    for name in before.keys() & now.keys():
        a, b = before[name], now[name]
        pairs: list[tuple[str, Any, Any]] = [("sha256", a.sha256[:12], b.sha256[:12]), ("after", a.after, b.after)]
        pairs += [(key, dict(a.values).get(key), dict(b.values).get(key)) for key in dict(a.values) | dict(b.values)]
        changes += [(f"{name}.{key}", one, other) for key, one, other in pairs if one != other]
    return changes
