"""The card of trained weights, in Markdown: what they are, how and on what they were trained, what they achieve.

Its command is quoted, so that it can be pasted into a shell in the folder where it was given.
"""

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NUMBERS_WITHOUT_OPTION = ("size", "batch_size", "rate", "frames_per_video")  # taken by the Python functions alone


@dataclass(frozen=True)
class Card:
    """The parts of a card. command: lines of `made_by`; figures: lines of Markdown; files: (name, sha256) of what was
    trained on; note: the user's own words, such as the origin and licence of the files."""

    title: str
    summary: Sequence[str]
    facts: Mapping[str, object]
    command: Sequence[str]
    figures: Sequence[str]
    files: Iterable[tuple[str, str]]
    note: str = ""

    def text(self) -> str:
        lines = [f"# {self.title}", "", *self.summary, "", *table(("fact", "value"), self.facts.items()), *self.command,
                 *self.figures, "## Trained on", "", *([self.note, ""] if self.note else []),
                 *table(("file", "sha256"), self.files)]  # fmt: skip
        return "\n".join(lines)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table, and an empty one."""

    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(map(str, cells))} |"

    return [line(heads), "|" + "---|" * len(heads), *map(line, rows), ""]


def made_by(
    program: str,
    inputs: Iterable[str | Path],
    options: Mapping[str, object],
    numbers: Mapping[str, object] | None = None,
) -> list[str]:
    """The command that makes the weights again, in lines of Markdown; paths as the user wrote them.

    inputs: the arguments in their order, which the samples depend on
    options: word -> value, or a list of values for a repeated option; None and "" are left out
    numbers: name -> value of what only the Python function takes, where it is not the default
    """
    words = ["lolblur-synth", program, *map(_argument, inputs)]
    for option, value in options.items():
        values = value if isinstance(value, list | tuple) else [value]
        words += [word for one in values if one is not None and str(one) for word in (option, _argument(one))]
    others = " ".join(f"{name}={value}" for name, value in (numbers or {}).items())
    return [
        "Command, in the folder where it was given"
        + (f" (the function in Python, which alone takes {others}):" if others else ":"),
        "",
        "```",
        shlex.join(words),
        "```",
        "",
    ]


def changed_numbers(config: object) -> dict[str, object]:
    """name -> value of the numbers of a training that its command has no option for and that are not the default."""
    fields = [field for field in dataclasses.fields(config) if field.name in NUMBERS_WITHOUT_OPTION]
    values = {field.name: (getattr(config, field.name), field.default) for field in fields}
    return {name: value for name, (value, default) in values.items() if value != default}


def origins(pictures: Iterable) -> list[tuple[str, str]]:
    """(file, sha256) of what pictures with `name` and `sha256` are from, each once; stills are "FILE frame N"."""
    return sorted({(picture.name.split(" frame ")[0], picture.sha256) for picture in pictures})


def _argument(value: object) -> str:
    """A name that begins with a dash would be read as an option."""
    return f"./{value}" if str(value).startswith("-") else str(value)
