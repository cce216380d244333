"""JSON Schemas, draft 7, of what `--json` prints, made from output_fields.py."""

from typing import Any

from output_fields import COMMANDS, ERROR, EXIT, Fields

GROUPS = ("recipe", "weights")  # their commands are two words


def schema_of(command: str) -> dict[str, Any]:
    """The JSON Schema (draft 7) of one line of a command."""
    lines = COMMANDS[command] | {"error": ERROR}
    kinds = []
    for kind, fields in lines.items():
        for alternative in fields if isinstance(fields, list) else [fields]:
            kinds.append(_line(kind, alternative | EXIT if kind == "summary" else alternative))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"A line of lolblur-synth {command_words(command)} --json",
        "description": "Later versions may add fields and types of lines, but remove none.",
        "anyOf": kinds,
    }


def command_words(command: str) -> str:
    """`recipe-ls` -> `recipe ls`, as it is typed."""
    group, _, name = command.partition("-")
    return f"{group} {name}" if group in GROUPS else command


def _line(kind: str, fields: Fields) -> dict[str, Any]:
    schema = _object(fields)
    return schema | {
        "properties": {"type": {"const": kind}} | schema["properties"],
        "required": ["type", *schema["required"]],
    }


def _object(fields: Fields) -> dict[str, Any]:
    """An object with these fields; others are allowed, of the type that `...` has, so that fields can be added."""
    properties = {
        name.removesuffix("?"): _type(kind) | {"description": words}
        for name, (kind, words) in fields.items()
        if name != "..."
    }
    rest = {"additionalProperties": _type(fields["..."][0])} if "..." in fields else {}
    required = [name for name in fields if name != "..." and not name.endswith("?")]
    return {"type": "object", "properties": properties, "required": required} | rest


def _type(kind: Any) -> dict[str, Any]:
    if isinstance(kind, dict):
        return _object(kind)
    if isinstance(kind, list):
        return {"type": "array", "items": _object(kind[0])}
    if kind == "any":
        return {}
    if kind.startswith("[") and kind.endswith("|null"):
        return _type(kind.removesuffix("|null")) | {"type": ["array", "null"]}
    if kind.startswith("["):
        return {"type": "array", "items": _type(kind[1:-1])}
    return {"type": kind.split("|") if "|" in kind else kind}
