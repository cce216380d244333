"""The tool of `lolblur-synth stage`: one stage alone, on an image, a video or a folder of frames.

Display frames are PNG (8 or 16 bit), JPEG, TIFF or video; linear light is float32 TIFF, in and out. Frames keep their
names. Folders of photographs are handled by photographs.py.
"""

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lolblur_synth import draw, pipeline, streams
from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError, Interrupted, UsageError
from lolblur_synth.files import sample_count, video
from lolblur_synth.files.video import IMAGE_SUFFIXES
from lolblur_synth.parallel.progress import metered
from lolblur_synth.recipe import user_stages
from lolblur_synth.stages import clip_reverse, denoise, resize, user
from lolblur_synth.tools import extras, outputs, sources
from lolblur_synth.tools.request import (
    CARRY_LIGHT,
    DISPLAY_IN,
    FRAME_BY_FRAME,
    LINEAR_OUT,
    NEED_NEIGHBOURS,
    PIPELINE_ONLY,
    Report,
    Request,
    Result,
    check,
)
from lolblur_synth.tools.sources import Source

log = logging.getLogger(__name__)
ESTIMATION_FRAMES = 9  # the first ones, from which the noise level is estimated


@dataclass(frozen=True)
class Plan:
    """Where the results go: their paths, and for each frame the files that are written beside it."""

    form: str
    paths: list[Path]
    curves: list[Path]
    raws: list[tuple[Path, Path]]
    masks: list[Path]

    def every(self) -> list[Path]:
        return [*self.paths, *self.curves, *itertools.chain.from_iterable(self.raws), *self.masks]


def run(request: Request) -> Report:
    """Apply a stage to one image or clip.

    Raises InputError for input that cannot be used, UsageError for output that is in the way.
    """
    check(request)
    source = _open(request)
    drawn, shown = _draw(request, source)
    count = _count(request, source, drawn)
    plan = _plan(request, source, count)
    ours = outputs.earlier(request.target, request.overwrite) if request.default_target else []
    outputs.claim(plan.paths, source.files or [source.path], request.overwrite, ours)
    outputs.claim(plan.every(), [source.path], request.overwrite, ours)
    if plan.form == "folder" and not source.is_image:
        outputs.refuse_mixture(request.target, plan.paths, ours)
    old = [path for path in ours if path in plan.every()] if source.is_image else ours
    with _claimed_in_default_folder(request, plan, [path for path in ours if path not in old]):
        _apply(request, source, drawn, shown, plan, old)
    return Report([Result(request.source, request.target, count, _plain(request.name, drawn))], len(old))


def _open(request: Request) -> Source:
    """An image, a clip or a video. Raises InputError where it is none, or its values are of the wrong kind."""
    path, recipe, clip_light = request.source, request.recipe, request.kind not in CARRY_LIGHT
    if path.is_dir():
        in_time = request.kind not in FRAME_BY_FRAME
        try:
            source = sources.folder(path, recipe, request.limit, in_time, clip_light)
        except InputError as error:
            if not in_time or request.name in NEED_NEIGHBOURS or error.reason not in ("unnumbered", "mixed", "vfr"):
                raise
            hint = f"{error.hint}; or, where they are photographs, add --each"
            raise InputError(str(error), hint, error.reason) from None
    elif path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        source = sources.image(path, recipe, clip_light)
    else:
        source = sources.movie(path, recipe, request.limit, clip_light)
    if source.linear and request.kind in DISPLAY_IN and not _is_measured(source):
        word = request.name.replace("_", "-")
        raise InputError(f"{path}: linear light (float TIFF), but {word} works on display frames",
                         "give PNG, JPEG or video", "linear")  # fmt: skip
    if (source.linear or source.extended) and request.keep_mask:
        raise InputError(f"{path}: linear light (float TIFF, HDR) no longer shows what was saturated",
                         "give the display frames, before clip-reverse", "linear")  # fmt: skip
    return source


def _is_measured(source: Source) -> bool:
    """Whether its frames hold light above white that was measured, so that there is none to guess."""
    return source.extended or (source.linear and source.files[0].suffix.lower() in video.LIGHT_SUFFIXES)


def _draw(request: Request, source: Source):
    """The draw, and the frames, all of them, on the device of the request."""
    name, config = request.name, user_stages.config_of(request.recipe, request.name)
    frames = source.frames() if request.kind in FRAME_BY_FRAME else sources.of_one_size(source)
    shown = (frame.to(request.device) for frame in frames)
    if source.extended and name in LINEAR_OUT:
        shown = map(fr.to_linear, shown)
    stage = pipeline.stage_called(request.recipe, name)
    drawn = stage.draw(config, draw.rng(request.recipe.dataset.seed, source.sha256, "segment-0", name))
    if name == "clip_reverse" and _is_measured(source):
        log.warning(f"{source.path}: its light above white is measured: clip-reverse has nothing to add")
        drawn = clip_reverse.Draw(0.0)
    if name == "denoise" and drawn.sigma is None:
        head = list(itertools.islice(shown, ESTIMATION_FRAMES))
        shown = itertools.chain(head, shown)
        with _naming(source.path):
            drawn = denoise.estimate(torch.cat(head))
    if name == "resize":
        first = next(shown)
        shown = itertools.chain([first], shown)
        if resize.enlarges((first.shape[3], first.shape[2]), config):
            log.warning(f"{source.path}: {first.shape[3]}x{first.shape[2]} is enlarged to {config.width}x"
                        f"{config.height}; the result is soft")  # fmt: skip
    return drawn, shown


def _plain(name: str, drawn) -> dict:
    """What was drawn and applied, as JSON-able values."""
    return {key: value for key, value in user.values(drawn).items() if key not in PIPELINE_ONLY.get(name, ())}


def _factor(request: Request, source: Source) -> int:
    """Frames of the input that are one source frame."""
    return request.samples or source.samples


def _count(request: Request, source: Source, drawn) -> int:
    """How many frames the stage makes of the source's. Raises InputError where they are too few."""
    if request.name == "interpolate":
        if source.count < 2:
            raise InputError(f"{source.path}: interpolate needs at least 2 frames, this is 1", "give a video or a "
                             "folder of frames", "too-short")  # fmt: skip
        return (source.count - 1) * request.recipe.interpolate.factor + 1
    if request.name != "average":
        return source.count
    factor = _factor(request, source)
    size = drawn.window * factor
    if source.count < size or source.is_image:
        each = f" ({factor} samples a source frame)" if factor > 1 else ""
        message = (f"{source.path}: average needs at least {max(size, 2)} frames for --window {drawn.window}{each}, "
                   f"this is {source.count}")  # fmt: skip
        raise InputError(message, "give more frames, or a smaller --window", "too-short")
    return source.count // size


def _plan(request: Request, source: Source, count: int) -> Plan:
    """Every path that will be written. Raises UsageError where the suffix of the output does not fit."""
    name, target = request.name, request.target
    linear = name in LINEAR_OUT or source.linear
    form = outputs.form(target, count, linear, request.bits, source.is_image)
    names = source.names()
    out = [f"{i:06d}" for i in range(count)] if name in NEED_NEIGHBOURS else names
    suffix = ".tiff" if linear else ".png"
    paths = [target / f"{stem}{suffix}" for stem in out] if form == "folder" else [target]
    curves = [request.curves / f"{stem}.png" for stem in names] if request.curves else []
    raws = [tuple(request.raws / kind / f"{stem}.dng" for kind in ("clean", "noisy")) for stem in names] if (
        request.raws) else []  # fmt: skip
    masks = [target / "mask" / f"{stem}.tiff" for stem in out] if request.keep_mask else []
    if set(paths) & set(curves):
        raise UsageError(f"--save-curves {request.curves}: the frames are written there", "name another folder")
    return Plan(form, paths, curves, raws, masks)


@contextlib.contextmanager
def _claimed_in_default_folder(request: Request, plan: Plan, others: list[Path]) -> Iterator[None]:
    """After the block the default folder lists the files that this run wrote, and `others` of earlier runs."""
    if not request.default_target:
        yield
        return
    files = {path for path in plan.every() if path.is_relative_to(request.target)} | set(others)
    outputs.make_folder(request.target)
    yield
    outputs.remember(request.target, files, finished=True)


def _apply(request: Request, source: Source, drawn, shown: Iterator[Tensor], plan: Plan, old: Iterable[Path]) -> None:
    """Run the stage over the frames and write what comes out. old: files to remove once the first result is there."""
    name, factor = request.name, _factor(request, source)
    recipe, config = request.recipe, user_stages.config_of(request.recipe, request.name)
    if name == "average":
        config_of_input = dataclasses.replace(recipe.interpolate, factor=factor)
        recipe = dataclasses.replace(recipe, interpolate=config_of_input)
    if request.keep_mask:
        results = extras.average_and_mask(shown, drawn, recipe, plan.masks)
    elif name == "clip_reverse" and _is_measured(source):
        results = shown
    else:
        linear = source.linear or (source.extended and name in LINEAR_OUT)
        step = streams.APPLY.get(request.kind, streams.each)
        results = step(pipeline.stage_called(recipe, name), shown, config, drawn, recipe, linear)
    if plan.curves:
        results = extras.with_curves(results, source, config, drawn, plan.curves, request.device)
    if plan.raws:
        results = extras.with_raws(results, source, config, drawn, recipe, plan.raws)
    with _naming(source.path):
        results = iter(results)
        first = next(results)
        outputs.remove(old)
        if request.default_target:
            outputs.remember(request.target, plan.every(), finished=False)
        count = len(plan.paths) if plan.form != "video" else None
        results = metered(itertools.chain([first], results), count, "frame", not request.progress or count == 1)
        _write(request, source, results, plan)


def _write(request: Request, source: Source, results: Iterable[Tensor], plan: Plan) -> None:
    """An image, a video or a folder, by what the user gave and named."""
    name, recipe = request.name, request.recipe
    linear = name in LINEAR_OUT or source.linear
    samples = 1 if name == "average" else source.samples
    if name == "interpolate":
        samples *= recipe.interpolate.factor
    pixels = (frame[0].cpu().permute(1, 2, 0).contiguous().numpy() for frame in results)
    if plan.form == "video":
        rate = (source.fps or 30.0) * (recipe.interpolate.factor if name == "interpolate" else 1)
        video.write_video(request.target, pixels, rate, sample_count.note(samples))
        return
    if plan.form == "folder":
        outputs.make_folder(request.target)
    done = 0
    try:
        for path, frame in zip(plan.paths, pixels, strict=True):
            outputs.write_frame(path, frame, linear, request.bits, samples)
            done += 1
    except KeyboardInterrupt:
        raise interrupted(request, done, len(plan.paths), "frames") from None


def interrupted(request: Request, done: int, total: int, what: str) -> Interrupted:
    """The error after Ctrl-C. Results that are written stay; the next run replaces them in a default output only."""
    begin = "the same command begins again"
    if not done:
        return Interrupted("interrupted", begin)
    return Interrupted(
        f"{request.target}: interrupted after {done} of {total} {what}; they are kept",
        begin if request.default_target or request.overwrite else "add --overwrite to begin again",
    )


@contextlib.contextmanager
def _naming(source: Path) -> Iterator[None]:
    """Within the block an error of a stage, which knows no files, gets the name of the input."""
    try:
        yield
    except InputError as error:
        if str(source) in str(error):
            raise
        raise InputError(f"{source}: {error}", error.hint, error.reason) from None
