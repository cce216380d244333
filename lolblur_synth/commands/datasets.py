"""build, plan, status, verify, preview, report, export: what concerns a dataset."""

import contextlib
import json
import os
from pathlib import Path

import click

from lolblur_synth import recipes
from lolblur_synth.commands import options as opt
from lolblur_synth.errors import ClipsFailed, Damaged, InputError, UsageError
from lolblur_synth.files import capture_rates
from lolblur_synth.recipe.schema import Recipe


def resolve(recipe: str | None, assignments, out: Path | None = None, style: str = "", **everyday) -> Recipe:
    """The recipe with everyday options and `--set` words applied; without any the one that `out` was built with.

    style: "human" says so where the latter is not the default recipe.
    """
    if out is not None and recipe is None and not assignments and all(v in (None, ()) for v in everyday.values()):
        from lolblur_synth.dataset import stored

        earlier = stored.recipe(out)
        if earlier is not None:
            if style == "human" and recipes.diff(recipes.load("lolblur"), earlier):
                click.echo(f"with the recipe of {opt.printable(str(out))}, {earlier.name}: see {out / 'recipe.toml'}",
                           err=True)  # fmt: skip
            return earlier
    base = recipes.load(recipe or "lolblur")
    return recipes.override(base, opt.overrides(assignments, base_skip=base.skip, **everyday))


def inputs_and_output(paths: tuple[str, ...], sample: bool, needs_output: bool) -> tuple[list[Path], Path | None]:
    """Split `VIDEOS… OUT`. With --sample there are no VIDEOS."""
    given = [Path(p) for p in paths]
    if sample:
        if len(given) != 1 and (needs_output or given):
            raise UsageError("with --sample give OUT alone", "lolblur-synth build --sample out/")
        return [opt.sample_clip()], given[0] if given else None
    if not given or (needs_output and len(given) < 2):
        raise UsageError(
            "VIDEOS and OUT are needed" if needs_output else "VIDEOS are needed",
            "lolblur-synth build videos/ out/   or   lolblur-synth build --sample out/",
        )
    if needs_output:
        return given[:-1], given[-1]
    return given, None


@click.command(short_help="Make the dataset; resumes by itself.")
@click.argument("paths", metavar="VIDEOS... OUT", nargs=-1, type=click.Path())
@opt.build_options
@click.option(
    "--shard",
    metavar="I/N",
    callback=lambda c, p, v: opt.parse_shard(v),
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
    """Make the dataset OUT from VIDEOS (files, or folders of videos or of frames).

    a.mp4@960 gives one clip, or a folder of clips, its capture rate; so does a clips.toml beside the videos.
    The same command again continues where the last one stopped. Example:

    \b
    lolblur-synth build videos/ out/ --fps 250 --pairs 8
    """
    videos, out = inputs_and_output(paths, sample, needs_output=True)
    if from_pictures and (sample or shard != (1, 1) or dry_run):
        raise UsageError("--shoot shoots clips for one whole build: not with --sample, --shard or --dry-run",
                         "shoot the clips first: lolblur-synth shoot PICTURES clips/")  # fmt: skip
    settings = resolve(recipe, assignments, out, "json" if as_json else style, **everyday)
    if dry_run:
        return show_plan(videos, out, settings, jobs, device, "json" if as_json else style)
    from lolblur_synth.commands.progress import Progress
    from lolblur_synth.dataset import build as builder

    progress = Progress("json" if as_json else style)
    if style == "human" and not as_json and settings.skip:
        click.echo(f"stages left out: {', '.join(settings.skip)}", err=True)
    refused: list[dict] = []
    with contextlib.closing(progress):
        options = {"jobs": jobs, "device": device, "backend": backend, "address": address, "listener": progress}
        if from_pictures:
            from lolblur_synth.tools.shoot import for_build

            summary, refused = for_build.build(videos, out, settings, options)
        else:
            summary = builder.build(videos, out, settings, shard=shard, **options)
    failed = len(summary.failed) + len(refused)
    code = ClipsFailed.exit_code if failed else 0
    if as_json:
        click.echo(
            json.dumps(
                {
                    "type": "summary",
                    "out": str(out),
                    "planned": summary.planned,
                    "built": summary.built,
                    "already": summary.already,
                    "failed": failed,
                    "exit": code,
                }
            )
        )
    elif style == "human":
        click.echo(
            f"{summary.built + summary.already} of {summary.planned} pairs in {opt.printable(str(out))}"
            + (f", {opt.counted(failed, 'failure')} (see above)" if failed else "")
        )
    return code


@click.command(short_help="What build would do: clips, pairs, refusals, disk, time.")
@click.argument("paths", metavar="VIDEOS... [OUT]", nargs=-1, type=click.Path())
@opt.build_options
@click.pass_obj
def plan(style, paths, recipe, assignments, jobs, device, sample, as_json, **everyday):
    """Show what `build` would do with VIDEOS: clips, pairs, refusals, disk and time. Writes nothing.

    OUT is the last path when it is a dataset already or does not exist yet.
    """
    *head, last = paths or ("",)
    is_out = (
        last
        and len(paths) > (0 if sample else 1)
        and (not os.path.lexists(capture_rates.split(last).path) or (Path(last) / ".lolblur").is_dir())
    )
    videos, _ = (
        inputs_and_output(tuple(head) if is_out else paths, sample and not is_out, needs_output=False)
        if not (sample and is_out)
        else ([opt.sample_clip()], None)
    )
    out = Path(last) if is_out else None
    settings = resolve(recipe, assignments, out, "json" if as_json else style, **everyday)
    return show_plan(videos, out, settings, jobs, device, "json" if as_json else style)


def show_plan(videos: list[Path], out: Path | None, recipe: Recipe, jobs: int | None, device: str, style: str) -> int:
    """Print the plan; exit code 5 (raised) when nothing is usable, 3 when something is refused."""
    refused: list[dict] = []

    def say(text: str) -> None:
        if style == "human":
            click.echo(f"plan: {text}", err=True)

    def listen(kind: str, facts: dict) -> None:
        if kind == "failed":
            refused.append(facts)
        elif kind == "survey" and facts["todo"]:
            say(f"reading {facts['todo']} of {facts['inputs']} inputs, each once from end to end")
        elif kind == "measure":
            say("building one pair in a temporary folder, to know its time and its size")

    say("looks at the inputs, writes nothing")  # before torch is imported, which takes seconds
    from lolblur_synth.dataset import estimate

    try:
        found = estimate.plan(videos, out, recipe, jobs, device, listen)
    except InputError:
        if refused and style == "json":
            click.echo(json.dumps({"clips": [], "refused": refused, "pairs": 0}))
        for refusal in refused if style != "json" else ():
            click.echo(f"refused: {opt.with_hint(refusal)}")
        raise
    if style == "json":
        click.echo(json.dumps(found))
    else:
        click.echo(estimate.to_text(found))
    return ClipsFailed.exit_code if found["refused"] else 0


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@opt.json_option
def status(out, as_json):
    """Show how far the dataset OUT is: pairs done, left and failed."""
    from lolblur_synth.dataset import verify as tool

    state = tool.status(out)
    if as_json:
        click.echo(json.dumps(state))
        return 0
    click.echo(
        f"{state['done']} of {state['planned']} pairs done, {state['left']} left, {len(state['failed'])} failed; "
        f"{state['train']} train and {state['test']} test videos; {state['bytes'] / 1e6:.0f} MB"
    )
    for name in state["measured"]:
        click.echo(f"{opt.printable(name)}: {tool.LIGHT_IN_WORDS}")
    for failure in state["failed"]:
        click.echo(f"failed {failure['pair']}: {opt.with_hint(failure)}")
    for refusal in state["refused"]:
        click.echo(f"refused {opt.with_hint(refusal)}")
    return 0


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pixels", is_flag=True, help="Compare pixels instead of bytes; survives re-encoding of the PNGs.")
@opt.json_option
def verify(out, pixels, as_json):
    """Compare every file of the dataset OUT with its record. Changes nothing; exit code 12 on damage."""
    from lolblur_synth.dataset import verify as tool

    damages = tool.verify(out, pixels)
    if as_json:
        click.echo(json.dumps({"out": str(out), "damages": [[d.word, d.path] for d in damages]}))
    else:
        for damage in damages:
            click.echo(f"{damage.word}: {opt.printable(damage.path)}")
        repair = "`lolblur-synth build` of the same videos repairs all but extra files"
        click.echo(f"{opt.counted(len(damages), 'fault')}; {repair}" if damages else "whole")
    return Damaged.exit_code if damages else 0


@click.command()
@click.argument("paths", metavar="OUT|VIDEOS...", nargs=-1, type=click.Path(path_type=Path))
@opt.build_options
@click.option("-n", "--rows", default=6, show_default=True, type=click.IntRange(1, 100), help="Most pairs shown.")
@click.option(
    "-o", "--output", default="preview.png", show_default=True, type=click.Path(path_type=Path, dir_okay=False),
    help="The picture to write.",
)  # fmt: skip
@click.pass_obj
def preview(style, paths, recipe, assignments, jobs, device, sample, as_json, rows, output, **everyday):
    """Write a contact sheet of the dataset OUT; or of VIDEOS, as a build with these options would make them.

    Example: lolblur-synth preview videos/ --exposure 0.1 -n 3
    """
    from lolblur_synth.dataset import preview as tool

    if sample:
        paths = (opt.sample_clip(), *paths)
    if not paths:
        raise UsageError("OUT or VIDEOS are needed", "lolblur-synth preview out/   or   lolblur-synth preview videos/")
    settings = resolve(recipe, assignments, **everyday)

    def say(kind: str, facts: dict) -> None:
        if kind in ("note", "failed") and style == "human":
            click.echo(f"{kind}: {opt.with_hint(facts)}", err=True)

    count = tool.write(list(paths), output, settings, rows, jobs=jobs, device=device, listener=say)
    if as_json:
        click.echo(json.dumps({"output": str(output), "rows": count}))
    elif style == "human":
        click.echo(f"{count} pairs on {opt.printable(str(output))}")
    return 0


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("dest", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", default="flat", show_default=True,
    type=click.Choice(["flat", "lmdb", "webdataset", "huggingface", "basicsr", "wds", "hf"], case_sensitive=False),
    help="flat or basicsr: SPLIT/FOLDER/0000_0000.png and BasicSR's meta_info; lmdb: BasicSR's; webdataset or wds: "
    "tars; huggingface or hf: an imagefolder.",
)  # fmt: skip
@click.option("--folders", metavar="NAME,…", help="Which of the five images; default all.")
@click.pass_obj
def export(style, out, dest, form, folders):
    """Write the dataset OUT into the new folder DEST (default OUT-FORMAT) in a form that other codes read.

    Example: lolblur-synth export out/ --format lmdb --folders low_blur_noise,high_sharp_scaled
    """
    from tqdm import tqdm

    from lolblur_synth.dataset import export as tool
    from lolblur_synth.dataset import layout

    form = tool.form_called(form)
    dest = dest or out.with_name(f"{out.resolve().name}-{form}")
    chosen = tuple(folders.split(",")) if folders is not None else layout.FOLDERS
    with tqdm(unit="pair", disable=style == "quiet", delay=0.1) as bar:  # nothing where it is refused at once

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        pairs = tool.export(out, dest, form, chosen, show)
    if style == "human":
        click.echo(f"{pairs} pairs in {opt.printable(str(dest))}")
    return 0


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default OUT/report.html.")
def report(out, output):
    """Write one HTML file that shows the dataset OUT: contact sheet, draws, recipe, failures."""
    from lolblur_synth.dataset import report as tool

    click.echo(f"wrote {opt.printable(str(tool.write(out, output)))}")
    return 0
