"""Words of the command line to values. Standard library and click only, as `options`."""

import re

import click

from lolblur_synth.errors import RecipeError, UsageError
from lolblur_synth.recipe.values import skipped_stages


def parse_stages(values: tuple[str, ...]) -> tuple[str, ...]:
    """The stages of `--skip`, repeated or with commas. Raises BadParameter."""
    try:
        return skipped_stages((word for value in values for word in value.split(",")), "--skip")
    except RecipeError as error:
        message = f"{str(error).removeprefix('--skip: ')}; {error.hint}"
        raise click.BadParameter(message.replace("_", "-")) from None  # the spelling of the command line


def parse_size(value: str) -> tuple[int, int]:
    """WxH -> (width, height). Raises UsageError."""
    match = re.fullmatch(r"(\d+)\s*[xX×*]\s*(\d+)", value)
    if match is None:
        raise UsageError(f"--size {value}: not a size", "write --size 1120x640")
    return int(match[1]), int(match[2])


def parse_jobs(value: str) -> int | None:
    """None for auto, else a positive number. Raises BadParameter."""
    if value == "auto":
        return None
    if not value.isdigit() or int(value) < 1:
        raise click.BadParameter("give a number from 1 on, or auto")
    return int(value)


def parse_device(value: str) -> str:
    """The value, if it has the form of a device. Raises BadParameter; whether the device exists is checked later."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise click.BadParameter("give auto, cpu, cuda or cuda:N")
    return value


def parse_shard(value: str | None) -> tuple[int, int]:
    """`I/N` -> (I, N); None: (1, 1). Raises BadParameter."""
    match = re.fullmatch(r"(\d+)/(\d+)", value or "1/1")
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise click.BadParameter("give I/N with 1 <= I <= N, such as 3/16", param_hint="--shard")
    return int(match[1]), int(match[2])
