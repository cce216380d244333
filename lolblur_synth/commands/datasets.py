"""status, verify, preview, export and report: what concerns a dataset that was built."""

import json
from pathlib import Path

import click

from lolblur_synth.commands import options as opt
from lolblur_synth.commands.build import resolve
from lolblur_synth.errors import Damaged, UsageError, counted


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@opt.json_option
def status(out, as_json):
    """Show how far the dataset OUT is: pairs done, left and failed."""
    from lolblur_synth.dataset import verify

    state = verify.status(out)
    if as_json:
        click.echo(json.dumps(state))
        return 0
    click.echo(
        f"{state['done']} of {state['planned']} pairs done, {state['left']} left, {len(state['failed'])} failed; "
        f"{state['train']} train and {state['test']} test videos; {state['bytes'] / 1e6:.0f} MB"
    )
    for name in state["measured"]:
        click.echo(f"{opt.printable(name)}: {verify.LIGHT_IN_WORDS}")
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
    """Compare every file of the dataset OUT with its record. Changes nothing; exit code 12 where they differ."""
    from lolblur_synth.dataset import verify

    damages = verify.verify(out, pixels)
    if as_json:
        click.echo(json.dumps({"out": str(out), "damages": [[d.word, d.path] for d in damages]}))
    else:
        for damage in damages:
            click.echo(f"{damage.word}: {opt.printable(damage.path)}")
        repair = "`lolblur-synth build` with the same videos repairs all but extra files"
        click.echo(f"{counted(len(damages), 'fault')}; {repair}" if damages else "no damage")
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
    """Write a contact sheet of the dataset OUT, or of the pairs that a build of VIDEOS with these options would make.

    Example: lolblur-synth preview videos/ --exposure 0.1 -n 3
    """
    from lolblur_synth.dataset import preview

    if sample:
        paths = (*opt.sample_clips(), *paths)
    if not paths:
        raise UsageError("OUT or VIDEOS are needed", "lolblur-synth preview out/   or   lolblur-synth preview videos/")
    settings = resolve(recipe, assignments, style="json" if as_json else style, **everyday)

    def say(kind: str, fields: dict) -> None:
        if kind in ("note", "failed") and style == "human":
            click.echo(f"{kind}: {opt.with_hint(fields)}", err=True)

    count = preview.write(list(paths), output, settings, rows, jobs=jobs, device=device, listener=say)
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
    """Write the dataset OUT into the new folder DEST (default OUT-FORMAT) in a format of other training codes.

    Example: lolblur-synth export out/ --format lmdb --folders low_blur_noise,high_sharp_scaled
    """
    from lolblur_synth.dataset import export, layout
    from lolblur_synth.parallel.progress import Meter

    form = export.form_called(form)
    dest = dest or out.with_name(f"{out.resolve().name}-{form}")
    chosen = tuple(folders.split(",")) if folders is not None else layout.FOLDERS
    with Meter(None, "pair", style == "quiet") as meter:

        def show(done: int, total: int) -> None:
            meter.total = total
            meter.add(done - meter.done)

        pairs = export.export(out, dest, form, chosen, show)
    if style == "human":
        click.echo(f"{counted(pairs, 'pair')} in {opt.printable(str(dest))}")
    return 0


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default OUT/report.html.")
@click.option("--quick", is_flag=True, help="Measure no image: a page without PSNR, blur lengths and new thumbnails.")
@opt.jobs_option
@click.pass_obj
def report(style, out, output, quick, jobs):
    """Write one HTML page that shows the dataset OUT: every pair before and after, its draws and figures, warnings,
    distributions, recipe. It needs no network. Thumbnails of more than 200 pairs are in a folder beside it."""
    from lolblur_synth.dataset import report
    from lolblur_synth.parallel.machine import auto_jobs
    from lolblur_synth.parallel.progress import metered

    def show(figures, pairs):
        return metered(figures, pairs, "pair", style == "quiet")

    path = report.write(out, output, jobs=jobs or auto_jobs(), quick=quick, progress=show)
    click.echo(f"wrote {opt.printable(str(path))}")
    return 0
