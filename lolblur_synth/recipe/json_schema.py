"""The JSON Schema of recipe files, made from the declarations in `schema`, for editors and other programs.

It is draft 7, which taplo and Even Better TOML read. It accepts what `recipes.load` accepts in the spelling of the
built-in recipes; the names of stages may also be written with a hyphen. The section of a stage of the user is known to
its code alone, so it may hold anything.
"""

import dataclasses
import math
from typing import Any

from lolblur_synth.recipe.schema import FORMER_VALUES, SECTIONS, STAGE_NAMES, Recipe
from lolblur_synth.recipe.values import SKIPPABLE, describe_range

DRAFT = "http://json-schema.org/draft-07/schema#"
Schema = dict[str, Any]


def of_recipes(builtin: list[str]) -> Schema:
    """The schema of a recipe file. builtin: the recipes that it may be based on, `recipes.names()`."""
    hyphened = {section.replace("_", "-"): section for section in SECTIONS if "_" in section}
    properties: Schema = {
        "base": {"description": "a built-in recipe; the file then holds only what differs from it", "enum": builtin},
        "name": {"description": "name of the recipe; without it that of the file", "type": "string"},
        "skip": _words("stages to leave out", [word for name in SKIPPABLE for word in _spellings(name)]),
        "stages": _words('stages of your own: "fog.py:fog", or the name of an installed one', None),
        **{section: {"$ref": f"#/definitions/{section}"} for section in SECTIONS},
        **{word: {"$ref": f"#/definitions/{section}"} for word, section in hyphened.items()},
    }
    return {
        "$schema": DRAFT,
        "title": "Recipe of lolblur-synth",
        "type": "object",
        "properties": properties,
        "additionalProperties": {"$ref": "#/definitions/user_stage"},
        "if": {"required": ["stages"]},
        "else": {"propertyNames": {"enum": list(properties)}},
        "definitions": {section: _section(section) for section in SECTIONS} | {"user_stage": _user_stage()},
    }


def _spellings(stage: str) -> list[str]:
    return list(dict.fromkeys((stage, stage.replace("_", "-"))))


def _words(help: str, words: list[str] | None) -> Schema:
    """A list of words, or one text with commas between them."""
    item: Schema = {"type": "string"} | ({"enum": words} if words else {})
    return {"description": help, "anyOf": [{"type": "array", "items": item}, {"type": "string"}], "default": []}


def _section(name: str) -> Schema:
    fields = dataclasses.fields(getattr(Recipe, name))
    return {"type": "object", "additionalProperties": False, "properties": {f.name: of_option(f) for f in fields}}


def _user_stage() -> Schema:
    places = [word for stage in STAGE_NAMES for word in _spellings(stage)]
    return {
        "description": "options of a stage of your own, which its code declares",
        "type": "object",
        "properties": {
            "after": {"description": "the built-in stage after which it stands", "enum": places},
            "sha256": {"description": "checksum of its code; another code is refused", "type": "string"},
        },
    }


def of_option(field: dataclasses.Field) -> Schema:
    """The schema of one option: its type, range or choices, default, and what it means."""
    meta = field.metadata
    notes = (meta["help"], "" if meta["choices"] else describe_range(meta), meta["source"])
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return {"description": "; ".join(note for note in notes if note), **_type(field), "default": default}


def _type(field: dataclasses.Field) -> Schema:
    """As `values.check` has it: a number stands for a range of one value and for a list of one."""
    meta = field.metadata
    if meta["choices"]:
        former = [old for old, new in FORMER_VALUES.items() if new in meta["choices"]]
        return {"enum": [*meta["choices"], *former]}
    if isinstance(field.default, str) and not meta["words"]:
        return {"type": "string"}
    number: Schema = {"type": "integer" if _is_whole(field) else "number"}
    number |= {word: meta[key] for word, key in (("minimum", "lo"), ("maximum", "hi")) if math.isfinite(meta[key])}
    if meta["flag"]:  # limits hold for numbers alone and items for lists alone, so that messages name what is wrong
        items = {"minItems": 2, "maxItems": 2} if meta["flag"] == "range" else {"minItems": 1}
        return number | {"type": [number["type"], "array"], "items": number} | items
    return {"anyOf": [number, {"enum": list(meta["words"])}]} if meta["words"] else number


def _is_whole(field: dataclasses.Field) -> bool:
    return field.metadata["flag"] == "list" or isinstance(field.default, int)
