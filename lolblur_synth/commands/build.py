"""build and plan: from videos to a dataset, or to what that would take."""

import contextlib
import os
from pathlib import Path

import click

from lolblur_synth import kernels, recipes
from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.commands.parse import parse_shard
from lolblur_synth.errors import ClipsFailed, InputError, UsageError, counted
from lolblur_synth.files import capture_rates, remote
from lolblur_synth.recipe.schema import Recipe


def resolve(recipe: str | None, assignments, out: Path | None = None, style: str = "", **everyday) -> Recipe:
    """The recipe with everyday options and `--set` words applied; without any of them, the one `out` was built with.

    style: "human" prints a line when that is not the default recipe. Stages of the user are imported; a line says so,
    unless style is "quiet".
    """
    if out is not None and recipe is None and not assignments and all(v in (None, ()) for v in everyday.values()):
        from lolblur_synth.dataset import stored

        earlier = stored.to_continue(out)
        if earlier is not None:
            if style == "human" and recipes.diff(recipes.load("lolblur"), earlier):
                click.echo(f"recipe {earlier.name}, as in {opt.printable(str(out / 'recipe.toml'))}", err=True)
            return earlier
    base = recipes.load(recipe or "lolblur")
    asked = recipes.override(base, opt.overrides(assignments, base_skip=base.skip, **everyday))
    opt.say_code_runs(asked, style)
    return recipes.import_stages(asked)


def inputs_and_output(paths: tuple[str, ...], sample: bool, needs_output: bool) -> tuple[list[str | Path], Path | None]:
    """Split `VIDEOS… OUT`. With --sample there are no VIDEOS."""
    words = [remote.as_word(p) for p in paths]
    if sample:
        if len(words) != 1 and (needs_output or words):
            raise UsageError("with --sample give OUT alone", "lolblur-synth build --sample out/")
        return list(opt.sample_clips()), remote.output_folder(words[0]) if words else None
    if not words or (needs_output and len(words) < 2):
        raise UsageError(
            "VIDEOS and OUT are needed" if needs_output else "VIDEOS are needed",
            "lolblur-synth build videos/ out/   or   lolblur-synth build --sample out/",
        )
    if needs_output:
        return words[:-1], remote.output_folder(words[-1])
    return words, None


@click.command(short_help="Make the dataset; resumes by itself.")
@click.argument("paths", metavar="VIDEOS... OUT", nargs=-1, type=click.Path())
@opt.build_options
@click.option(
    "--shard",
    metavar="I/N",
    callback=lambda c, p, v: parse_shard(v),
    help="Build the I-th of N shares; shards may run at once, on machines that share OUT.",
)
@click.option(
    "--backend", default="local", show_default=True, type=click.Choice(["local", "dask", "ray"]),
    help="Where the workers run; on a cluster OUT and VIDEOS must be at the same path on every machine.",
)  # fmt: skip
@click.option("--address", default="", help="Of a running Dask or Ray cluster; without, one is started here.")
@click.option(
    "--shoot", "from_pictures", is_flag=True,
    help="VIDEOS are PICTURES: clips are shot from them as by the command shoot, built from, and not kept.",
)  # fmt: skip
@opt.dry_run_option("Plan only; write nothing.")
@click.pass_obj
def build(
    style, paths, recipe, assignments, jobs, device, sample, as_json, shard, backend, address, from_pictures, dry_run,
    **everyday,
):  # fmt: skip
    """Make the dataset OUT from VIDEOS: files, folders of videos or of frames, or URLs of them, such as s3://bucket/night.

    a.mp4@960 gives one clip, or a folder of clips, its capture rate; so does a clips.toml beside the videos.
    The same command again continues where the last one stopped. Example:

    \b
    lolblur-synth build videos/ out/ --fps 250 --pairs 8
    """
    videos, out = inputs_and_output(paths, sample, needs_output=True)
    if from_pictures and (sample or shard != (1, 1) or dry_run):
        raise UsageError("--shoot shoots clips for one whole build: not with --sample, --shard or --dry-run",
                         "shoot the clips first: lolblur-synth shoot PICTURES clips/")  # fmt: skip
    if from_pictures and any(map(remote.is_url, videos)):
        raise UsageError("--shoot takes pictures of this machine, no URLs", "copy them to a folder first")
    settings = resolve(recipe, assignments, out, "json" if as_json else style, **everyday)
    if dry_run:
        return show_plan(videos, out, settings, jobs, device, "json" if as_json else style)
    from lolblur_synth.commands.progress import Progress
    from lolblur_synth.dataset import build

    progress = Progress("json" if as_json else style)
    if style == "human" and not as_json and settings.skip:
        click.echo(f"stages left out: {', '.join(settings.skip)}", err=True)
    if style == "human" and not as_json and not kernels.are_compiled():
        click.echo("note: the first build of this installation compiles for its processor, a minute or two before the "
                   "first pair", err=True)  # fmt: skip
    refused = []
    with contextlib.closing(progress):
        options = {"jobs": jobs, "device": device, "backend": backend, "address": address, "listener": progress}
        if from_pictures:
            from lolblur_synth.tools.shoot import for_build

            summary, refused = for_build.build(videos, out, settings, options)
        else:
            summary = build.build(videos, out, settings, shard=shard, **options)
    failed = len(summary.failed) + len(refused)
    code = ClipsFailed.exit_code if failed else 0
    if as_json:
        counts = {"planned": summary.planned, "built": summary.built, "already": summary.already, "failed": failed}
        json_lines.summary({"out": out} | counts, code)
    elif style == "human":
        click.echo(
            f"{summary.built + summary.already} of {counted(summary.planned, 'pair')} in {opt.printable(str(out))}"
            + (f", {counted(failed, 'failure')} (see above)" if failed else "")
        )
    return code


@click.command(short_help="What build would do: clips, pairs, refusals, disk, time.")
@click.argument("paths", metavar="VIDEOS... [OUT]", nargs=-1, type=click.Path())
@opt.build_options
@click.option(
    "--calibrate/--no-calibrate", default=True, show_default=True,
    help="At the first plan of this machine, measure how long a build takes to start; kept in the user's cache.",
)  # fmt: skip
@click.pass_obj
def plan(style, paths, recipe, assignments, jobs, device, sample, as_json, calibrate, **everyday):
    """Show what `build` would do with VIDEOS: clips, pairs, refusals, disk and time. Writes nothing but what it learns
    of the machine, once, into the user's cache.

    OUT is the last path when it is a dataset already or does not exist yet.
    """
    *head, last = paths or ("",)
    is_out = (
        last
        and len(paths) > (0 if sample else 1)
        and not remote.is_url(last)
        and (not os.path.lexists(capture_rates.split(last).path) or (Path(last) / ".lolblur").is_dir())
    )
    videos, _ = (
        inputs_and_output(tuple(head) if is_out else paths, sample and not is_out, needs_output=False)
        if not (sample and is_out)
        else (list(opt.sample_clips()), None)
    )
    out = Path(last) if is_out else None
    settings = resolve(recipe, assignments, out, "json" if as_json else style, **everyday)
    return show_plan(videos, out, settings, jobs, device, "json" if as_json else style, calibrate)


def show_plan(
    videos: list[str | Path], out: Path | None, recipe: Recipe, jobs: int | None, device: str, style: str,
    calibrate: bool = False,
) -> int:  # fmt: skip
    """Print the plan. Returns exit code 0, or 3 when an input was refused. Raises InputError when none is usable."""
    refused: list[dict] = []

    def say(text: str) -> None:
        if style == "human":
            click.echo(f"plan: {text}", err=True)

    def listen(kind: str, fields: dict) -> None:
        if kind == "failed":
            refused.append(fields)
        elif kind == "survey" and fields["todo"]:
            inputs = counted(fields["inputs"], "input")
            say(f"reading {fields['todo']} of {inputs}, each once, from the first frame to the last")
        elif kind == "calibrate":
            say("measuring once how long a build takes to start on this machine (--no-calibrate: a guess)")
        elif kind == "rehearse":
            say(f"rehearsing {counted(fields['jobs'], 'job')} in a temporary folder, to measure time, size and motion")

    say("reads the inputs; writes nothing")  # before torch is imported, which takes seconds
    from lolblur_synth.dataset import estimate

    try:
        account = estimate.plan(videos, out, recipe, jobs, device, listen, calibrate)
    except InputError:
        for refusal in refused:
            if style == "json":
                json_lines.line("refused", refusal)
            else:
                click.echo(f"refused: {opt.with_hint(refusal)}")
        raise
    code = ClipsFailed.exit_code if account["refused"] else 0
    if style == "json":
        return json_lines.summary(account, code)
    click.echo(estimate.to_text(account))
    return code
