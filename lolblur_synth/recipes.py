"""Recipes: read (`load`), change (`override`), compare (`changes`), write (`to_toml`) and hash (`sha256`) them.

`recipe/schema.py` declares the values, `recipe/values.py` checks them, `recipe/builtin/` holds the built-in recipes.
Of the user's stages that a recipe names, only `import_stages` runs the code. Standard library only.
"""

import dataclasses
import difflib
import hashlib
import json
import tomllib
from importlib import metadata, resources, util
from pathlib import Path
from typing import Any

from lolblur_synth.errors import RecipeError
from lolblur_synth.recipe import stage_words, user_stages
from lolblur_synth.recipe.schema import ADDED, FORMER_VALUES, SECTIONS, STAGE_NAMES, Recipe
from lolblur_synth.recipe.stage_record import UserStage
from lolblur_synth.recipe.values import check, describe_range, line_of, parse_value, skipped_stages, toml_value


def names() -> list[str]:
    """The names of the built-in recipes, sorted."""
    return sorted(
        f.name[:-5] for f in resources.files("lolblur_synth.recipe.builtin").iterdir() if f.name.endswith(".toml")
    )


def summary(name: str) -> str:
    """What a built-in recipe is for: the first sentence of the comment that its file begins with."""
    text = (resources.files("lolblur_synth.recipe.builtin") / f"{name}.toml").read_text()
    return text.removeprefix("# ").partition(".")[0].partition("\n")[0]


def load(name_or_file: str) -> Recipe:
    """A built-in recipe by name, or a TOML file. A file may name a built-in `base` and hold only what differs from it.

    Raises RecipeError.
    """
    if name_or_file in names():
        text = (resources.files("lolblur_synth.recipe.builtin") / f"{name_or_file}.toml").read_text()
        return parse(text, f"{name_or_file}.toml", default_name=name_or_file)
    path = Path(name_or_file)
    if not path.is_file() and (path.suffix == ".toml" or path.name != name_or_file):
        raise RecipeError(f"{path}: no such file", f"check the path, or give a built-in recipe: {', '.join(names())}")
    if not path.is_file():
        close = difflib.get_close_matches(name_or_file, names(), 1)
        raise RecipeError(
            f"no recipe {name_or_file!r}",
            f"did you mean {close[0]!r}?" if close else f"built in: {', '.join(names())}; or give a .toml file",
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path}: {error}", "a recipe is a UTF-8 TOML file; see `lolblur-synth recipe cp lolblur`"
        ) from None
    return parse(text, str(path), default_name=path.stem.encode("utf-8", "replace").decode())


def parse(text: str, where: str, default_name: str = "custom") -> Recipe:
    """A recipe from TOML text. where: file name for messages. default_name: without `name`. Raises RecipeError."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{where}: {error}", "see `lolblur-synth recipe show lolblur` for the form") from None
    base = table.pop("base", None)
    if base is not None and base not in names():
        raise RecipeError(f"{where}: base = {base!r} is not built in", f"one of {', '.join(names())}")
    recipe = Recipe() if base is None else load(base)
    recipe = dataclasses.replace(recipe, name=str(table.pop("name", default_name)))
    if "stages" in table:  # first, since it says which further sections there are
        recipe = _with(recipe, "stages", table.pop("stages"), line_of(text, "", "stages", where), Path(where).parent)
    for key, value in table.items():
        section = key.replace("-", "_")
        if section in SECTIONS or user_stages.named(recipe, section):
            if not isinstance(value, dict):
                line = line_of(text, "", key, where)
                raise RecipeError(f"{line}: {key} is a section, not a value", f"write [{key}]")
            for option_key, option_value in value.items():
                recipe = _with(recipe, f"{key}.{option_key}", option_value, line_of(text, key, option_key, where))
        else:
            place = (key, "") if isinstance(value, dict) else ("", key)
            recipe = _with(recipe, key, value, line_of(text, *place, where))
    return recipe


def override(recipe: Recipe, assignments: tuple[str, ...] | list[str]) -> Recipe:
    """The recipe with `section.key=value` words applied, as `--set` takes them. Raises RecipeError."""
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals:
            raise RecipeError(f"--set {word}: no '='", "write --set section.key=value")
        recipe = _with(recipe, key.strip(), parse_value(text.strip()), "recipe")
    return recipe


def configured(config: Any, words: dict[str, str]) -> Any:
    """A config with some of its values replaced by the texts of options. Raises RecipeError with the option's name."""
    fields = {field.name: field for field in dataclasses.fields(config)}
    values = {
        name: check(fields[name], parse_value(text.strip()), f"--{name.replace('_', '-')}")
        for name, text in words.items()
    }
    return dataclasses.replace(config, **values)


def import_stages(recipe: Recipe) -> Recipe:
    """The recipe with the stages of the user checked and complete, by running their code. Raises RecipeError.

    For a recipe that the user has named, never for one that was merely found in a folder."""
    return dataclasses.replace(recipe, stages=tuple(map(user_stages.import_stage, recipe.stages)))


def _with(recipe: Recipe, key: str, value: Any, where: str, folder: Path = Path()) -> Recipe:
    """The recipe with one checked value replaced. `clip-reverse.r` is `clip_reverse.r`. folder: of stage files."""
    key = key.replace("-", "_")
    section, dot, name = key.partition(".")
    if not dot:
        if key == "stages":
            return dataclasses.replace(recipe, stages=_stages(value, where, folder))
        if key != "skip":
            raise RecipeError(f"{where}: unknown key {key!r}", _suggest(key))
        return dataclasses.replace(recipe, skip=_skipped(value, where))
    if stage := user_stages.named(recipe, section):
        changed = stage_words.stated(stage, name, value, where)
        return dataclasses.replace(recipe, stages=tuple(changed if s is stage else s for s in recipe.stages))
    fields = {f.name: f for f in dataclasses.fields(getattr(recipe, section))} if section in SECTIONS else {}
    if name not in fields:
        raise RecipeError(f"{where}: unknown key {key!r}", _suggest(key))
    config = getattr(recipe, section)
    checked = check(fields[name], value, f"{where}: {key}")
    return dataclasses.replace(recipe, **{section: dataclasses.replace(config, **{name: checked})})


def _stages(value: Any, where: str, folder: Path) -> tuple[UserStage, ...]:
    """The stages that `stages = ["fog.py:fog", "installed"]` names, their code read as text."""
    words = [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value
    if not isinstance(words, list) or any(not isinstance(word, str) for word in words):
        raise RecipeError(f"{where}: stages = {value!r} is not a list", 'write stages = ["fog.py:fog"]')
    stages = tuple(_stage(word, where, folder) for word in words)
    stage_words.check_names([stage.name for stage in stages], where)
    return stages


def _stage(target: str, where: str, folder: Path) -> UserStage:
    file, colon, code = target.rpartition(":")
    name, origins = (code or target).replace("-", "_"), (("", where),)
    if colon and file.endswith(".py"):
        path = folder / Path(file).expanduser()
        try:
            source = path.read_text()
        except (OSError, UnicodeDecodeError):
            source = ""
        found = hashlib.sha256(source.encode()).hexdigest() if source else ""
        return UserStage(name, found, "", (), target, code, str(path), source, found, origins)
    if target.endswith(".py"):
        raise RecipeError(f"{where}: {target} does not say which stage", f'write "{target}:NAME"')
    entries = metadata.entry_points(group=user_stages.GROUP, name=target)
    code = target if colon else next((entry.value for entry in entries), "")
    found = _package_sha256(code)
    return UserStage(name, found, "", (), target, code, found=found, origins=origins)


def _package_sha256(code: str) -> str:
    """Of every Python file of the package that "package.module:stage" lies in; "" where it is not found."""
    package = code.partition(":")[0].partition(".")[0]
    if not package.isidentifier() or (spec := util.find_spec(package)) is None:  # of a package: runs no code of it
        return ""
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(folder, file) for folder in folders for file in folder.rglob("*.py")]
    files = files or [(Path(spec.origin or "").parent, Path(spec.origin or ""))]
    digest = hashlib.sha256()
    for name, file in sorted((file.relative_to(folder).as_posix(), file) for folder, file in files):
        digest.update(f"{name}\x1f".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _suggest(key: str) -> str:
    section = key.partition(".")[0]
    if metadata.entry_points(group=user_stages.GROUP, name=section):
        return f'{section} is an installed stage; name it first: stages = ["{section}"], or --set stages={section}'
    known = ["skip", *SECTIONS] + [f"{s}.{f.name}" for s in SECTIONS for f in dataclasses.fields(getattr(Recipe, s))]
    bare = {k.split(".")[-1]: k for k in known}
    close = difflib.get_close_matches(key, known, 1) or [
        bare[k] for k in difflib.get_close_matches(key.split(".")[-1], bare, 1)
    ]
    return f"did you mean {close[0]!r}?" if close else "see `lolblur-synth recipe show lolblur` for all keys"


def _skipped(value: Any, where: str) -> tuple[str, ...]:
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or any(not isinstance(word, str) for word in words):
        raise RecipeError(f"{where}: skip = {value!r} is not a list of stages", f"stages: {', '.join(STAGE_NAMES)}")
    return skipped_stages(words, f"{where}: skip")


def to_toml(recipe: Recipe) -> str:
    """All values of a recipe as TOML, each below a comment with its meaning, range and source."""
    lines = [f"name = {toml_value(recipe.name)}", f"skip = {toml_value(recipe.skip)}  # stages left out"]
    if targets := [stage.target for stage in recipe.stages]:
        lines.append(f"stages = {toml_value(targets)}  # of the user; their code runs where this recipe is named")
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        config = getattr(recipe, section)
        for field in dataclasses.fields(config):
            meta, value = field.metadata, getattr(config, field.name)
            notes = [meta["help"], describe_range(meta), meta["source"]]
            lines.append(f"# {'; '.join(note for note in notes if note)}")
            lines.append(f"{field.name} = {toml_value(value)}")
    for stage in recipe.stages:
        lines += ["", f"[{stage.name}]", *stage_words.section_lines(stage)]
    return "\n".join(lines) + "\n"


def to_dict(recipe: Recipe) -> dict:
    """The recipe as nested dicts, for JSON; `stages` only where it has any."""
    values = dataclasses.asdict(dataclasses.replace(recipe, stages=()))
    del values["stages"]
    if recipe.stages:
        values["stages"] = [{"name": stage.name, "sha256": stage.sha256, "after": stage.after,
                             "values": dict(stage.values)} for stage in recipe.stages]  # fmt: skip
    return values


def sha256(recipe: Recipe) -> str:
    """Names the dataset: every value, not the recipe's own name. Renamed values keep their former names here, and added
    options are left out at their defaults, so that the hashes of datasets stay the same."""
    former, values = {new: old for old, new in FORMER_VALUES.items()}, to_dict(recipe)
    del values["name"]
    for section, _, name in (key.partition(".") for key in ADDED):
        if values[section][name] == getattr(getattr(Recipe, section), name):
            del values[section][name]
    values["defocus"]["kernel"] = former.get(recipe.defocus.kernel, recipe.defocus.kernel)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def diff(old: Recipe, new: Recipe) -> list[tuple[str, Any, Any]]:
    """(key, old value, new value) of every value that differs."""
    changes = [("skip", old.skip, new.skip)] if old.skip != new.skip else []
    for section in SECTIONS:
        a, b = getattr(old, section), getattr(new, section)
        changes += [
            (f"{section}.{f.name}", getattr(a, f.name), getattr(b, f.name))
            for f in dataclasses.fields(a)
            if getattr(a, f.name) != getattr(b, f.name)
        ]
    return changes + stage_words.differences(old, new)


def changes(old: Recipe, new: Recipe) -> list[str]:
    """`section.key: old -> new` of every value that differs, each value as `--set` takes it."""
    return [f"{key}: {_in_words(before)} -> {_in_words(after)}" for key, before, after in diff(old, new)]


def _in_words(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    is_range = len(value) == 2 and all(isinstance(end, float) for end in value)
    return (":" if is_range else ",").join(map(str, dict.fromkeys(value))) or "none"
