"""The built-in recipes, and how a recipe is read, checked, changed, compared and written.

`load` reads a built-in name or a TOML file, `override` applies `--set section.key=value`, `to_toml` writes the whole of
a recipe with a comment on each line, `sha256` names the dataset. Standard library only.
"""

import dataclasses
import difflib
import hashlib
import json
import math
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from lolblur_synth.errors import RecipeError
from lolblur_synth.recipe.schema import FORMER_VALUES, SECTIONS, STAGE_NAMES, Recipe


def names() -> list[str]:
    """The built-in recipes."""
    return sorted(
        f.name[:-5] for f in resources.files("lolblur_synth.recipe.builtin").iterdir() if f.name.endswith(".toml")
    )


def load(name_or_file: str) -> Recipe:
    """A built-in recipe by name, or a TOML file. A file may name a built-in `base` and hold departures only."""
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
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path}: {error}", "a recipe is a UTF-8 TOML file; see `lolblur-synth recipe cp lolblur`"
        ) from None
    return parse(text, str(path), default_name=path.stem)


def parse(text: str, where: str, default_name: str = "custom") -> Recipe:
    """A recipe from TOML text; `where` is the file name for messages."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{where}: {error}", "see `lolblur-synth recipe show lolblur` for the form") from None
    base = table.pop("base", None)
    if base is not None and base not in names():
        raise RecipeError(f"{where}: base = {base!r} is not built in", f"one of {', '.join(names())}")
    recipe = Recipe() if base is None else load(base)
    recipe = dataclasses.replace(recipe, name=str(table.pop("name", default_name)))
    for key, value in table.items():
        if key.replace("-", "_") in SECTIONS:
            if not isinstance(value, dict):
                raise RecipeError(f"{where}: {key} is a section, not a value", f"write [{key}]")
            for option_key, option_value in value.items():
                recipe = _with(recipe, f"{key}.{option_key}", option_value, _line(text, key, option_key, where))
        else:
            recipe = _with(recipe, key, value, _line(text, "", key, where))
    return recipe


def override(recipe: Recipe, assignments: tuple[str, ...] | list[str]) -> Recipe:
    """Apply `section.key=value` words, as `--set` takes them. LO:HI and A,B stand for lists."""
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals:
            raise RecipeError(f"--set {word}: no '='", "write --set section.key=value")
        recipe = _with(recipe, key.strip(), _value(text.strip()), "recipe")
    return recipe


def _value(text: str) -> Any:
    """A TOML value, a LO:HI or A,B list, or else the bare word. `.1`, which is no number in TOML, is 0.1."""
    plain = text
    if re.fullmatch(r"[\[\]\d.,:+\s-]+", text):
        plain = re.sub(r"(?<!\d)\.(?=\d)", "0.", text)
    for candidate in (plain, "[" + plain.replace(":", ",") + "]"):
        try:
            return tomllib.loads(f"v = {candidate}")["v"]
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    return text


def _line(text: str, section: str, key: str, where: str) -> str:
    """`file:line` of a key, for messages."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            current = stripped.strip("[] ")
        elif current == section and stripped.split("=")[0].strip() == key:
            return f"{where}:{number}"
    return where


def _with(recipe: Recipe, key: str, value: Any, where: str) -> Recipe:
    """The recipe with one checked value replaced. `clip-reverse.r` is `clip_reverse.r`."""
    key = key.replace("-", "_")
    section, dot, name = key.partition(".")
    if not dot:
        if key != "skip":
            raise RecipeError(f"{where}: unknown key {key!r}", _suggest(key))
        return dataclasses.replace(recipe, skip=_stages(value, where))
    fields = {f.name: f for f in dataclasses.fields(getattr(recipe, section))} if section in SECTIONS else {}
    if name not in fields:
        raise RecipeError(f"{where}: unknown key {key!r}", _suggest(key))
    config = getattr(recipe, section)
    checked = check(fields[name], value, f"{where}: {key}")
    return dataclasses.replace(recipe, **{section: dataclasses.replace(config, **{name: checked})})


def _suggest(key: str) -> str:
    known = ["skip", *SECTIONS] + [f"{s}.{f.name}" for s in SECTIONS for f in dataclasses.fields(getattr(Recipe, s))]
    bare = {k.split(".")[-1]: k for k in known}
    close = difflib.get_close_matches(key, known, 1) or [
        bare[k] for k in difflib.get_close_matches(key.split(".")[-1], bare, 1)
    ]
    return f"did you mean {close[0]!r}?" if close else "see `lolblur-synth recipe show lolblur` for all keys"


def _stages(value: Any, where: str) -> tuple[str, ...]:
    value = value.split(",") if isinstance(value, str) else value
    if not isinstance(value, list) or any(not isinstance(v, str) for v in value):
        raise RecipeError(f"{where}: skip = {value!r} is not a list of stages", f"stages: {', '.join(STAGE_NAMES)}")
    words = [v.strip().replace("-", "_") for v in value if v.strip()]
    for word in words:
        if word not in STAGE_NAMES or word == "resize":
            raise RecipeError(f"{where}: cannot skip {word!r}", f"stages: {', '.join(STAGE_NAMES[1:])}")
    return tuple(name for name in STAGE_NAMES if name in words)


def check(field: dataclasses.Field, value: Any, what: str) -> Any:
    """`value` in the type and range that the option declares, or RecipeError naming `what`."""
    meta = field.metadata
    if meta["flag"] == "range":
        pair = [value, value] if _is_number(value) else value
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise RecipeError(f"{what} = {value!r} is not a range", _range_hint(value))
        low, high = (_number(v, meta, float, what) for v in pair)
        if low > high:
            raise RecipeError(f"{what} = {value!r}: the range is empty", "write the smaller number first")
        return (low, high)
    if meta["flag"] == "list":
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise RecipeError(f"{what}: the list is empty", "give at least one value")
        return tuple(dict.fromkeys(_number(v, meta, int, what) for v in values))
    if meta["choices"]:
        value = FORMER_VALUES.get(value, value) if isinstance(value, str) else value
        if value not in meta["choices"]:
            close = difflib.get_close_matches(str(value), meta["choices"], 1)
            raise RecipeError(f"{what} = {value!r}", (f"did you mean {close[0]!r}? " if close else "") +
                              f"one of {', '.join(meta['choices'])}")  # fmt: skip
        return value
    if isinstance(value, str) and value in meta["words"]:
        return value
    if isinstance(field.default, str) and not meta["words"]:
        if not isinstance(value, str):
            raise RecipeError(f"{what} = {value!r} is not text", "put it in quotes")
        return value
    kind = int if isinstance(field.default, int) else float
    return _number(value, meta, kind, what)


def _range_hint(value: Any) -> str:
    """How a range is written, with the numbers of one in another form: 400-1600, 400..1600, 400 to 1600, 10-20%."""
    number, between = r"(\d+(?:\.\d+)?|\.\d+)", r"\s*(?:-|–|\.{2,3}|[:,;/~]|to|\s)\s*"
    match = re.fullmatch(rf"{number}(%?)(?:{between}{number}(%?))?", str(value).strip())
    if match is None or not (match[3] or match[2]):
        return "write LO:HI ([LO, HI] in a file) or one number"
    scale = 100 if match[2] or match[4] else 1
    return f"write {':'.join(f'{float(end) / scale:g}' for end in (match[1], match[3]) if end)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any, meta, kind: type, what: str) -> int | float:
    words = f" or {', '.join(meta['words'])}" if meta["words"] else ""
    if not _is_number(value) or not math.isfinite(value) or (kind is int and value != int(value)):
        raise RecipeError(f"{what} = {value!r} is not {'a whole' if kind is int else 'a'} number{words}",
                          _range_hint(value) if str(value).endswith("%") else meta["help"])  # fmt: skip
    if not meta["lo"] <= value <= meta["hi"]:
        allowed, hint = describe_range(meta), meta["help"]
        wrong = f"is outside its range, {allowed}" if allowed.startswith("at least") else f"is outside {allowed}"
        if meta["hi"] <= 1 < value <= 100:
            hint = f"{hint}; {value:g} % is written {value / 100:g}"
        raise RecipeError(f"{what} = {value!r} {wrong}", hint)
    return kind(value)


def describe_range(meta) -> str:
    """`0..1`, `at least 1`, … with the unit, for help and messages."""
    unit = f" {meta['unit']}" if meta["unit"] else ""
    if meta["choices"]:
        return " | ".join(meta["choices"])
    low, high = (f"{v:g}" for v in (meta["lo"], meta["hi"]))
    if math.isinf(meta["hi"]):
        return unit.strip() if math.isinf(meta["lo"]) else f"at least {low}{unit}"
    return f"{low}..{high}{unit}"


def to_toml(recipe: Recipe) -> str:
    """The whole recipe as TOML, each line with its meaning, range and source."""
    lines = [f"name = {json.dumps(recipe.name)}", f"skip = {json.dumps(list(recipe.skip))}  # stages left out"]
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        config = getattr(recipe, section)
        for field in dataclasses.fields(config):
            meta, value = field.metadata, getattr(config, field.name)
            notes = [meta["help"], describe_range(meta), meta["source"]]
            lines.append(f"# {'; '.join(note for note in notes if note)}")
            lines.append(f"{field.name} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
    return "\n".join(lines) + "\n"


def to_dict(recipe: Recipe) -> dict:
    """Plain nested dict, for JSON."""
    return dataclasses.asdict(recipe)


def sha256(recipe: Recipe) -> str:
    """Names the dataset: every value, not the recipe's own name. Renamed values keep their former names here, so that
    the hashes of datasets stay the same."""
    former, values = {new: old for old, new in FORMER_VALUES.items()}, to_dict(recipe)
    del values["name"]
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
    return changes


def changes(old: Recipe, new: Recipe) -> list[str]:
    """`section.key: old -> new` of every value that differs, each value as `--set` takes it."""
    return [f"{key}: {_in_words(before)} -> {_in_words(after)}" for key, before, after in diff(old, new)]


def _in_words(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    is_range = len(value) == 2 and all(isinstance(end, float) for end in value)
    return (":" if is_range else ",").join(map(str, dict.fromkeys(value))) or "none"
