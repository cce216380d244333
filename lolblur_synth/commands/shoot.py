"""shoot: clips from still pictures. Its options are made from the declaration in recipe/shoot.py."""

from pathlib import Path

import click

from lolblur_synth import recipes
from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.errors import ClipsFailed, RecipeError, UsageError, counted
from lolblur_synth.recipe.shoot import ShootConfig


@click.command(short_help="Clips of 250 fps from photographs and HDR panoramas.")
@click.argument("paths", metavar="PICTURES... OUT", nargs=-1, type=click.Path(path_type=Path))
@click.option("--size", metavar="WxH", help="Size of the frames; default 1120x640, as build makes them.")
@opt.config_options(ShootConfig, leave_out=("width", "height"))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of every draw.")
@opt.jobs_option
@click.option("--overwrite", is_flag=True, help="Replace clips that exist.")
@opt.json_option
@click.pass_obj
def shoot(style, paths, size, seed, jobs, overwrite, as_json, **values):
    """Shoot clips from PICTURES (photographs, .hdr, .exr, or folders of them) with a camera in a hand, into OUT.

    For those without a high-speed camera: `build OUT ...` takes the clips. OUT/NAME.mkv keeps light above white (PQ);
    OUT/NAME.json records the path, the light and the picture. The lamps of a photograph of the night get a radiance
    each. A picture must be as large as the frames; the more it has, the further the camera can pan. Depth, and things
    that move by themselves, it cannot have. The same command again continues. Example:

    \b
    lolblur-synth shoot photos/ videos/ --size 560x320
    lolblur-synth build --shoot photos/ out/ --size 560x320    both in one, without keeping the clips
    """
    if len(paths) < 2:
        raise UsageError("PICTURES and OUT are needed", "lolblur-synth shoot photos/ videos/")
    config = configured(values, size)
    from lolblur_synth.tools.shoot import run as tool

    told = Told("json" if as_json else style)
    report = tool.run(paths[:-1], paths[-1], config, seed, jobs, overwrite, told)
    code = ClipsFailed.exit_code if report.failed else 0
    if as_json:
        json_lines.summary({"out": paths[-1], "shot": report.shot, "kept": report.kept, "failed": report.failed}, code)
    elif style == "human":
        kept = f", {len(report.kept)} already there" if report.kept else ""
        failed = f", {counted(len(report.failed), 'failure')} (see above)" if report.failed else ""
        click.echo(opt.printable(f"{counted(len(report.shot), 'clip')} shot{kept}{failed}: {paths[-1]}"))
    return code


def configured(values: dict, size: str | None) -> ShootConfig:
    """The settings that the options ask for. Raises UsageError."""
    words = {name: str(value) for name, value in opt.given(values).items()}
    if size is not None:
        width, height = opt.parse_size(size)
        words |= {"width": str(width), "height": str(height)}
    try:
        return recipes.configured(ShootConfig(), words)
    except RecipeError as error:
        message = str(error).replace("--width =", "--size: width").replace("--height =", "--size: height")
        raise UsageError(message, error.hint) from None


class Told:
    """Tells the user of each clip as it comes: a line on stdout, failures and notes on stderr; or JSON lines."""

    def __init__(self, style: str):
        self.style = style

    def __call__(self, kind: str, facts: dict) -> None:
        if self.style == "json":
            json_lines.line(kind, facts)
        elif kind == "failed":
            click.echo(f"failed: {opt.with_hint(facts)}", err=True)
        elif self.style != "human":
            return
        elif kind == "kept":
            click.echo(opt.printable(f"{facts['clip']} is there already"))
        else:
            click.echo(opt.printable(_line(facts)))
            for note in facts["notes"]:
                click.echo(opt.printable(f"note: {Path(facts['picture']).name}: {note}"), err=True)


def _line(facts: dict) -> str:
    """`night.jpg -> videos/night.mkv: 80 frames, 1.3 px a frame, 12 lamps, up to 8.1 times white`"""
    seen = "panorama, " if facts["projection"] == "panorama" else ""
    light = f", {counted(facts['lamps'], 'lamp')}" if facts["lamps"] else ""
    light += f", up to {facts['peak']:.3g} times white" if facts["peak"] > 1 else ""
    return (f"{Path(facts['picture']).name} -> {facts['clip']}: {seen}{counted(facts['frames'], 'frame')}, "
            f"{facts['speed']:.2g} px a frame{light}")  # fmt: skip
