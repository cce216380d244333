"""status, verify, preview, export and report: what concerns a dataset that was built."""

from pathlib import Path

import click

from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.commands.build import resolve
from lolblur_synth.errors import Damaged, UsageError, counted
from lolblur_synth.files import remote


@click.command(short_help="Pairs done, left and failed.")
@click.argument("out", type=opt.DATASET)
@opt.json_option
def status(out, as_json):
    """Show how far the dataset OUT is: pairs done, left and failed."""
    from lolblur_synth.dataset import verify

    state = verify.status(out)
    if as_json:
        return json_lines.summary(state)
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


@click.command(short_help="Compare every file with its record.")
@click.argument("paths", metavar="[VIDEOS]... OUT", nargs=-1, required=True, type=click.Path())
@click.option("--pixels", is_flag=True, help="Compare pixels instead of bytes; survives re-encoding of the PNGs.")
@click.option(
    "--rerun", "count", metavar="K", type=click.IntRange(min=1),
    help="Also make K random pairs again from VIDEOS, by default those of the last build here, and compare.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of the choice of the K pairs; by default a new one each time."
)
@click.option("--recipe", metavar="NAME|FILE", help="For --rerun, where the recipe of OUT names code of yours.")
@opt.device_option
@opt.json_option
@click.pass_obj
def verify(style, paths, pixels, count, seed, recipe, device, as_json):
    """Compare every file of the dataset OUT with its record, and the records with recipe, manifest and split. Exit code
    12 where they differ. Changes no file; the next build makes the pairs again that were found damaged.

    \b
    missing, corrupt   an image is not there, or is not what was built
    record             a record of a pair cannot be read
    extra              a file that no record tells of
    stale              the manifest does not say what the records say
    draws              a record says what was not drawn
    recipe             a pair was made by another recipe, or from a video that was not surveyed
    differs            a pair came out differently when it was made again (--rerun)
    leak               one source is in train and in test

    Example: lolblur-synth verify videos/ out/ --rerun 8
    """
    from lolblur_synth.dataset import verify

    *videos, out = map(remote.as_word, paths)
    out = remote.output_folder(out)
    if count is None and (videos or seed is not None or recipe is not None):
        raise UsageError("VIDEOS, --seed and --recipe are for --rerun", f"lolblur-synth verify VIDEOS {out} --rerun 8")
    damages = verify.verify(out, pixels)
    again = None
    if count is not None:
        again = _rerun(out, videos, count, seed, recipe, device, "json" if as_json else style)
        damages += again.damages
        verify.note(out, again.damages)
    code = Damaged.exit_code if damages else 0
    if as_json:
        from lolblur_synth.dataset import rerun

        told = {"out": out, "damages": [[d.word, d.path] for d in damages], "notes": [d.note for d in damages]}
        return json_lines.summary(told | ({"rerun": rerun.as_json(again)} if again else {}), code)
    for damage in damages:
        click.echo(f"{damage.word}: {opt.printable(damage.path + (f' ({damage.note})' if damage.note else ''))}")
    repair = "`lolblur-synth build` with the same videos repairs all but extra files and leaks"
    click.echo(f"{counted(len(damages), 'fault')}; {repair}" if damages else "no damage")
    return code


def _rerun(out, videos, count, seed, recipe, device, style):
    """Make pairs again, and tell people which."""
    import secrets

    from lolblur_synth import recipes
    from lolblur_synth.dataset import rerun

    seed = secrets.randbelow(1 << 32) if seed is None else seed
    asked = None
    if recipe is not None:
        asked = recipes.load(recipe)
        opt.say_code_runs(asked, style)

    def show(kind: str, fields: dict) -> None:
        if style == "human" and kind == "survey":
            click.echo(f"reading {counted(fields['todo'], 'input')}, each from the first frame to the last", err=True)
        elif style == "human":
            click.echo(f"made again: {fields['pair']}", err=True)

    again = rerun.rerun(out, count, seed, videos, asked, device, show)
    if style == "human":
        differ = len(rerun.as_json(again)["differ"])
        left = f"; {counted(again.left, 'pair')} could not be made again here" if again.left else ""
        click.echo(f"{counted(len(again.pairs), 'pair')} made again with --seed {seed}, {differ} differ{left}")
    return again


@click.command(short_help="A contact sheet of a dataset, or of a build to come.")
@click.argument("paths", metavar="OUT|VIDEOS...", nargs=-1, type=click.Path())
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

    words = [*(opt.sample_clips() if sample else ()), *map(remote.as_word, paths)]
    if not words:
        raise UsageError("OUT or VIDEOS are needed", "lolblur-synth preview out/   or   lolblur-synth preview videos/")
    settings = resolve(recipe, assignments, style="json" if as_json else style, **everyday)

    def say(kind: str, fields: dict) -> None:
        if kind in ("note", "failed") and as_json:
            json_lines.line(kind, fields)
        elif kind in ("note", "failed") and style == "human":
            click.echo(f"{kind}: {opt.with_hint(fields)}", err=True)

    count = preview.write(words, output, settings, rows, jobs=jobs, device=device, listener=say)
    if as_json:
        json_lines.summary({"output": output, "rows": count})
    elif style == "human":
        click.echo(f"{count} pairs on {opt.printable(str(output))}")
    return 0


@click.command(short_help="Formats of BasicSR, WebDataset, Hugging Face.")
@click.argument("out", type=opt.DATASET)
@click.argument("dest", required=False, type=click.Path())
@click.option(
    "--format", "form", default="flat", show_default=True,
    type=click.Choice(["flat", "lmdb", "webdataset", "huggingface", "basicsr", "wds", "hf"], case_sensitive=False),
    help="flat or basicsr: SPLIT/FOLDER/0000_0000.png and BasicSR's meta_info; lmdb: BasicSR's; webdataset or wds: "
    "tars; huggingface or hf: an imagefolder.",
)  # fmt: skip
@click.option("--folders", metavar="NAME,…", help="Which of the five images; default all.")
@opt.json_option
@click.pass_obj
def export(style, out, dest, form, folders, as_json):
    """Write the dataset OUT into the new folder DEST (default OUT-FORMAT) in a format of other training codes, and
    print the line that loads it there. An export for Hugging Face has a dataset card, whose licence is yours to add.
    DEST may be a URL, such as s3://bucket/folder: it is complete where export.json is there, which is written last;
    until then the same command continues.

    Example: lolblur-synth export out/ --format lmdb --folders low_blur_noise,high_sharp_scaled
    """
    from lolblur_synth.dataset import export, layout
    from lolblur_synth.parallel.progress import Meter

    form = export.form_called(form)
    place = remote.as_word(dest) if dest else out.with_name(f"{out.resolve().name}-{form}")
    shown = remote.shown(str(place))
    chosen = tuple(folders.split(",")) if folders is not None else layout.FOLDERS
    with Meter(None, "pair", as_json or style == "quiet") as meter:

        def show(done: int, total: int) -> None:
            meter.total = total
            meter.add(done - meter.done)

        pairs = export.export(out, place, form, chosen, show)
    load = export.how_to_load(form, place, chosen) if isinstance(place, Path) else ""
    if as_json:
        return json_lines.summary({"out": out, "dest": shown, "format": form, "folders": chosen, "pairs": pairs,
                                   "load": load})  # fmt: skip
    if style == "human":
        click.echo(f"{counted(pairs, 'pair')} in {opt.printable(shown)}")
        click.echo(opt.printable(f"load it with {load}") if load else "complete: export.json is there, written last")
    return 0


@click.command(short_help="One HTML page that shows a dataset.")
@click.argument("out", type=opt.DATASET)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default OUT/report.html.")
@click.option("--quick", is_flag=True, help="Measure no image: a page without PSNR, blur lengths and new thumbnails.")
@opt.jobs_option
@opt.json_option
@click.pass_obj
def report(style, out, output, quick, jobs, as_json):
    """Write one HTML page that shows the dataset OUT: every pair before and after, its draws and figures, warnings,
    distributions, recipe. It needs no network. Thumbnails of more than 200 pairs are in a folder beside it."""
    from lolblur_synth.dataset import report
    from lolblur_synth.parallel.machine import auto_jobs
    from lolblur_synth.parallel.progress import metered

    def show(figures, pairs):
        return metered(figures, pairs, "pair", as_json or style == "quiet")

    path = report.write(out, output, jobs=jobs or auto_jobs(), quick=quick, progress=show)
    if as_json:
        return json_lines.summary({"out": out, "report": path})
    if style == "human":
        click.echo(f"wrote {opt.printable(str(path))}")
    return 0
