"""The tool behind `lolblur-synth stage`: one stage alone, on an image, a video or a folder of frames.

Display frames are PNG (8 or 16 bit) or video; linear light is float32 TIFF, in and out. Frames keep their names.
"""

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lolblur_synth import bayer, draw, frames, images, video
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.kernels import exposure
from lolblur_synth.pipeline import STAGES
from lolblur_synth.recipe import ClipReverseConfig, Recipe
from lolblur_synth.stages import average, darken, defocus, denoise, interpolate, noise
from lolblur_synth.video.inputs import image_files

log = logging.getLogger(__name__)

STACK = 16  # frames that darken calibrates together: enough for a steady exposure, little enough for memory
UNMET = 0.02  # of the exposure asked for: said, not passed over
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
    if name == "denoise":
        head = list(itertools.islice(shown, 9))
        drawn, shown = stage.draw(config, rng), itertools.chain(head, shown)
        with _naming(source):
            drawn = denoise.estimate(torch.cat(head)) if drawn.sigma is None else drawn
    else:
        drawn = stage.draw(config, rng)
    linear = name in LINEAR_OUT or (name == "defocus" and given.linear)
    results = APPLY.get(name, _each)(stage, shown, config, drawn, recipe, given.linear)
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
    found, refused = video.find([source])
    if not found:
        raise InputError(
            refused[0].message if refused else f"{source}: no such file", "give an image, a video or a folder"
        )
    clip = video.probe(found[0], recipe.input, recipe.input.fps or None)
    stop = clip.frames if limit is None else min(limit, clip.frames)
    stream = (_tensor(frame) for frame in video.read(clip, 0, stop))
    return Source((f"{i:06d}" for i in itertools.count()), stream, False, clip.fps, False, video.digest(found[0]))


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


Step = Callable[[Any, Iterator[Tensor], Any, Any, Recipe, bool], Iterable[Tensor]]


def _each(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    """Frame by frame."""
    for frame in shown:
        yield stage.apply(frame, config, drawn)


def _denoise(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    return (frame[None] if frame.ndim == 3 else frame for frame in denoise.stream(shown, config, drawn))


def _darken(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    told = False
    while stack := list(itertools.islice(shown, STACK)):
        window = torch.cat(stack)
        result = darken.apply(window, config, drawn)
        if not told and not darken.achievable(window, drawn.exposure):
            told = True
            log.warning(f"frames of mean L*/100 {darken.exposure_of(window):.3f} are darker than the exposure "
                        f"{drawn.exposure:.3f} and stay as they are")  # fmt: skip
        elif not told and (got := darken.exposure_of(result, window)) > drawn.exposure + UNMET:
            told = True
            log.warning(f"the exposure is {got:.3f}, not {drawn.exposure:.3f}: too much of the frames is saturated and "
                        "kept; --lamp-area 0.015 darkens large clipped areas")
        yield from result.split(1)


def _interpolate(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    """Two neighbouring frames at a time, whatever the length; the last frame closes the sequence.

    One frame more on each side shows whether a scene ends between the two: then each is held for half of the interval.
    """
    cuts, differences, number = [], [], 0
    before, first, second = None, next(shown), next(shown, None)
    while second is not None:
        after = next(shown, None)
        beside = [frame for frame in (before, first, second, after) if frame is not None]
        pair = torch.cat([first, second])
        differences.append(float((second - first)[..., ::4, ::4].abs().mean()))
        if interpolate.cuts(torch.cat(beside), config.cut)[0 if before is None else 1]:
            cuts.append(number)
            held = (np.arange(config.factor) >= config.factor / 2).astype(int)
            yield from pair[held].split(1)
        else:
            yield from interpolate.apply(pair, config, drawn)[:-1].split(1)
        before, first, second, number = first, second, after, number + 1
    yield first
    if cuts:
        places = ", ".join(map(str, cuts[:3])) + (", …" if len(cuts) > 3 else "")
        log.warning(f"{len(cuts)} scene cut{'s' * (len(cuts) > 1)} after frame {places}: nothing lies in between, so "
                    "each frame is held for half of the interval")  # fmt: skip
    if (stored := video.repeated(np.array(differences))) > 1:
        log.warning(f"every frame is stored {stored} times, so motion will stutter")


def _average(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    """One exposure from each window of consecutive frames, taken as 2000 fps samples."""
    mean = average.mean if linear else lambda window: _light_and_mask(window)[0]
    return (light[None] for light in _windows(shown, drawn.window * recipe.interpolate.factor, mean))


def _light_and_mask(window: Iterator[Tensor], config: ClipReverseConfig | None = None) -> tuple[Tensor, Tensor]:
    """`exposure.average` of (3, H, W) frames that come one at a time; on a device it takes them together."""
    first = next(window)
    together = itertools.chain([first], window)
    if first.is_cuda:
        together = torch.stack(list(together))
        together = together if exposure.runs_on(first.device) else together.cpu()
    return exposure.average(together, config)


def _average_and_mask(shown, drawn, recipe, folder: Path, overwrite: bool) -> Iterator[Tensor]:
    """`_average` of display frames; the mean mask of each exposure is written to `folder`."""
    _make_folder(folder)
    size = drawn.window * recipe.interpolate.factor
    means = _windows(shown, size, lambda window: _light_and_mask(window, recipe.clip_reverse))
    for number, (light, mask) in enumerate(means):
        path = folder / f"{number:06d}.tiff"
        _refuse(path, overwrite)
        images.write_tiff(path, mask.cpu().permute(1, 2, 0).contiguous().numpy())
        yield light[None]


def _windows(shown: Iterator[Tensor], size: int, mean: Callable) -> Iterator:
    """`mean` of each window of `size` frames, (3, H, W) each, that come one at a time and are not held.

    A last, short window is left out unless it is the only one.
    """
    first_window = True
    while (first := next(shown, None)) is not None:
        counted = itertools.count()
        window = itertools.chain([first], itertools.islice(shown, size - 1))
        result = mean(frame[0] for frame, _ in zip(window, counted, strict=False))
        if next(counted) == size or first_window:
            yield result
        first_window = False


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


def _defocus(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    for frame in shown:
        light = defocus.apply(frame if linear else frames.to_linear(frame), config, drawn)
        yield light if linear else frames.to_display(light)


def _noise(stage, shown, config, drawn, recipe, linear) -> Iterator[Tensor]:
    for number, frame in enumerate(shown):
        yield noise.apply(frame, config, _of_frame(drawn, number, recipe))


def _of_frame(drawn: noise.Draw, number: int, recipe: Recipe) -> noise.Draw:
    """The clip's noise level with the field of one frame."""
    return noise.reseed(drawn, draw.rng(recipe.dataset.seed, str(drawn.seed), f"pair-{number}", "noise"))


APPLY: dict[str, Step] = {
    "denoise": _denoise, "darken": _darken, "interpolate": _interpolate, "average": _average, "defocus": _defocus,
    "noise": _noise,
}  # fmt: skip


def _with_curves(results: Iterable[Tensor], again: Source, config, drawn, folder: Path,
                 device: str) -> Iterator[Tensor]:  # fmt: skip
    """Pass `results` on, and write darken's map of each frame beside, under its name; `again`: the source once more."""
    _make_folder(folder)
    results = iter(results)
    while stack := list(itertools.islice(again.frames, STACK)):
        curves = darken.maps(torch.cat(stack).to(device), config, drawn).cpu()
        for curve, name, result in zip(curves, again.names, results, strict=False):
            images.write_png(folder / f"{name}.png", curve.expand(3, -1, -1).permute(1, 2, 0).numpy(), 16)
            yield result


def _with_raws(results: Iterable[Tensor], given: Source, config, drawn: noise.Draw, recipe: Recipe, folder: Path,
               overwrite: bool) -> Iterator[Tensor]:  # fmt: skip
    """Pass `results` on, and write the raw of each source frame beside, without noise and with it."""
    for number, (result, name, frame) in enumerate(zip(results, given.names, given.frames, strict=False)):
        if drawn.applied:
            both = noise.raw_pair(frame, config, _of_frame(drawn, number, recipe))
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
