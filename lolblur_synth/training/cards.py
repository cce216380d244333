"""The command on the card of trained weights: quoted, so that it can be pasted where it was given."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


def made_by(
    program: str,
    inputs: Iterable[str | Path],
    options: Mapping[str, object],
    in_python: Mapping[str, tuple[object, object]],
) -> list[str]:
    """The command that makes the weights again, in lines of Markdown; paths as the user wrote them.

    inputs: the arguments in their order, which the samples depend on
    options: word -> value, or a list of values for a repeated option; None and "" are left out
    in_python: name -> (value, default) of what only the Python function takes; named where it is not the default
    """
    words = ["lolblur-synth", program, *map(_argument, inputs)]
    for option, value in options.items():
        values = value if isinstance(value, list | tuple) else [value]
        words += [word for one in values if one is not None and str(one) for word in (option, _argument(one))]
    others = " ".join(f"{name}={value}" for name, (value, default) in in_python.items() if value != default)
    return [
        "Command, in the folder where it was given"
        + (f" (the function in Python, which alone takes {others}):" if others else ":"),
        "",
        "```",
        shlex.join(words),
        "```",
        "",
    ]


def in_python(function: Callable, recipe: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """name -> (value, default) of a training's numbers that its command has no option for."""
    names = ("size", "batch_size", "rate", "frames_per_video")
    return {name: (recipe[name], function.__kwdefaults__[name]) for name in names if name in recipe}


def _argument(value: object) -> str:
    """A name that begins with a dash would be read as an option."""
    return f"./{value}" if str(value).startswith("-") else str(value)
