"""stage NAME: one stage alone. The options of each stage are made from the recipe's declaration."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from lolblur_synth import __version__, recipes
from lolblur_synth.commands import json_lines
from lolblur_synth.commands import options as opt
from lolblur_synth.errors import ClipsFailed, LolblurError, UsageError, counted
from lolblur_synth.files import capture_rates
from lolblur_synth.recipe import user_stages
from lolblur_synth.recipe.schema import SECTIONS, STAGE_NAMES, Recipe
from lolblur_synth.recipe.stage_record import UserStage

SUMMARIES = {
    "resize": "Scale to cover the size and crop the centre; area averaging.",
    "denoise": "Remove sensor noise, V-BM4D style.",
    "darken": "Darken to the requested exposure, a mean over unsaturated pixels, with EC-Zero-DCE; lamps stay bright.",
    "interpolate": "Raise the frame rate: optical flow once a frame pair, then any number of instants.",
    "clip_reverse": "Restore the light above white that the sensor clipped in lamps; linear float32 TIFF out.",
    "average": "Average a window of frames in linear light; linear float32 TIFF out.",
    "defocus": "Blur with a generalized Gaussian in linear light.",
    "noise": "Add sensor noise on a synthetic raw.",
}
APPLIED = ("defocus", "noise")  # their probability is the share of a build's segments that get the stage
LEAVE_OUT = {"darken": ("dim", "share", "max_share")}  # options about the ground truth, which `stage` does not make
COMMON = [
    opt.recipe_option,
    opt.seed_option,
    opt.device_option,
    opt.jobs_option,
    opt.json_option,
    click.option("--bits", type=click.Choice(["8", "16"]), default="8", show_default=True,
                 help="Depth of PNG and TIFF output."),
    click.option("--fps", type=float, help="Capture rate of the input, where the file does not say."),
    click.option("--frames", type=click.IntRange(min=1), help="Read at most this many frames."),
    click.option("--each", is_flag=True,
                 help="INPUT is a folder of photographs: a draw for each, whatever their sizes; on --jobs processes."),
    click.option("--overwrite", is_flag=True, help="Replace files that exist."),
]  # fmt: skip
OWN: dict[str, tuple[str, dict[str, Any], str]] = {
    "save_curves": ("darken", {"type": click.Path(path_type=Path)},
                    "Folder for the luminance adjustment maps, 16-bit PNG (darken only)."),
    "keep_mask": ("average", {"is_flag": True},
                  "Write the mean of clip-reverse's mask as well, to OUTPUT/mask, so that r can be drawn again "
                  "(average only; of display frames)."),
    "save_raw": ("noise", {"type": click.Path(path_type=Path)},
                 "Folder for the synthetic raw, clean/ and noisy/, 16-bit Bayer DNG (noise only; not gaussian, "
                 "poisson)."),
}  # fmt: skip


class Stages(click.Group):
    """Finds a stage by either spelling, clip-reverse as on the command line or clip_reverse as in recipes; and those of
    the user, whose options are known once their code has run."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name.replace("_", "-"))

    def resolve_command(self, context: click.Context, args: list[str]):
        name = args[0] if args else ""
        if not name or name.startswith("-") or self.get_command(context, name) is not None:
            return super().resolve_command(context, args)
        recipe = _naming(name, args)
        if recipe is None:
            raise UsageError(f"stage {name}: no such stage", f"one of {', '.join(self.list_commands(context))}; or one "
                             "of yours: FILE.py:NAME, or a --recipe that names it")  # fmt: skip
        opt.say_code_runs(recipe, context.obj or "human")
        found = recipes.import_stages(recipe).stages[-1]
        return found.name, _user_command(found), args[1:]


def _naming(name: str, args: list[str]) -> Recipe | None:
    """A recipe whose last stage is the one that the user means, or None: `fog.py:fog` and `package.module:fog` are its
    code; `fog` is one that --recipe names, or that is installed. Raises RecipeError."""
    if ":" in name or name.endswith(".py"):
        return recipes.override(Recipe(), [f"stages={name}"])
    words = [word.split("=", 1)[1] for word in args if word.startswith("--recipe=")]
    words += [value for word, value in zip(args, args[1:], strict=False) if word == "--recipe"]
    asked = recipes.load(words[-1]) if words else Recipe()
    if (stage := user_stages.named(asked, name.replace("-", "_"))) is not None:
        return dataclasses.replace(asked, stages=(stage,))
    installed = recipes.override(Recipe(), [f"stages={name}"]) if name.isidentifier() and name not in SECTIONS else None
    return installed if installed and installed.stages[0].found else None


@click.group(cls=Stages, short_help="One stage alone.")
def stage():
    """One stage alone, on an image, a video or a folder of frames.

    A folder is taken as the frames of one clip, with one draw. Where its images differ in size, or with --each, they
    are photographs: each has a draw of its own. The suffix of OUTPUT says its format: .png, .jpg, .tiff, .mp4, .mkv and
    their like; a name without one is a folder.
    Without INPUT the bundled sample is used; without OUTPUT the result goes to STAGE-out/, where the same command
    replaces it.

    A stage of your own is `fog.py:fog`, or just `fog` where --recipe names it or a package has it installed.
    """


def _decorated(command, name: str, config: type):
    """`command` with the options of the stage's config, the options of all stages, and those in OWN and --factor."""
    if name == "average":
        command = click.option("--factor", "samples", type=click.IntRange(1), metavar="N",
                               help="Frames of INPUT in a source-frame interval. [default: as interpolate noted in its "
                               "frames, else 1: INPUT holds source frames]")(command)  # fmt: skip
    for word, (owner, kind, text) in reversed(OWN.items()):
        command = click.option(f"--{word.replace('_', '-')}", help=text, hidden=name != owner, **kind)(command)
    for option in reversed(COMMON):
        command = option(command)
    command = opt.config_options(config, LEAVE_OUT.get(name, ()))(command)
    command = click.argument("output", required=False, type=click.Path(path_type=Path))(command)
    return click.argument("input", required=False, type=click.Path(path_type=Path))(command)


def _command(name: str, config: type, summary: str, of_user: UserStage | None = None) -> click.Command:
    """The command of one stage, with an option for each field of its config."""
    word = name.replace("_", "-")

    @click.pass_obj
    def command(
        style, input, output, recipe, seed, device, jobs, as_json, bits, fps, frames, each, overwrite,
        save_curves, keep_mask, save_raw, samples=None, **values,
    ):  # fmt: skip
        input, own_fps = (input, None) if input is None else capture_rates.split(input)
        fps = own_fps or fps
        if name in APPLIED or (of_user and "probability" in values):  # a stage asked for by name is applied
            values = {**values, "probability": 1.0 if values["probability"] is None else values["probability"]}
        words = (
            opt.config_overrides(name, values)
            + ([f"input.fps={fps}"] if fps else [])
            + ([f"dataset.seed={seed}"] if seed is not None else [])
        )
        base = recipes.load(recipe)
        if of_user:
            base = dataclasses.replace(base, stages=(of_user,))
        settings = recipes.import_stages(recipes.override(base, words)) if of_user else recipes.override(base, words)
        from lolblur_synth.parallel.machine import resolve_device
        from lolblur_synth.tools import photographs
        from lolblur_synth.tools.request import Request

        source, target = input or opt.sample_clip(), output or Path(f"{word}-out")
        human = style == "human" and not as_json
        if human and (input is None or output is None):
            click.echo(opt.printable(f"{'the bundled sample' if input is None else source} -> {target}"), err=True)
        report = photographs.run(Request(
            name, source, target, settings, int(bits), frames, overwrite, default_target=output is None, each=each,
            jobs=jobs, samples=samples, curves=save_curves, raws=save_raw, keep_mask=keep_mask, progress=human,
            device=resolve_device(device), listener=_photograph_line if as_json else None,
        ))  # fmt: skip
        if human and report.replaced:
            files = counted(report.replaced, "file")
            click.echo(opt.printable(f"{target}: replaced {files} of an earlier run"), err=True)
        if as_json:
            code = ClipsFailed.exit_code if report.failed else 0
            return json_lines.summary(_record(word, source, target, settings, report), code)
        if human:
            for result in report.results:
                click.echo(opt.printable(_line(word, result, user_stages.config_of(settings, name))))
        _raise_for_failed(report, target)
        return 0

    text = f"{summary}\n\nExample: lolblur-synth stage {of_user.target if of_user else word} INPUT OUTPUT"
    return click.command(word, help=text)(_decorated(command, name, config))


def _user_command(found: UserStage) -> click.Command:
    """The command of an imported stage of the user; what the recipe states of it stands unless an option says else."""
    declared = user_stages.load(found)
    summary = declared.summary or f"A stage of the user, after {found.after}."
    return _command(found.name, declared.config, summary, found)


def _line(word: str, result, config) -> str:
    """`noise: ISO 176, tungsten -> coffee.png`; with the number of frames unless the output is one image."""
    what = ", ".join(part for part in (_words(word, result.draw, config), _frames(result)) if part)
    return f"{word}: {what} -> {result.output}" if what else f"{word} -> {result.output}"


def _frames(result) -> str:
    from lolblur_synth.tools.outputs import IMAGES

    is_image = result.output.suffix.lower() in IMAGES and not result.output.is_dir()
    return "" if is_image else counted(result.frames, "frame")


def _words(word: str, draw: dict, config) -> str:
    """The draw in words, in the units of the recipe."""
    if not draw.get("applied", True):
        return "not applied"
    if word == "resize":
        return f"{config.width}x{config.height}"
    if word == "denoise":
        return f"sigma {draw['sigma']:.2f} code values"
    if word == "darken":
        return f"exposure {draw['exposure']:.3f}"
    if word == "interpolate":
        return f"{config.factor} samples a source frame"
    if word == "clip-reverse":
        return f"gain {draw['gain']:.2f}" if config.space == "hdr" else f"r {draw['r']:.1f} code values"
    if word == "average":
        return f"window {draw['window']}"
    if word not in ("defocus", "noise"):  # of the user
        from lolblur_synth.stages.user import in_words

        return in_words("", draw).strip()
    return _defocus_words(draw) if word == "defocus" else _noise_words(draw)


def _defocus_words(draw: dict) -> str:
    radii = "x".join(f"{radius:.2f}" for radius in sorted(set(draw["radius"]), reverse=True))
    return f"{draw['kernel']}, radius {radii} px"


def _noise_words(draw: dict) -> str:
    if draw["iso"]:
        return f"ISO {draw['iso']:.0f}, {draw['lamp']}"
    kind = f"sigma {draw['sigma']:.2f} code values" if draw["sigma"] else f"scale {draw['scale']:.2f}"
    return kind + (", gray" if draw["gray"] else "")


def _record(word: str, source: Path, target: Path, settings: Recipe, report) -> dict:
    """What the command did, as a dict for JSON."""
    results = [{"input": str(result.input), "output": str(result.output), "frames": result.frames, "draw": result.draw}
               for result in report.results]  # fmt: skip
    record = {"stage": word, "input": str(source), "output": str(target), "version": __version__,
              "frames": sum(result.frames for result in report.results), "replaced": report.replaced,
              "seed": settings.dataset.seed,
              "settings": dataclasses.asdict(user_stages.config_of(settings, word.replace("-", "_")))}  # fmt: skip
    if len(results) == 1 and results[0]["input"] == str(source):
        return record | {"draw": results[0]["draw"]}
    return record | {"photographs": results, "failed": [str(error) for error in report.failed]}


def _photograph_line(outcome) -> None:
    """A line of JSON for a photograph: what was drawn, or why it failed."""
    if isinstance(outcome, LolblurError):
        json_lines.line("failed", {"message": str(outcome), "hint": outcome.hint})
    else:
        json_lines.line("photograph", {"input": outcome.input, "output": outcome.output, "frames": outcome.frames,
                                       "draw": outcome.draw})  # fmt: skip


def _raise_for_failed(report, target: Path) -> None:
    """Print the photographs that failed. Raises ClipsFailed if there are any."""
    for error in report.failed:
        click.echo(opt.printable(f"failed: {error}"), err=True)
    if report.failed:
        raise ClipsFailed(f"{len(report.failed)} of {len(report.failed) + len(report.results)} photographs failed",
                          f"the others are in {target}")  # fmt: skip


for _name in STAGE_NAMES:
    stage.add_command(_command(_name, type(getattr(Recipe, _name)), SUMMARIES[_name]))
