"""`--json`: one JSON object a line on stdout, each with its `type`.

The last line is the `summary`, with the exit code, or an `error` with message, hint and exit code. docs/schema/ holds a
JSON Schema of the lines of each command. Later versions may add fields, but remove none.
"""

import json
import math
from pathlib import Path
from typing import Any

import click

ASKED = "lolblur_synth.json"  # key in the context's meta: the program then tells errors in a line of JSON too


def _note(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    context.meta[ASKED] = value
    return value


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    callback=_note,
    help="Machine-readable output on stdout: JSON, one object a line.",
)


def line(kind: str, fields: dict) -> None:
    """Print one object. What is not finite becomes null, since JSON has no NaN."""
    click.echo(json.dumps({"type": kind} | _plain(fields) | {"type": kind}, allow_nan=False))


def summary(fields: dict, code: int = 0) -> int:
    """Print the last line of a command that came to its end. Returns the exit code."""
    line("summary", fields | {"exit": code})
    return code


def error(message: str, hint: str, code: int) -> None:
    """Print the last line of a command that failed."""
    line("error", {"message": message, "hint": hint, "exit": code})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
