"""Rewrites what is generated from the program: recipe/builtin/lolblur.toml and docs/cli.md. Run by `make docs`."""

from pathlib import Path

import click
from click.testing import CliRunner

from lolblur_synth import cli, recipes
from lolblur_synth.recipe.schema import Recipe

ROOT = Path(__file__).parent.parent


def command_pages() -> str:
    """`--help` of every command, as Markdown."""
    parts = ["# Commands", "", "Generated from the program by `make docs`.", ""]
    for words in sorted(_commands(cli.main, [])):
        text = CliRunner().invoke(cli.main, [*words, "--help"], prog_name="lolblur-synth", terminal_width=100).output
        parts += [f"## {' '.join(['lolblur-synth', *words])}", "", "```", text.strip(), "```", ""]
    return "\n".join(parts)


def _commands(group: click.Group, words: list[str]):
    yield words
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, [*words, name])
        else:
            yield [*words, name]


def recipe_file() -> str:
    """recipe/builtin/lolblur.toml: the defaults of recipe/schema.py, with meaning, range and source of each."""
    return recipes.to_toml(Recipe())


if __name__ == "__main__":
    (ROOT / "docs/cli.md").write_text(command_pages())
    (ROOT / "lolblur_synth/recipe/builtin/lolblur.toml").write_text(recipe_file())
