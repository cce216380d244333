"""train-interpolator: the interpolation network once more, from own footage."""

from pathlib import Path

import click

from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.commands.progress import training_progress
from lolblur_synth.training.config import InterpolatorTraining


@click.command("train-interpolator", short_help="Train the interpolation network again.")
@click.option(
    "--photos",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Photographs, or folders of them, for rendered scenes; repeatable.",
)
@click.option(
    "--videos",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Videos, or folders of them; the faster the camera the better; repeatable.",
)
@click.option(
    "--held-out",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Videos never trained on, for the card's figures; repeatable.",
)
@click.option(
    "-o",
    "--out",
    default="interpolator.safetensors",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Weights to write; the card goes beside them.",
)
@click.option("--start", default="", help="Weights to start from, a file or a bundled name, instead of random ones.")
@click.option(
    "--preset",
    default="fine",
    show_default=True,
    type=click.Choice(("medium", "fine")),
    help="The search of motion that the network learns to correct; in use it is fine.",
)
@opt.training_options(InterpolatorTraining)
@click.option("--until", type=click.IntRange(1), help="Stop early, after this step, and keep what there is.")
@opt.json_option
@click.pass_obj
def train_interpolator(style, photos, videos, held_out, out, as_json, **values):
    """Train the network of `interpolate.method=net` again, from photographs and videos. Continues when interrupted."""
    from lolblur_synth.training import interpolator

    with training_progress(values["until"] or values["steps"], "json" if as_json else style) as report:
        done = interpolator.train_interpolator(
            photos, videos, out, held_out=held_out, report=report, **opt.given(values)
        )
    if as_json:
        return json_lines.summary({"out": out} | done)
    if style == "human":
        click.echo(f"{out}: {done['seconds']} CPU-seconds, {done['sha256'][:12]}")
    return 0
