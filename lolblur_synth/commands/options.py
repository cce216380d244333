"""Options that several commands share, and options made from the declarations of a config (`config_options`).

Imports click and the standard library only, so that `lolblur-synth --help` need not wait for torch.
"""

import dataclasses
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import click

from lolblur_synth.commands.json_lines import json_option
from lolblur_synth.commands.parse import parse_device, parse_jobs, parse_size, parse_stages
from lolblur_synth.errors import UsageError
from lolblur_synth.files import remote
from lolblur_synth.recipe.schema import STAGE_NAMES, Recipe
from lolblur_synth.recipe.values import describe_range


class DatasetFolder(click.Path):
    """OUT, as a Path. A URL is refused by an error of ours: a dataset lies on a disk."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return remote.output_folder(value)


DATASET = DatasetFolder()
STAGE_WORDS = [name.replace("_", "-") for name in STAGE_NAMES]

DRY_RUN = (
    "lolblur_synth.dry_run"  # key in the context's meta: a dry run keeps nothing that the same command could continue
)
recipe_option = click.option(
    "--recipe", default="lolblur", show_default=True, metavar="NAME|FILE", help="Built-in recipe, or a TOML file."
)
stored_recipe_option = click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="Built-in recipe, or a TOML file; without recipe options the one that OUT was built with, or else lolblur.",
)
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Override one value of the recipe; may be repeated.",
)
seed_option = click.option("--seed", type=int, help="Seed of every draw.")
jobs_option = click.option(
    "--jobs",
    default="auto",
    show_default=True,
    metavar="N|auto",
    callback=lambda c, p, value: parse_jobs(value),
    help="Worker processes. The result does not depend on it.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda[:N]",
    callback=lambda c, p, value: parse_device(value),
    help="Where the pixels are computed.",
)


def dry_run_option(help: str) -> Callable:
    """--dry-run. The program reads it too: its message about an interruption depends on it (`cli.Commands`)."""

    def note(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
        context.meta[DRY_RUN] = value
        return value

    return click.option("--dry-run", is_flag=True, callback=note, help=help)


def build_options(command: Callable) -> Callable:
    """The options that `build`, `plan` and `preview` share; most are a short name for a value of the recipe."""
    for option in reversed(
        [
            stored_recipe_option,
            set_option,
            click.option(
                "--skip",
                multiple=True,
                metavar="STAGE",
                callback=lambda c, p, value: parse_stages(value),
                help=f"Leave a stage out; repeatable. [{' | '.join(STAGE_WORDS[1:])}]",
            ),
            click.option(
                "--only",
                multiple=True,
                metavar="STAGE",
                callback=lambda c, p, value: parse_stages(value),
                help="Leave out all stages but this one and resize; repeatable. --only darken: dark and normal frames.",
            ),
            click.option(
                "--fps",
                type=float,
                help="True capture rate, for slow-motion files and image sequences; of one clip alone: NAME@RATE.",
            ),  # fmt: skip
            click.option("--size", metavar="WxH", help="Size of the frames; default 1120x640."),
            click.option("--pairs", type=int, help="Most pairs from one video, at most 60."),
            click.option("--window", metavar="7|9|7,9", help="Source frames in an exposure; one is drawn a segment."),
            click.option(
                "--exposure",
                metavar="LO:HI",
                help="Requested exposure, mean L*/100 of unsaturated pixels; one draw a segment.",
            ),
            seed_option,
            click.option(
                "--test-fraction",
                type=float,
                help="Share of the videos that goes to test; of two or more at least one, unless 0.",
            ),
            jobs_option,
            device_option,
            click.option("--sample", is_flag=True, help="Use the bundled sample clips instead of VIDEOS."),
            json_option,
        ]
    ):
        command = option(command)
    return command


def training_options(config: Any) -> Callable:
    """The options that the trainings of the synthesis networks share, with the defaults of their config."""

    def decorate(command: Callable) -> Callable:
        for option in (
            click.option("--wandb", metavar="PROJECT", help=_sentence(config, "wandb")),
            click.option("--tensorboard", type=click.Path(path_type=Path), help=_sentence(config, "tensorboard")),
            click.option("--device", default=config.device, show_default=True, help="cpu or cuda[:N]."),
            click.option("--note", default="", help="Text for the card: origin and licence of the inputs."),
            click.option(
                "--seed", default=config.seed, show_default=True, help="Seed of the first weights and of the samples."
            ),
            click.option(
                "--steps", default=config.steps, show_default=True, type=click.IntRange(1), help="Optimiser steps."
            ),
        ):
            command = option(command)
        return command

    return decorate


def _sentence(config: type, name: str) -> str:
    """The meaning of a field of a config, as a sentence."""
    help = next(field.metadata["help"] for field in dataclasses.fields(config) if field.name == name)
    return f"{help[0].upper()}{help[1:]}."


def overrides(
    assignments: tuple[str, ...],
    *,
    skip=(),
    only=(),
    fps=None,
    size=None,
    pairs=None,
    window=None,
    exposure=None,
    seed=None,
    test_fraction=None,
    base_skip: tuple[str, ...] = (),
) -> list[str]:
    """The options of `build_options` as `--set` words. Explicit `--set` words come last, so that they prevail."""
    words = []
    if skip and only:
        raise UsageError("--skip and --only both say which stages are left out", "give one of them")
    if only:
        words.append(f"skip={','.join(repr(n) for n in STAGE_NAMES[1:] if n not in only)}")
    if skip:
        names = set(skip) | set(base_skip)
        words.append(f"skip={','.join(repr(n) for n in STAGE_NAMES if n in names)}")
    if size is not None:
        width, height = parse_size(size)
        words += [f"resize.width={width}", f"resize.height={height}"]
    for key, value in {
        "input.fps": fps,
        "dataset.pairs": pairs,
        "average.window": window,
        "darken.exposure": exposure,
        "dataset.seed": seed,
        "dataset.test_fraction": test_fraction,
    }.items():
        if value is not None:
            words.append(f"{key}={value}")
    return words + list(assignments)


def config_options(config: type, leave_out: tuple[str, ...] = ()) -> Callable[[Callable], Callable]:
    """Decorator: one option for each field of a config, with unit, range and default in its help."""

    def decorate(command: Callable) -> Callable:
        for field in reversed([f for f in dataclasses.fields(config) if f.name not in leave_out]):
            meta, flag = field.metadata, f"--{field.name.replace('_', '-')}"
            limits = "".join(f"{words}; " for words in [_limits(meta)] if words)
            help = f"{meta['help'][0].upper()}{meta['help'][1:]}. [{limits}default {_shown(field)}]"
            if isinstance(field.default, bool):
                option = click.option(f"{flag}/--no-{flag[2:]}", field.name, default=None, help=help)
            else:
                option = click.option(flag, field.name, metavar=_metavar(field), help=help)
            command = option(command)
        return command

    return decorate


def _limits(meta) -> str:
    return " | ".join(words for words in (describe_range(meta), *meta["words"]) if words)


def _shown(field: dataclasses.Field) -> str:
    default: Any = field.default
    if field.metadata["flag"] == "range":
        return ":".join(f"{v:g}" for v in default)
    if field.metadata["flag"] == "list":
        return ",".join(map(str, default))
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else str(default) or "none"


def _metavar(field: dataclasses.Field) -> str:
    if field.metadata["choices"]:
        return "|".join(field.metadata["choices"])
    if field.metadata["flag"]:
        return {"range": "X|LO:HI", "list": "N,…"}[field.metadata["flag"]]
    return "TEXT" if isinstance(field.default, str) and not field.metadata["words"] else "X"


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that the user gave."""
    return {name: value for name, value in values.items() if value is not None}


def config_overrides(section: str, values: dict[str, Any]) -> list[str]:
    """The values of `config_options` that the user gave, as `--set` words."""
    return [f"{section}.{name}={value}" for name, value in given(values).items()]


def say_code_runs(recipe: Recipe, style: str) -> None:
    """Say which code the recipe runs, before it is run."""
    for stage in recipe.stages if style != "quiet" else ():
        if stage.found and not stage.imported:
            words = f"recipe {recipe.name} runs the code of {stage.path or stage.target} (sha256 {stage.found[:12]})"
            click.echo(printable(f"{words}: stage {stage.name}"), err=True)


def printable(text: str) -> str:
    """The text in one line, with escapes for what the terminal's encoding lacks, whatever a file name holds."""
    return (
        text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")
        .decode(sys.stderr.encoding or "utf-8")
        .replace("\n", "\\n")
    )


def printable_lines(text: str) -> str:
    """As `printable`, for several lines; the arrows of a table become ^ and v where the encoding lacks them."""
    try:
        "↑↓".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.replace("↑", "^").replace("↓", "v")
    return "\n".join(printable(line) for line in text.split("\n"))


def with_hint(failure: dict) -> str:
    """The message of a failure and, on a line of its own, its hint."""
    words = [failure.get("message") or "", failure.get("hint") or ""]
    return "\n  ".join(printable(word) for word in words if word)


def sample_clips() -> list[Path]:
    """The bundled clips, in the order of their names."""
    return sorted(Path(str(resources.files("lolblur_synth") / "samples")).glob("*.mp4"))


def sample_clip() -> Path:
    """The bundled clip that commands take which need one alone: the street."""
    return next(clip for clip in sample_clips() if clip.stem == "night_street_250fps")
