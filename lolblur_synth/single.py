"""The tool behind `lolblur-synth stage`: one stage alone, on an image, a video or a folder of frames.

Display frames are PNG (8 or 16 bit) or video; linear light is float32 TIFF, in and out. Frames keep their names.
"""

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lolblur_synth import bayer, draw, images, steps, video
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.pipeline import STAGES
from lolblur_synth.recipe import Recipe
from lolblur_synth.stages import darken, denoise, noise
from lolblur_synth.video.inputs import image_files

log = logging.getLogger(__name__)
LINEAR_OUT = ("clip_reverse", "average")
FRAME_BY_FRAME = ("resize", "clip_reverse", "defocus", "noise")  # the others take frames together: one clip, one size


@dataclass(frozen=True)
class Source:
    """Frames to work on: named, in order, (1, 3, H, W) float32; linear light when `linear`."""

    names: Iterator[str]
    frames: Iterator[Tensor]
    linear: bool
    fps: float | None
    is_image: bool
    sha256: str


def run(name: str, source: Path, target: Path, recipe: Recipe, bits: int = 8, limit: int | None = None,
        overwrite: bool = False, curves: Path | None = None, raws: Path | None = None, keep_mask: bool = False,
        progress: bool = False, device: str = "cpu") -> tuple[int, dict]:  # fmt: skip
    """Apply stage `name` to `source`, write to `target`; returns the number of frames written and the draw.

    limit: read at most this many frames. device: cpu or cuda[:N], where the stage runs.
    curves: folder for darken's luminance adjustment maps, 16-bit PNG.
    raws: folder for noise's synthetic raw, clean/NAME.dng and noisy/NAME.dng. progress: show a bar on a terminal.
    keep_mask: average writes the mean of clip_reverse's mask as well, to target/mask, so that r can be drawn again:
    mean light + (r / 255, or the gain of hdr) * mean mask.
    Raises InputError for input that cannot be used, UsageError for output that is in the way.
    """
    given = _open(source, recipe, limit)
    if given.linear and name in ("resize", "denoise", "darken", "interpolate", "clip_reverse", "noise"):
        raise InputError(f"{source}: linear light (float TIFF), but {name} works on display frames",
                         "give PNG, JPEG or video", "linear")  # fmt: skip
    if recipe.interpolate.factor == "adaptive" and name in ("interpolate", "average"):
        raise UsageError("--factor adaptive gives each frame pair another rate, which frames alone cannot tell",
                         "give a number; adaptive is for build")  # fmt: skip
    if curves is not None and name != "darken":
        raise UsageError(f"--save-curves: {name} has no luminance adjustment maps", "only darken has them")
    stage, config = STAGES[name], getattr(recipe, name)
    shown = given.frames if name in FRAME_BY_FRAME else _of_one_size(given.frames, source)
    shown = (frame.to(device) for frame in shown)
    rng = draw.rng(recipe.dataset.seed, given.sha256, "segment-0", name)
    drawn = stage.draw(config, rng)
    if name == "denoise" and drawn.sigma is None:
        head = list(itertools.islice(shown, 9))
        shown = itertools.chain(head, shown)
        with _naming(source):
            drawn = denoise.estimate(torch.cat(head))
    linear = name in LINEAR_OUT or (name == "defocus" and given.linear)
    results = steps.APPLY.get(name, steps.each)(stage, shown, config, drawn, recipe, given.linear)
    if keep_mask:
        _check_mask(name, source, target, given.linear, recipe)
        results = _average_and_mask(shown, drawn, recipe, target / "mask", overwrite)
    if curves is not None:
        results = _with_curves(results, _open(source, recipe, limit), config, drawn, curves, device)
    if raws is not None:
        results = _with_raws(results, _open(source, recipe, limit), config, drawn, recipe, raws, overwrite)
    names = given.names if name not in ("interpolate", "average") else (f"{i:06d}" for i in itertools.count())
    results = tqdm(results, unit="frame", disable=None if progress else True)
    with _naming(source):
        written = _write(results, names, target, given, linear, bits, overwrite, _rate(name, given.fps, recipe))
    return written, dataclasses.asdict(drawn)


@contextlib.contextmanager
def _naming(source: Path) -> Iterator[None]:
    """A stage knows frames, not files: its error gets the name of the input."""
    try:
        yield
    except InputError as error:
        if str(source) in str(error):
            raise
        raise InputError(f"{source}: {error}", error.hint, error.reason) from None


def _open(source: Path, recipe: Recipe, limit: int | None) -> Source:
    """Whatever the user named, as a stream of frames."""
    if source.is_file() and source.suffix.lower() in video.IMAGE_SUFFIXES:
        files = [source]
    elif source.is_dir():
        files = image_files(source)[:limit]
        if not files:
            raise InputError(f"{source}: no PNG, JPEG or TIFF images in this folder", "give a folder of frames", "none")
    else:
        return _open_video(source, recipe, limit)
    item = video.Input(source, source.name, "images" if source.is_dir() else "video")
    linear = images.load(files[0]).dtype == np.float32
    loaded = (_tensor(images.read_image(file, recipe.input.max_pixels)) for file in files)
    return Source(iter(file.stem for file in files), loaded, linear, recipe.input.fps or None, source.is_file(),
                  video.digest(item))  # fmt: skip


def _open_video(source: Path, recipe: Recipe, limit: int | None) -> Source:
    found, refused = video.find_clips([source])
    if not found:
        raise InputError(
            refused[0].message if refused else f"{source}: no such file", "give an image, a video or a folder"
        )
    given = recipe.input.fps or found[0].fps
    clip = video.probe(found[0], recipe.input, given)
    for note in clip.notes:
        log.warning("%s: %s", clip.name, note)
    stop = clip.frames if limit is None else min(limit, clip.frames)
    stream = (_tensor(frame) for frame in video.read(clip, 0, stop))
    return Source((f"{i:06d}" for i in itertools.count()), stream, False, clip.fps if given else clip.played, False,
                  video.digest(found[0]))  # fmt: skip


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].contiguous()


def _of_one_size(stream: Iterator[Tensor], source: Path) -> Iterator[Tensor]:
    size = None
    for frame in stream:
        size = size or frame.shape
        if frame.shape != size:
            hint = "give the frames of one clip, or one image at a time"
            raise InputError(f"{source}: its images differ in size", hint, "size-changes")
        yield frame


def _average_and_mask(shown, drawn, recipe, folder: Path, overwrite: bool) -> Iterator[Tensor]:
    """`_average` of display frames; the mean mask of each exposure is written to `folder`."""
    _make_folder(folder)
    size = drawn.window * recipe.interpolate.factor
    means = steps.windows(shown, size, lambda window: steps.light_and_mask(window, recipe.clip_reverse))
    for number, (light, mask) in enumerate(means):
        path = folder / f"{number:06d}.tiff"
        _refuse(path, overwrite)
        images.write_tiff(path, mask.cpu().permute(1, 2, 0).contiguous().numpy())
        yield light[None]


def _check_mask(name: str, source: Path, target: Path, linear: bool, recipe: Recipe) -> None:
    """Raise where a mask is asked for that cannot be, or would be of no use."""
    if name != "average" or target.suffix:
        raise UsageError("--keep-mask writes to a folder, with `stage average` alone", "name a folder as OUTPUT")
    if linear:
        raise InputError(f"{source}: linear light (float TIFF) no longer shows what was saturated",
                         "give the display frames, before clip-reverse", "linear")  # fmt: skip
    if recipe.clip_reverse.space == "code":
        raise UsageError("--keep-mask: in clip_reverse.space=code r goes through the gamma and cannot be drawn again",
                         "choose a recipe with space linear or hdr")  # fmt: skip


def _with_curves(results: Iterable[Tensor], again: Source, config, drawn, folder: Path,
                 device: str) -> Iterator[Tensor]:  # fmt: skip
    """Pass `results` on, and write darken's map of each frame beside, under its name; `again`: the source once more."""
    _make_folder(folder)
    results = iter(results)
    while stack := list(itertools.islice(again.frames, steps.STACK)):
        curves = darken.maps(torch.cat(stack).to(device), config, drawn).cpu()
        for curve, name, result in zip(curves, again.names, results, strict=False):
            images.write_png(folder / f"{name}.png", curve.expand(3, -1, -1).permute(1, 2, 0).numpy(), 16)
            yield result


def _with_raws(results: Iterable[Tensor], given: Source, config, drawn: noise.Draw, recipe: Recipe, folder: Path,
               overwrite: bool) -> Iterator[Tensor]:  # fmt: skip
    """Pass `results` on, and write the raw of each source frame beside, without noise and with it."""
    for number, (result, name, frame) in enumerate(zip(results, given.names, given.frames, strict=False)):
        if drawn.applied:
            both = noise.raw_pair(frame, config, steps.of_frame(drawn, number, recipe))
            for kind, mosaic in zip(("clean", "noisy"), both, strict=True):
                path = folder / kind / f"{name}.dng"
                _refuse(path, overwrite)
                bayer.write_dng(path, mosaic[0, 0].numpy(), noise.camera(config), drawn.gains, drawn.shot, drawn.read)
        yield result


def _rate(name: str, fps: float | None, recipe: Recipe) -> float:
    rate = fps or 30.0
    return rate * recipe.interpolate.factor if name == "interpolate" else rate


def _write(results: Iterable[Tensor], names: Iterator[str], target: Path, given: Source, linear: bool, bits: int,
           overwrite: bool, fps: float) -> int:  # fmt: skip
    """An image, a video or a folder, by what the user gave and named."""
    pixels = (frame[0].cpu().permute(1, 2, 0).contiguous().numpy() for frame in results)
    suffix = target.suffix.lower()
    if suffix in video.VIDEO_SUFFIXES and not target.is_dir():
        _refuse(target, overwrite)
        if linear:
            raise UsageError(
                f"{target}: linear light does not fit into a video", "name a folder; it gets float32 TIFF frames"
            )
        counted = itertools.count()
        video.write_video(target, (frame for frame, _ in zip(pixels, counted, strict=False)), fps)
        return next(counted)
    single = given.is_image and suffix in video.IMAGE_SUFFIXES
    if not single:
        _make_folder(target)
    written = 0
    for name, frame in zip(names, pixels, strict=False):
        path = target if single else target / f"{name}{'.tiff' if linear else '.png'}"
        _refuse(path, overwrite)
        if linear:
            images.write_tiff(path, frame)
        else:
            images.write_png(path, frame, bits)
        written += 1
    return written


def _make_folder(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror}", "give another output folder") from None


def _refuse(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists", "add --overwrite, or name another output")
