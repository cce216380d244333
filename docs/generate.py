"""Rewrites what is generated from the program: recipe/builtin/lolblur.toml, docs/cli.md, the JSON Schemas of recipes
and of `--json` in docs/schema/; and the table of docs/reliability.md, from what the last soak counted. Run by
`make docs`.

With --check it writes nothing, and fails where a file is not up to date.
"""

import json
import sys
from pathlib import Path

import click
import output_schemas
import soak_table
from click.testing import CliRunner

from lolblur_synth import cli, recipes
from lolblur_synth.recipe import json_schema
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
    return "# The paper's stages and numbers, each with its section.\n" + recipes.to_toml(Recipe())


def schemas() -> dict[Path, str]:
    """docs/schema/: of recipes, and of what each command prints with --json."""
    found = {"recipe": json_schema.of_recipes(recipes.names())}
    found |= {command: output_schemas.schema_of(command) for command in output_schemas.COMMANDS}
    return {ROOT / f"docs/schema/{name}.json": json.dumps(schema, indent=1) + "\n" for name, schema in found.items()}


def main(check: bool) -> int:
    """Write the files; with `check` write nothing and return 1 where one of them is not what the program says."""
    files = {ROOT / "docs/cli.md": command_pages(), ROOT / "lolblur_synth/recipe/builtin/lolblur.toml": recipe_file()}
    files |= schemas()
    page = ROOT / "docs/reliability.md"
    files[page] = soak_table.filled(page.read_text(), ROOT / "docs/reliability.json")
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is {'not up to date: run `make docs`' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
