"""The commands. Words in, words out: each one reads its options, calls a tool and prints what it returns.

Tools are imported inside the commands, so that help and shell completion need neither torch nor OpenCV.
"""

import contextlib
import json
import logging
import os
import sys
from importlib import resources
from pathlib import Path

import click

from lolblur_synth import __version__, recipes
from lolblur_synth import options as opt
from lolblur_synth.errors import LolblurError, NoSpace, UsageError
from lolblur_synth.recipe import STAGE_NAMES, Recipe
from lolblur_synth.training.config import EvaluateConfig, LednetConfig, RestoreConfig

EXIT_CODES = """\b
Exit codes: 0 done, 1 a bug, 2 usage, 3 finished with failures, 4 recipe,
5 no usable input, 10 output is not ours or has another recipe, 11 locked,
12 verify found damage, 13 no space, 130 interrupted."""


class Commands(click.Group):
    """Turns foreseen errors into two lines and an exit code; shows a traceback only for bugs, and only with -v."""

    def main(self, *args, standalone_mode: bool = True, **kwargs):
        try:
            result = super().main(*args, standalone_mode=False, **kwargs)
        except LolblurError as error:
            fail(str(error), error.hint, error.exit_code)
        except click.exceptions.Exit as done:
            sys.exit(done.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            fail("interrupted", "the same command continues", 130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of our output left: that is no error
            sys.exit(0)
        except OSError as error:
            if error.errno in (28, 122, 27):
                fail(
                    f"no space left ({error.filename or 'on the disk'})",
                    "free some space, then run again",
                    NoSpace.exit_code,
                )
            bug(error)
        except Exception as error:
            bug(error)
        sys.exit(result if isinstance(result, int) else 0)


def fail(message: str, hint: str, code: int) -> None:
    """`Error: what`, then what to do, on stderr; leaves with the code."""
    click.echo(f"Error: {_printable(message)}", err=True)
    if hint:
        click.echo(f"  {_printable(hint)}", err=True)
    sys.exit(code)


def bug(error: Exception) -> None:
    """An unforeseen error: a traceback with -v, otherwise one line."""
    if logging.getLogger("lolblur_synth").isEnabledFor(logging.DEBUG):
        raise error
    fail(f"unexpected {type(error).__name__}: {error}", "this is a bug; run again with -v and report what it prints", 1)


def _printable(text: str) -> str:
    """One line that any terminal can show, whatever a file name holds."""
    return (
        text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")
        .decode(sys.stderr.encoding or "utf-8")
        .replace("\n", "\\n")
    )


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LOLBLUR"},
    epilog=EXIT_CODES,
)
@click.option("-v", "--verbose", count=True, help="Say more; tracebacks for bugs.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but failures.")
@click.option("--log-file", type=click.Path(dir_okay=False), help="Also write the log to this file.")
@click.version_option(__version__, prog_name="lolblur-synth")
@click.pass_context
def main(context: click.Context, verbose: int, quiet: bool, log_file: str | None):
    """Turn high-frame-rate video into paired data for joint low-light enhancement and deblurring.

    \b
    lolblur-synth build videos/ out/             make the dataset; the same command again continues
    lolblur-synth plan videos/                   what build would do
    lolblur-synth stage darken --exposure 0.2    one stage alone, on the bundled sample
    """
    log = logging.getLogger("lolblur_synth")
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    if log_file:
        try:
            log.addHandler(logging.FileHandler(log_file))
        except OSError as error:
            raise UsageError(f"--log-file {log_file}: {error.strerror}", "give a file that can be written") from None
    context.obj = "quiet" if quiet else "human"


def resolve(recipe: str, assignments, **everyday) -> Recipe:
    """The recipe with everyday options and `--set` words applied."""
    base = recipes.load(recipe)
    return recipes.override(base, opt.overrides(assignments, base_skip=base.skip, **everyday))


def sample_clip() -> Path:
    """The bundled clip."""
    return Path(str(resources.files("lolblur_synth") / "samples" / "night_street_250fps.mp4"))


def inputs_and_output(paths: tuple[str, ...], sample: bool, needs_output: bool) -> tuple[list[Path], Path | None]:
    """Split `VIDEOS… OUT`. With --sample there are no VIDEOS."""
    given = [Path(p) for p in paths]
    if sample:
        if len(given) != 1 and (needs_output or given):
            raise UsageError("with --sample give OUT alone", "lolblur-synth build --sample out/")
        return [sample_clip()], given[0] if given else None
    if not given or (needs_output and len(given) < 2):
        raise UsageError(
            "VIDEOS and OUT are needed" if needs_output else "VIDEOS are needed",
            "lolblur-synth build videos/ out/   or   lolblur-synth build --sample out/",
        )
    if needs_output:
        return given[:-1], given[-1]
    return given, None


@main.command(short_help="Make the dataset; resumes by itself.")
@click.argument("paths", metavar="VIDEOS... OUT", nargs=-1, type=click.Path())
@opt.build_options
@click.option(
    "--shard",
    metavar="I/N",
    callback=lambda c, p, v: opt.parse_shard(v),
    help="Build the I-th of N shares; shards may run at once, on machines that share OUT.",
)
@click.option("--dry-run", is_flag=True, help="Plan only; write nothing.")
@click.pass_obj
def build(style, paths, recipe, assignments, jobs, device, sample, as_json, shard, dry_run, **everyday):
    """Make the dataset OUT from VIDEOS (files, or folders of videos or of frames).

    The same command again continues where the last one stopped. Example:

    \b
    lolblur-synth build videos/ out/ --fps 250 --pairs 8
    """
    videos, out = inputs_and_output(paths, sample, needs_output=True)
    settings = resolve(recipe, assignments, **everyday)
    if dry_run:
        return show_plan(videos, out, settings, jobs, device, "json" if as_json else style)
    from lolblur_synth import builder
    from lolblur_synth.progress import Progress

    progress = Progress("json" if as_json else style)
    if style == "human" and not as_json and settings.skip:
        click.echo(f"off: {', '.join(settings.skip)}", err=True)
    with contextlib.closing(progress):
        summary = builder.build(videos, out, settings, jobs=jobs, shard=shard, device=device, listener=progress)
    code = 3 if summary.failed else 0
    if as_json:
        click.echo(
            json.dumps(
                {
                    "type": "summary",
                    "out": str(out),
                    "planned": summary.planned,
                    "built": summary.built,
                    "already": summary.already,
                    "failed": len(summary.failed),
                    "exit": code,
                }
            )
        )
    elif style == "human":
        click.echo(
            f"{summary.built + summary.already} of {summary.planned} pairs in {_printable(str(out))}"
            + (f", {len(summary.failed)} failures (see above)" if summary.failed else "")
        )
    return code


@main.command(short_help="What build would do: clips, pairs, refusals, disk, time.")
@click.argument("paths", metavar="VIDEOS... [OUT]", nargs=-1, type=click.Path())
@opt.build_options
@click.pass_obj
def plan(style, paths, recipe, assignments, jobs, device, sample, as_json, **everyday):
    """Show what `build` would do with VIDEOS: clips, pairs, refusals, disk and time. Writes nothing.

    OUT is the last path when it is a dataset already or does not exist yet.
    """
    *head, last = paths or ("",)
    is_out = (
        last and len(paths) > (0 if sample else 1) and (not os.path.lexists(last) or (Path(last) / ".lolblur").is_dir())
    )
    videos, _ = (
        inputs_and_output(tuple(head) if is_out else paths, sample and not is_out, needs_output=False)
        if not (sample and is_out)
        else ([sample_clip()], None)
    )
    settings = resolve(recipe, assignments, **everyday)
    return show_plan(videos, Path(last) if is_out else None, settings, jobs, device, "json" if as_json else style)


def show_plan(videos: list[Path], out: Path | None, recipe: Recipe, jobs: int | None, device: str, style: str) -> int:
    """Print the plan; exit code 5 (raised) when nothing is usable, 3 when something is refused."""
    from lolblur_synth import estimate

    found = estimate.plan(videos, out, recipe, jobs, device)
    if style == "json":
        click.echo(json.dumps(found))
    else:
        click.echo(estimate.to_text(found))
    return 3 if found["refused"] else 0


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@opt.json_option
def status(out, as_json):
    """Show how far the dataset OUT is: pairs done, left and failed."""
    from lolblur_synth import verify as tool

    state = tool.status(out)
    if as_json:
        click.echo(json.dumps(state))
        return 0
    click.echo(
        f"{state['done']} of {state['planned']} pairs done, {state['left']} left, {len(state['failed'])} failed; "
        f"{state['train']} train and {state['test']} test videos; {state['bytes'] / 1e6:.0f} MB"
    )
    for failure in state["failed"]:
        click.echo(f"failed {failure['pair']}: {_printable(failure['message'] or '')}")
    for refusal in state["refused"]:
        click.echo(f"refused {_printable(refusal['message'])}")
    return 0


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pixels", is_flag=True, help="Compare pixels instead of bytes; survives re-encoding of the PNGs.")
@opt.json_option
def verify(out, pixels, as_json):
    """Compare every file of the dataset OUT with its record. Changes nothing; exit code 12 on damage."""
    from lolblur_synth import verify as tool

    damages = tool.verify(out, pixels)
    if as_json:
        click.echo(json.dumps({"out": str(out), "damages": [[d.word, d.path] for d in damages]}))
    else:
        for damage in damages:
            click.echo(f"{damage.word}: {_printable(damage.path)}")
        click.echo(f"{len(damages)} damages; `lolblur-synth build` repairs all but extra files" if damages else "whole")
    return 12 if damages else 0


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default OUT/report.html.")
def report(out, output):
    """Write one HTML file that shows the dataset OUT: contact sheet, draws, recipe, failures."""
    from lolblur_synth import report as tool

    click.echo(f"wrote {_printable(str(tool.write(out, output)))}")
    return 0


@main.group()
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
    """Print a recipe whole, with the meaning, range and source of every value."""
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
    """Check a recipe file; exit code 4 with file and line when it is wrong."""
    click.echo(f"{file}: sound, {recipes.sha256(recipes.load(file))[:12]}")


@recipe.command("diff")
@click.argument("old")
@click.argument("new", default="lolblur")
def recipe_diff(old, new):
    """Show the values in which two recipes differ. Exit code 0 when they are the same, 3 when not."""
    changes = recipes.diff(recipes.load(old), recipes.load(new))
    for key, before, after in changes:
        click.echo(f"{key}: {before!r} -> {after!r}")
    return 3 if changes else 0


@main.command()
@opt.json_option
def doctor(as_json):
    """Show versions, processor, GPU, weights and disk, and run one pair of the sample through the pipeline."""
    from lolblur_synth import doctor as tool

    report = tool.examine(sample_clip())
    if as_json:
        click.echo(json.dumps(report))
    else:
        for key, value in report.items():
            click.echo(f"{key:12} {value}")
    return 0


@main.group(cls=click.Group)
def stage():
    """One stage alone, on an image, a video or a folder of frames.

    Without INPUT the bundled sample is used; without OUTPUT the result goes to STAGE-out/.
    """


def _add_stage(name: str) -> None:
    """The command of one stage, its options made from the recipe's declaration."""
    word = name.replace("_", "-")
    config = type(getattr(Recipe, name))

    @stage.command(word, help=f"{SUMMARIES[name]}\n\nExample: lolblur-synth stage {word} INPUT OUTPUT")
    @click.argument("input", required=False, type=click.Path(path_type=Path))
    @click.argument("output", required=False, type=click.Path(path_type=Path))
    @opt.config_options(config)
    @opt.recipe_option
    @opt.seed_option
    @click.option("--bits", type=click.Choice(["8", "16"]), default="8", show_default=True, help="Depth of PNG output.")
    @click.option("--fps", type=float, help="Capture rate of the input, where the file does not say.")
    @click.option("--frames", type=int, default=None, help="Read at most this many frames.")
    @click.option("--overwrite", is_flag=True, help="Replace files that exist.")
    @click.option(
        "--save-curves",
        hidden=name != "darken",
        type=click.Path(path_type=Path),
        help="Folder for the luminance adjustment maps, 16-bit PNG (darken only).",
    )
    @click.pass_obj
    def command(style, input, output, recipe, seed, bits, fps, frames, overwrite, save_curves, **values):
        words = (
            opt.config_overrides(name, values)
            + ([f"input.fps={fps}"] if fps else [])
            + ([f"dataset.seed={seed}"] if seed is not None else [])
        )
        settings = recipes.override(recipes.load(recipe), words)
        from lolblur_synth import single

        source, target = input or sample_clip(), output or Path(f"{word}-out")
        if style == "human" and (input is None or output is None):
            click.echo(f"{'the bundled sample' if input is None else source} -> {target}", err=True)
        replace = overwrite or output is None  # the default folder is ours to write again
        written, draw = single.run(
            name, source, target, settings, int(bits), frames, replace, save_curves, progress=style == "human"
        )
        if style == "human":
            click.echo(f"{written} frames in {_printable(str(target))}" + (f"; {draw}" if draw else ""))
        return 0


@main.command("train-lednet")
@click.argument("data", default="out", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    default="lednet-out",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of checkpoints, log and weights.",
)
@click.option("--dry-run", is_flag=True, help="Time two steps, say what the whole training takes, write nothing.")
@opt.config_options(LednetConfig)
@click.pass_obj
def train_lednet(style, data, out, dry_run, **values):
    """Train LEDNet on DATA: a dataset that was built here (default out/), or an original LOL-Blur folder.

    The same command again continues. Example: lolblur-synth train-lednet out/ --width 0.25 --max-minutes 30
    """
    if not data.exists():
        raise UsageError(
            f"{data}: no such dataset", "make one first: lolblur-synth build videos/ out/   or   make demo"
        )
    from lolblur_synth.training import lednet

    done = lednet.train_lednet(data, out, dry_run=dry_run, quiet=style == "quiet", **opt.given(values))
    if style == "human":
        click.echo(", ".join(f"{key} {value}" for key, value in done.items()))
    return 0


@main.command()
@click.argument("results", type=click.Path(path_type=Path, exists=True))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for evaluation.json and evaluation.csv.")
@opt.config_options(EvaluateConfig)
@opt.json_option
@click.pass_obj
def evaluate(style, results, data, out, as_json, **values):
    """Score RESULTS (a checkpoint, or a folder of restored frames) against the ground truth of the dataset DATA."""
    from lolblur_synth import evaluate as tool

    report = tool.evaluate(results, data, out, quiet=as_json or style == "quiet", **opt.given(values))
    click.echo(tool.to_json(report) if as_json else tool.table(report))
    return 0


@main.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@opt.config_options(RestoreConfig)
@click.pass_obj
def restore(style, source, target, overwrite, **values):
    """Run LEDNet on INPUT, an image, a folder of images or a video, with the weights that train-lednet left."""
    from lolblur_synth import restore as tool

    written = tool.restore(source, target, quiet=style == "quiet", overwrite=overwrite, **opt.given(values))
    if style == "human":
        click.echo(f"{written} frames in {_printable(str(target))}")
    return 0


@main.command("train-darken")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    default="darken.safetensors",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Weights to write; the card goes beside them.",
)
@click.option(
    "--held-out",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Pictures and videos never trained on, for the card's figures; repeatable.",
)
@click.option("--steps", default=450, show_default=True, type=click.IntRange(1), help="Optimiser steps.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first weights and of the samples.")
@click.option("--note", default="", help="Text for the card: origin and licence of the inputs.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda[:N].")
@click.pass_obj
def train_darken(style, inputs, out, held_out, steps, seed, note, device):
    """Train the darkening network again, from well-exposed photographs and videos. Continues when interrupted."""
    from tqdm import tqdm

    from lolblur_synth.training import darken as tool

    with tqdm(total=steps, unit="step", disable=style == "quiet") as bar:
        done = tool.train_darken(
            inputs, out, held_out=held_out, steps=steps, seed=seed, note=note, device=device,
            report=lambda step, losses: bar.update(step - bar.n),
        )  # fmt: skip
    click.echo(f"{out}: {done['pictures']} pictures, {done['seconds']} CPU-seconds, {done['sha256'][:12]}")
    return 0


@main.group("weights")
def weights_group():
    """List and check weight files."""


@weights_group.command("ls")
def weights_ls():
    """List the bundled weights."""
    from lolblur_synth import weights

    for name, path in sorted(weights.bundled().items()):
        click.echo(f"{name:14} {path.stat().st_size / 1e3:7.0f} kB  {weights.sha256(name)}")


@weights_group.command("check")
@click.argument("file")
def weights_check(file):
    """Say what a weight file holds; refuse one that is damaged or not what it seems."""
    from lolblur_synth import weights

    click.echo(json.dumps({"file": file, "sha256": weights.sha256(file), **weights.about(file)}, indent=2))


SUMMARIES = {
    "resize": "Scale to cover the size and crop the centre; area averaging.",
    "denoise": "Remove sensor noise, V-BM4D style.",
    "darken": "Darken to the requested exposure with EC-Zero-DCE; lights stay lit.",
    "interpolate": "Raise the frame rate: optical flow once a frame pair, then any number of instants.",
    "clip_reverse": "Give saturated lights back what the sensor cut off; linear float32 TIFF out.",
    "average": "Average a window of frames in linear light; linear float32 TIFF out.",
    "defocus": "Blur with a generalized Gaussian in linear light.",
    "noise": "Add sensor noise on a synthetic raw.",
}
for _name in STAGE_NAMES:
    _add_stage(_name)

if __name__ == "__main__":
    main()
