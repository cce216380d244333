"""train-lednet, train-darken, evaluate, restore, weights: what concerns networks."""

import json
import shlex
from pathlib import Path

import click

from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.commands.progress import StepLines, training_progress
from lolblur_synth.errors import UsageError, counted
from lolblur_synth.training.config import DarkenTraining, EvaluateConfig, LednetConfig, RestoreConfig


@click.command("train-lednet", short_help="Train LEDNet on a dataset.")
@click.argument("data", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    default="lednet-out",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of checkpoints, log and weights.",
)
@opt.dry_run_option("Time two steps, say what the whole training takes, write nothing.")
@opt.config_options(LednetConfig)
@opt.json_option
@click.pass_obj
def train_lednet(style, data, out, dry_run, as_json, **values):
    """Train LEDNet on DATA: a dataset that was built here (default out/), or an original LOL-Blur folder.

    Several are used as one: a video that is held out in one of them is trained on in none. The same command again
    continues. OUT/pictures/ shows input, output and ground truth after each validation.

    Example: lolblur-synth train-lednet out/ --preset laptop --max-minutes 30
    """
    data = data or (Path("out"),)
    for root in data:
        if not root.exists():
            raise UsageError(
                f"{root}: no such dataset", "make one first: lolblur-synth build videos/ out/   or   make demo"
            )
    from lolblur_synth.training import distributed, lednet

    given, quiet = opt.given(values), as_json or style == "quiet"
    report = StepLines().report if as_json and distributed.is_first() else None
    done = lednet.train_lednet(data, out, dry_run=dry_run, quiet=quiet, report=report, **given)
    if as_json and distributed.is_first():
        json_lines.summary({"out": out} | done)
    elif style == "human" and distributed.is_first():
        words = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in done.items())
        click.echo(opt.printable(", ".join(words)))
        if not dry_run:
            click.echo(opt.printable_lines(_next_steps(out, data[0], values["pair"], values["network"])))
    return 0


def _next_steps(out: Path, data: Path, pair: str | None, network: str | None) -> str:
    """What to do with the weights that a training has left."""
    weights, dataset = shlex.quote(str(out)), shlex.quote(str(data))
    folders = f" --pair {shlex.quote(pair)}" if pair else ""
    own = f" --network {shlex.quote(network)}" if network else ""
    return (
        f"restore with them: lolblur-synth restore photo.jpg restored.png --weights {weights}{own}\n"
        f"score them:        lolblur-synth evaluate {weights} {dataset}{folders}{own}"
    )


@click.command(short_help="Score restored frames, or a checkpoint.")
@click.argument("results", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for evaluation.json and evaluation.csv.")
@click.option(
    "--no-reference",
    is_flag=True,
    help="DATA is a folder of real dark pictures of any size, which have no ground truth: NIQE beside that of the "
    "input lifted in linear light, burnt-out pixels, colour shift.",
)
@opt.config_options(EvaluateConfig)
@opt.json_option
@click.pass_obj
def evaluate(style, results, data, out, no_reference, as_json, **values):
    """Score RESULTS (a checkpoint, bundled weights, a folder of restored frames) against the ground truth of DATA.

    Every figure is of the frame as it is and "aligned": after the gamma and the gain that bring it closest to its
    ground truth, which leaves sharpness, noise and colour. The input is helped likewise. A frame that equals its ground
    truth has an infinite PSNR: means leave it out, and say how many there were.

    Examples: evaluate lednet-out out/   evaluate --no-reference restored/ night-photos/
    """
    from lolblur_synth.tools.evaluation import report as reports

    quiet = as_json or style == "quiet"
    if no_reference:
        from lolblur_synth.tools import no_reference as tool

        report = tool.evaluate_without_reference(results, data, out, quiet, **opt.given(values))
        text = tool.table
    else:
        from lolblur_synth.tools import evaluate as tool

        report = tool.evaluate(results, data, out, quiet, **opt.given(values))
        text = reports.table
    if as_json:
        return json_lines.summary(report)
    click.echo(opt.printable_lines(text(report)))
    return 0


@click.command(short_help="Run LEDNet on images or a video.")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@opt.config_options(RestoreConfig)
@opt.json_option
@click.pass_obj
def restore(style, source, target, overwrite, as_json, **values):
    """Run LEDNet on INPUT, an image, a folder of images or a video, with the weights that train-lednet left.

    The suffix of OUTPUT says its format: .png, .jpg, .tiff, .mp4, .mkv and their like; a name without one is a folder.
    A video that is interrupted leaves what was done so far in a file that plays, NAME.partial.SUFFIX, and in
    NAME.partial.mkv where it is killed. Images of a folder that cannot be read are named, the others are restored, and
    the exit code is 3.
    """
    from lolblur_synth.tools import restore

    def say(line: str) -> None:
        if as_json:
            json_lines.line("note", {"message": line})
        elif style == "human":
            click.echo(opt.printable(line), err=True)

    given, quiet = opt.given(values), as_json or style == "quiet"
    written = restore.restore(source, target, quiet=quiet, overwrite=overwrite, say=say, **given)
    if as_json:
        return json_lines.summary({"input": source, "output": target, "frames": written})
    if style == "human":
        click.echo(f"{counted(written, 'frame')} in {opt.printable(str(target))}")
    return 0


@click.command("train-darken", short_help="Train the darkening network again.")
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
@opt.training_options(DarkenTraining)
@opt.json_option
@click.pass_obj
def train_darken(style, inputs, out, held_out, as_json, **values):
    """Train the darkening network again, from well-exposed photographs and videos. Continues when interrupted."""
    from lolblur_synth.training import darken

    with training_progress(values["steps"], "json" if as_json else style) as report:
        done = darken.train_darken(inputs, out, held_out=held_out, report=report, **opt.given(values))
    if as_json:
        return json_lines.summary({"out": out} | done)
    if style == "human":
        click.echo(f"{out}: {done['pictures']} pictures, {done['seconds']} CPU-seconds, {done['sha256'][:12]}")
    return 0


@click.group("weights")
def weights_group():
    """List and check weight files."""


@weights_group.command("ls")
@opt.json_option
def weights_ls(as_json):
    """List the bundled weights: name, size, sha256."""
    from lolblur_synth.files import weights

    for name, path in sorted(weights.bundled().items()):
        size, sha256 = path.stat().st_size, weights.sha256(name)
        if as_json:
            json_lines.line("weights", {"name": name, "bytes": size, "sha256": sha256})
        else:
            click.echo(f"{name:28} {size / 1e3:7.0f} kB  {sha256}")
    if as_json:
        json_lines.summary({"weights": len(weights.bundled())})


@weights_group.command("export", short_help="Write weights of LEDNet as ONNX.")
@click.argument("file")
@click.argument("target", metavar="OUTPUT.onnx", type=click.Path(path_type=Path))
@click.option("--size", required=True, metavar="WxH", help="Size of the frames that the network will be given.")
@opt.json_option
def weights_export(file, target, size, as_json):
    """Write LEDNet weights (a file, a bundled name or lednet-out) as ONNX for frames of one size.

    Input "dark" and output "restored" are (1, 3, H, W), 0..1. Example: weights export lednet day.onnx --size
    1120x640
    """
    from lolblur_synth.tools import onnx_export

    onnx_export.export_onnx(target, *opt.parse_size(size), weights=file)
    if as_json:
        return json_lines.summary({"file": file, "output": target, "size": list(opt.parse_size(size))})
    click.echo(f"{opt.printable(str(target))}: frames of {size}")
    return 0


@weights_group.command("pack", short_help="Write weights of LEDNet in half precision.")
@click.argument("file")
@click.argument("target", metavar="OUTPUT.safetensors", type=click.Path(path_type=Path))
@click.option("--expect", default="", metavar="SENTENCE", help="What to expect of them; `restore` says it.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@opt.json_option
def weights_pack(file, target, expect, overwrite, as_json):
    """Write LEDNet weights (a file, a bundled name or lednet-out) in half precision, to share them.

    Half the size; what the header says of their training goes with them.
    """
    from lolblur_synth.tools import weights_pack

    sha256 = weights_pack.pack(file, target, expect, overwrite)
    size = target.stat().st_size
    if as_json:
        return json_lines.summary({"file": file, "output": target, "bytes": size, "sha256": sha256})
    click.echo(f"{opt.printable(str(target))}: {size / 1e3:.0f} kB, sha256 {sha256}")
    return 0


@weights_group.command("check", short_help="Say what a weight file holds.")
@click.argument("file")
@opt.json_option
def weights_check(file, as_json):
    """Say what a weight file holds; refuse one that is damaged, or that no network can use, as its command would."""
    from lolblur_synth.models import recognise

    what = recognise.recognise(file)
    if as_json:
        return json_lines.summary(what)
    click.echo(json.dumps(what, indent=2))
    return 0
