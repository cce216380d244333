"""stage NAME: one stage alone. The options of each stage are made from the recipe's declaration."""

from pathlib import Path

import click

from lolblur_synth import options as opt
from lolblur_synth import rates, recipes
from lolblur_synth.recipe import STAGE_NAMES, Recipe

SUMMARIES = {
    "resize": "Scale to cover the size and crop the centre; area averaging.",
    "denoise": "Remove sensor noise, V-BM4D style.",
    "darken": "Darken to the requested exposure, a mean over unsaturated pixels, with EC-Zero-DCE; lights stay lit.",
    "interpolate": "Raise the frame rate: optical flow once a frame pair, then any number of instants.",
    "clip_reverse": "Give saturated lights back what the sensor cut off; linear float32 TIFF out.",
    "average": "Average a window of frames in linear light; linear float32 TIFF out.",
    "defocus": "Blur with a generalized Gaussian in linear light.",
    "noise": "Add sensor noise on a synthetic raw.",
}


class Stages(click.Group):
    """Stages by either spelling: clip-reverse, as on the command line, and clip_reverse, as in recipes."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name.replace("_", "-"))


@click.group(cls=Stages)
def stage():
    """One stage alone, on an image, a video or a folder of frames.

    A folder is taken as the frames of one clip.
    Without INPUT the bundled sample is used; without OUTPUT the result goes to STAGE-out/.
    """


def _add_stage(name: str) -> None:
    """The command of one stage, its options made from the recipe's declaration."""
    word = name.replace("_", "-")
    config = type(getattr(Recipe, name))

    @stage.command(word, help=f"{SUMMARIES[name]}\n\nExample: lolblur-synth stage {word} INPUT OUTPUT")
    @click.argument("input", required=False, type=click.Path(path_type=Path))
    @click.argument("output", required=False, type=click.Path(path_type=Path))
    @opt.config_options(config, leave_out=("max_share",))  # stage darken gives the exposure that was asked for
    @opt.recipe_option
    @opt.seed_option
    @opt.device_option
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
    @click.option(
        "--keep-mask",
        hidden=name != "average",
        is_flag=True,
        help="Write the mean of clip-reverse's mask as well, to OUTPUT/mask, so that r can be drawn again "
        "(average only; of display frames).",
    )
    @click.option(
        "--save-raw",
        hidden=name != "noise",
        type=click.Path(path_type=Path),
        help="Folder for the synthetic raw, clean/ and noisy/, 16-bit Bayer DNG (noise only; not gaussian, poisson).",
    )
    @click.pass_obj
    def command(
        style, input, output, recipe, seed, device, bits, fps, frames, overwrite, save_curves, keep_mask, save_raw,
        **values,
    ):  # fmt: skip
        input, own_fps = (input, None) if input is None else rates.split(input)
        fps = own_fps or fps
        words = (
            opt.config_overrides(name, values)
            + ([f"input.fps={fps}"] if fps else [])
            + ([f"dataset.seed={seed}"] if seed is not None else [])
        )
        settings = recipes.override(recipes.load(recipe), words)
        from lolblur_synth import single
        from lolblur_synth.machine import resolve_device

        source, target = input or opt.sample_clip(), output or Path(f"{word}-out")
        if style == "human" and (input is None or output is None):
            click.echo(f"{'the bundled sample' if input is None else source} -> {target}", err=True)
        replace = overwrite or output is None  # the default folder is ours to write again
        written, draw = single.run(
            name, source, target, settings, int(bits), frames, replace, save_curves, save_raw, keep_mask,
            progress=style == "human", device=resolve_device(device),
        )  # fmt: skip
        if style == "human":
            click.echo(f"{written} frames in {opt.printable(str(target))}" + (f"; {draw}" if draw else ""))
        return 0


for _name in STAGE_NAMES:
    _add_stage(_name)
