"""recipe ls, show, schema, cp, validate, diff."""

import json
from pathlib import Path

import click

from lolblur_synth import recipes
from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.errors import UsageError
from lolblur_synth.recipe import json_schema


@click.group()
def recipe():
    """List, show, copy, check and compare recipes."""


@recipe.command("ls", short_help="Built-in recipes, and what each is for.")
@opt.json_option
def recipe_ls(as_json):
    """List the built-in recipes: name, hash, and what each is for."""
    for name in recipes.names():
        sha256, summary = recipes.sha256(recipes.load(name)), recipes.summary(name)
        if as_json:
            json_lines.line("recipe", {"name": name, "sha256": sha256, "summary": summary})
        else:
            click.echo(f"{name:10} {sha256[:12]}  {summary}")
    if as_json:
        json_lines.summary({"recipes": len(recipes.names())})


@recipe.command("show", short_help="All values, each with meaning, range and source.")
@click.argument("name")
@opt.set_option
@opt.json_option
def recipe_show(name, assignments, as_json):
    """Print all values of a recipe, each with its meaning, range and source."""
    shown = recipes.override(recipes.load(name), assignments)
    if as_json:
        json_lines.summary({"recipe": recipes.to_dict(shown), "sha256": recipes.sha256(shown)})
    else:
        click.echo(recipes.to_toml(shown), nl=False)


@recipe.command("schema", short_help="JSON Schema of recipes, for editors.")
def recipe_schema():
    """Print the JSON Schema of recipes, with which editors check a recipe and complete its keys.

    Taplo and Even Better TOML, the extension of VS Code, take it from the first line of a recipe:

    \b
    lolblur-synth recipe schema > recipe.schema.json
    #:schema ./recipe.schema.json                        first line of mine.toml
    """
    click.echo(json.dumps(json_schema.of_recipes(recipes.names()), indent=2))


@recipe.command("cp")
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path))
def recipe_cp(name, target):
    """Copy a built-in recipe to the file TARGET, to edit it."""
    if target.exists():
        raise UsageError(f"{target} exists", "give a new file name")
    try:
        target.write_text(recipes.to_toml(recipes.load(name)))
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror}", "give a file that can be written") from None
    click.echo(f"wrote {target}")


@recipe.command("validate", short_help="Check a recipe file.")
@click.argument("file")
@opt.json_option
def recipe_validate(file, as_json):
    """Check a recipe file; exit code 4, with file and line, where a value is wrong."""
    read = recipes.load(file)
    unchecked = [stage.name for stage in read.stages]  # code, which is not run here
    if as_json:
        return json_lines.summary({"file": file, "valid": True, "unchecked_stages": unchecked,
                                   "sha256": None if unchecked else recipes.sha256(read)})  # fmt: skip
    for stage in read.stages:
        click.echo(f"{file}: its stage {stage.target} is code, which is not run here, and [{stage.name}] not checked")
    click.echo(f"{file}: valid" + ("" if unchecked else f", hash {recipes.sha256(read)[:12]}"))
    return 0


@recipe.command("diff")
@click.argument("old")
@click.argument("new", default="lolblur")
@opt.json_option
def recipe_diff(old, new, as_json):
    """Show the values in which two recipes differ. Exit code 0 when there are none, else 3."""
    before, after = recipes.load(old), recipes.load(new)
    changes = recipes.diff(before, after)
    code = 3 if changes else 0
    if as_json:
        for key, one, other in changes:
            json_lines.line("change", {"key": key, "old": one, "new": other})
        return json_lines.summary({"changes": len(changes)}, code)
    for change in recipes.changes(before, after):
        click.echo(change)
    return code
