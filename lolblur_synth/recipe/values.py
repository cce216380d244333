"""Checks a value against the option that declares it in `schema`: its type, its range, its choices. Reads the values of
words, and tells in which line of a file a key stands."""

import dataclasses
import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from lolblur_synth.errors import RecipeError
from lolblur_synth.recipe.schema import FORMER_VALUES, STAGE_NAMES

SKIPPABLE = STAGE_NAMES[1:]  # every stage but resize: without it frames would have no common size


def skipped_stages(words: Iterable[str], what: str) -> tuple[str, ...]:
    """The stages to leave out, in the order of the pipeline; `clip-reverse` is `clip_reverse`.

    Raises RecipeError, naming `what`, for a word that is no stage or one that cannot be left out.
    """
    names = [word.strip().lower().replace("-", "_") for word in words if word.strip()]
    for name in names:
        if name not in SKIPPABLE:
            close = difflib.get_close_matches(name, SKIPPABLE, 1) or [stage for stage in SKIPPABLE if name in stage]
            hint = f"did you mean {close[0]}?" if close else f"give one of {', '.join(SKIPPABLE)}"
            raise RecipeError(f"{what}: {name} is no stage that can be left out", hint)
    return tuple(stage for stage in STAGE_NAMES if stage in names)


def check(field: dataclasses.Field, value: Any, what: str) -> Any:
    """`value` in the type that the option declares. Raises RecipeError, naming `what`, for a wrong type or range."""
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
        if any("\ud800" <= letter <= "\udfff" for letter in value):  # of bytes on the command line that are no UTF-8
            raise RecipeError(f"{what} = {value!r} is not valid Unicode", "rename the file that it names")
        return value
    kind = int if isinstance(field.default, int) else float
    return _number(value, meta, kind, what)


def _range_hint(value: Any) -> str:
    """How to write a range, with the user's numbers where they are written otherwise: 400-1600, 400..1600, 10-20%."""
    number, between = r"(\d+(?:\.\d+)?|\.\d+)", r"\s*(?:-|–|\.{2,3}|[:,;/~]|to|\s)\s*"
    match = re.fullmatch(rf"{number}(%?)(?:{between}{number}(%?))?", str(value).strip())
    if match is None or not (match[3] or match[2]):
        return "write LO:HI ([LO, HI] in a file) or one number"
    scale = 100 if match[2] or match[4] else 1
    return f"write {':'.join(f'{float(end) / scale:g}' for end in (match[1], match[3]) if end)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any, meta: Mapping[str, Any], kind: type, what: str) -> int | float:
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


def describe_range(meta: Mapping[str, Any]) -> str:
    """`0..1`, `at least 1`, … with the unit, for help and messages."""
    unit = f" {meta['unit']}" if meta["unit"] else ""
    if meta["choices"]:
        return " | ".join(meta["choices"])
    low, high = (f"{v:g}" for v in (meta["lo"], meta["hi"]))
    if math.isinf(meta["hi"]):
        return unit.strip() if math.isinf(meta["lo"]) else f"at least {low}{unit}"
    return f"{low}..{high}{unit}"


def parse_value(text: str) -> Any:
    """The value that a word means: a TOML value (`.1` is 0.1), a list LO:HI or A,B, or else the word itself."""
    plain = text
    if re.fullmatch(r"[\[\]\d.,:+\s-]+", text):
        plain = re.sub(r"(?<!\d)\.(?=\d)", "0.", text)
    for candidate in (plain, "[" + plain.replace(":", ",") + "]"):
        try:
            return tomllib.loads(f"v = {candidate}")["v"]
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    return text


def toml_value(value: Any) -> str:
    """A text, number, truth value or list of them as TOML: JSON, but TOML has no pairs of surrogates, and
    wants the delete character escaped."""
    plain = list(value) if isinstance(value, tuple) else value
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def line_of(text: str, section: str, key: str, where: str) -> str:
    """`file:line` of a key, or of a section if the key is "", for messages; the file alone where there is none."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            current = stripped.partition("#")[0].strip("[] ")
            if (current, "") == (section, key):
                return f"{where}:{number}"
        elif current == section and stripped.split("=")[0].strip() == key:
            return f"{where}:{number}"
    return where
