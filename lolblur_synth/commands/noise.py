"""train-noise and realism: the networks of `noise.model = cycleisp`, and how close a noise is to that of a camera."""

from pathlib import Path

import click

from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.commands.progress import training_progress
from lolblur_synth.errors import UsageError
from lolblur_synth.training.config import NoiseTraining


@click.command("train-noise", short_help="Train the noise networks again.")
@click.argument("inputs", nargs=-1, metavar="[IMAGES|VIDEOS]...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    default="cycleisp",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the three networks and their card, for noise.weights.",
)
@click.option(
    "--pairs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of photographs with their raw: NAME.png beside NAME.dng (uncompressed 16-bit RGGB), or beside "
    "NAME.npy (float32 planes R, Gr, Gb, B, (4, H/2, W/2), white-balanced, 0..1); repeatable.",
)
@click.option(
    "--held-out",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Pictures and videos never trained on, for the card's figures; repeatable.",
)
@click.option(
    "--size",
    "network",
    type=click.Choice(["lite", "published"]),
    default="lite",
    show_default=True,
    help="Of the networks: for a CPU, or as in the paper.",
)
@opt.training_options(NoiseTraining)
@opt.json_option
@click.pass_obj
def train_noise(style, inputs, out, pairs, held_out, as_json, **values):
    """Train the noise networks (CycleISP) again, from photographs and videos. Continues when interrupted.

    Example: lolblur-synth train-noise photos/ videos/ -o my-camera/ && lolblur-synth stage noise --model cycleisp
    --weights my-camera/
    """
    from lolblur_synth.training import noise

    if not inputs and not pairs:
        raise UsageError("nothing to train on", "name photographs, videos or folders of them, or --pairs FOLDER")
    with training_progress(values["steps"], "json" if as_json else style) as report:
        done = noise.train_noise(inputs, out, pairs=pairs, held_out=held_out, report=report, **opt.given(values))
    if as_json:
        return json_lines.summary({"out": out} | done)
    if style == "human":
        click.echo(f"{out}: {done['pictures']} pictures, {done['seconds']} CPU-seconds, {done['figures']}")
    return 0


@click.command(short_help="Measure noise beside that of a camera.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("reference", required=False, type=click.Path(path_type=Path))
@opt.json_option
def realism(folder, reference, as_json):
    """Measure the noise of FOLDER's frames beside that of REFERENCE, night photographs of a camera.

    FOLDER holds frames, or is a built dataset, whose noisy frames are taken. Without REFERENCE the figures are set
    beside those of the published frames. No clean image is needed: noise is measured where the frames are flat.
    """
    from lolblur_synth.tools import realism

    report = realism.compare(folder, reference)
    if as_json:
        return json_lines.summary(report)
    click.echo(realism.table(report))
    return 0
