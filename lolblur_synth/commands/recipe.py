"""recipe ls, show, cp, validate, diff."""

from pathlib import Path

import click

from lolblur_synth import recipes
from lolblur_synth.commands import options as opt
from lolblur_synth.errors import UsageError


@click.group()
def recipe():
    """List, show, copy, check and compare recipes."""


@recipe.command("ls")
def recipe_ls():
    """List the built-in recipes."""
    for name in recipes.names():
        click.echo(f"{name:10} {recipes.sha256(recipes.load(name))[:12]}")


@recipe.command("show")
@click.argument("name")
@opt.set_option
def recipe_show(name, assignments):
    """Print all values of a recipe, each with its meaning, range and source."""
    click.echo(recipes.to_toml(recipes.override(recipes.load(name), assignments)), nl=False)


@recipe.command("cp")
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path))
def recipe_cp(name, target):
    """Copy a built-in recipe to the file TARGET, to be edited."""
    if target.exists():
        raise UsageError(f"{target} exists", "give a new file name")
    try:
        target.write_text(recipes.to_toml(recipes.load(name)))
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror}", "give a file that can be written") from None
    click.echo(f"wrote {target}")


@recipe.command("validate")
@click.argument("file")
def recipe_validate(file):
    """Check a recipe file; exit code 4, with file and line, where a value is wrong."""
    read = recipes.load(file)
    for stage in read.stages:
        click.echo(f"{file}: its stage {stage.target} is code, which is not run here, and [{stage.name}] not checked")
    click.echo(f"{file}: valid" + ("" if read.stages else f", hash {recipes.sha256(read)[:12]}"))


@recipe.command("diff")
@click.argument("old")
@click.argument("new", default="lolblur")
def recipe_diff(old, new):
    """Show the values in which two recipes differ. Exit code 0 when there are none, else 3."""
    changes = recipes.changes(recipes.load(old), recipes.load(new))
    for change in changes:
        click.echo(change)
    return 3 if changes else 0
