"""Run LEDNet on images and videos: dark blurred frames in, restored frames out, of any size.

INPUT              OUTPUT
an image           an image (PNG, JPEG, TIFF, by its suffix), or a folder
a folder of images a folder with the same names and sub-folders, as PNG
a video            a video (its sound is kept) where OUTPUT has a video suffix, else a folder of PNG frames

A video that is interrupted, or damaged further on, leaves the frames so far in NAME.partial.SUFFIX; where the process
is killed, in NAME.partial.mkv (of .avi: .avi). An image of a folder that cannot be read does not stop the others.
One frame is in memory at a time; a whole 1280x720 frame needs about 1.1 GB on a CPU.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from lolblur_synth.errors import ClipsFailed, InputError, Interrupted, UsageError, listed
from lolblur_synth.files import images, listing, pictures, video
from lolblur_synth.files.video.recorder import partials, record
from lolblur_synth.files.video.tracks import Tracks, tracks_of
from lolblur_synth.models import lednet
from lolblur_synth.models.curve_rates import curve_rates
from lolblur_synth.parallel.machine import resolve_device
from lolblur_synth.parallel.progress import metered
from lolblur_synth.parallel.stop import stop_signals
from lolblur_synth.recipe.schema import InputConfig
from lolblur_synth.tools import curve_sheet, outputs, sources, weights_scope
from lolblur_synth.tools.weights_scope import ScopeCheck
from lolblur_synth.training.config import RestoreConfig, checked

CLIPPED = "it holds light above white, which the network does not know: it is clipped at white"
log = logging.getLogger(__name__)
Restore = Callable[[str, np.ndarray], np.ndarray]  # the name of a frame, and its pixels: see `_network`


def restore(source: str | Path, target: str | Path, quiet: bool = False, overwrite: bool = False,
            say: Callable[[str], None] = log.info, **options) -> int:  # fmt: skip
    """Restore SOURCE into TARGET. options: the fields of RestoreConfig. Returns the number of frames written.

    quiet: no progress. say: gets one line about the weights before the work begins.
    Raises InputError for input that cannot be read, WeightsError, and UsageError where the output exists (unless
    `overwrite`) or cannot hold the input; ClipsFailed at the end where some images of a folder could not be restored.
    """
    config = checked(RestoreConfig, options)
    if config.bits not in (8, 16):
        raise UsageError(f"--bits {config.bits}", "use 8 or 16")
    if config.show == "curve" and config.compare:
        raise UsageError("--show curve has the frame beside its maps already", "leave out --compare")
    source, target = Path(source), Path(target)
    if not source.is_file() and not source.is_dir():
        reason = "no such file or folder"
        if os.path.lexists(source):
            reason = f"a {listing.kind_of(source)}"
        raise InputError(f"{source}: {reason}", "give an image, a video or a folder of images", "missing")
    if target.resolve() == source.resolve():
        raise UsageError(f"{target} is the input", "give another output")
    config = weights_scope.with_file(config)
    run = _network(config, say)
    tool = _images if source.is_dir() or source.suffix.lower() in video.IMAGE_SUFFIXES else _video
    with ScopeCheck(weights_scope.of(config.weights), weights_scope.untouched_from(config.weights)) as check:

        def net(name: str, pixels: np.ndarray) -> np.ndarray:
            check(name, pixels)
            return run(pixels)

        return tool(source, target, net, config, overwrite, quiet)


def _network(config: RestoreConfig, say: Callable[[str], None]) -> Callable[[np.ndarray], np.ndarray]:
    """(H, W, 3) float32 RGB display, 0..1 -> the same, restored. say: gets one line about the weights."""
    device = torch.device(resolve_device(config.device))
    net, value_range = lednet.load(config.weights, config.range, config.network)
    say(weights_scope.introduction(config.weights, net))
    log.info("%s: input and output in %s", config.weights, value_range)
    net.to(device)
    half = config.precision == "bfloat16" or config.precision == "auto" and device.type == "cuda"

    def run(pixels: np.ndarray) -> np.ndarray:
        frame = torch.from_numpy(pixels).permute(2, 0, 1)[None].clamp(0, 1).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            if config.show == "curve":
                return curve_sheet.sheet(pixels, curve_rates(net, frame, value_range))
            restored = lednet.enhance(net, frame, value_range)[0].float().permute(1, 2, 0).cpu().numpy()
        return np.concatenate((pixels, restored), 1) if config.compare else restored

    return run


def _images(source: Path, target: Path, net: Restore, config: RestoreConfig, overwrite: bool, quiet: bool) -> int:
    files, paths = _image_paths(source, target, config.bits)
    outputs.claim(paths, files, overwrite)
    done, notes, failures = 0, set(), []
    with _counting(target, "images", len(files), lambda: done), stop_signals() as stop:
        for file, path in metered(zip(files, paths, strict=True), len(files), "image", quiet):
            _check_stop(stop)
            try:
                _restore_image(file, path, net, config, notes)
                done += 1
            except InputError as error:
                if len(files) == 1:
                    raise
                log.warning("%s", error)
                failures.append((file, error))
    if failures and not done:
        raise InputError(f"{source}: none of its {len(files)} images can be used (see above)", failures[0][1].hint,
                         failures[0][1].reason)  # fmt: skip
    if failures:
        names = listed([str(file) for file, _ in failures])
        raise ClipsFailed(f"{target}: {done} of {len(files)} images restored; not restored (see above): {names}",
                          "repair them, or leave them out")  # fmt: skip
    return done


def _image_paths(source: Path, target: Path, bits: int) -> tuple[list[Path], list[Path]]:
    """The images to restore, and the path of each result: a folder keeps the names and the sub-folders."""
    if source.is_file():
        is_file = outputs.form(target, 1, bits=bits, from_image=True) == "image"
        return [source], [target if is_file else target / f"{source.stem}.png"]
    outputs.refuse_inside(target, source)
    files = pictures.below(source)
    form = outputs.form(target, len(files), bits=bits, no_video="a folder of images does not make a video")
    sources.log_unread_files(source, below=True)
    paths = [target / file.relative_to(source).with_suffix(".png") for file in files]
    return files, paths if form == "folder" else [target]


def _restore_image(file: Path, path: Path, net: Restore, config: RestoreConfig, logged: set[str]) -> None:
    """One image; an alpha channel is kept as it is, and the colours beneath it are restored.

    logged: notes on images before this one, which are logged once; those on this image are added.
    """
    try:
        pixels = images.load(file)
    except InputError as error:  # names the file without its folder
        raise InputError(f"{file.parent}/{error}", error.hint, error.reason) from error
    notes = images.notes(file.read_bytes(), pixels[:, :, :3] if pixels.ndim == 3 else pixels)
    if file.suffix.lower() in video.LIGHT_SUFFIXES:
        notes.append(CLIPPED)
        shown = images.light_to_display(images.to_rgb(pixels))[:, :, ::-1]
        pixels = np.rint(shown * np.iinfo(np.uint16).max).astype(np.uint16)
    if pixels.dtype == np.float32:
        raise InputError(f"{file}: linear light (float TIFF)", "give display images, 8 or 16 bit", "linear")
    for note in sorted({*notes} - logged):
        logged.add(note)
        log.warning(f"{file}: {note}")
    alpha = None
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        if not pixels[:, :, 3].any():
            log.warning(f"{file}: its alpha channel is 0 everywhere; it is left out")
            pixels = np.ascontiguousarray(pixels[:, :, :3])
        elif path.suffix.lower() in outputs.JPEG:
            log.warning(f"{file}: JPEG holds no alpha channel; the picture is laid on black")
        else:
            alpha = pixels[:, :, 3].astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
            alpha = np.concatenate((alpha, alpha), 1) if config.compare else alpha
            alpha = alpha if config.show == "result" else None
            pixels = np.ascontiguousarray(pixels[:, :, :3])
    outputs.write_frame(path, net(str(file), images.to_rgb(pixels)), linear=False, bits=config.bits, alpha=alpha)


def _video(source: Path, target: Path, net: Restore, config: RestoreConfig, overwrite: bool, quiet: bool) -> int:
    inputs, refused = video.find([source])
    if not inputs:
        raise InputError(
            refused[0].message if refused else f"{source}: neither an image nor a video",
            "give an image, a video or a folder of images",
            "format",
        )
    clip = video.probe(inputs[0], InputConfig())
    for note in clip.notes:
        log.warning("%s: %s", clip.name, note)
    if clip.light == video.MEASURED:
        log.warning("%s: %s", clip.name, CLIPPED)
    form = outputs.form(target, clip.frames, bits=config.bits)
    paths = [target / f"{i:06d}.png" for i in range(clip.frames)] if form == "folder" else [target]
    outputs.claim(paths, [source], overwrite)
    if form == "folder":
        outputs.refuse_mixture(target, paths)
    else:
        _check_partials(source, target)
    tracks = tracks_of(clip.path, target.suffix.lower() if form == "video" else ".mkv", clip.max_pixels)
    left_out = [*tracks.left_out, *(["its sound"] if form != "video" and tracks.sound else [])]
    if left_out:
        log.warning(f"{source}: left out of {target}: {', '.join(left_out)}")
    with stop_signals() as stop:
        shown = enumerate(metered(video.display(clip), clip.frames, "frame", quiet))
        frames = (net(f"{source}, frame {number}", frame) for number, frame in shown if _check_stop(stop))
        if form == "video":
            _record(target, frames, clip, tracks)
        else:
            done = 0
            with _counting(target, "frames", clip.frames, lambda: done):
                for path, frame in zip(paths, frames, strict=True):
                    outputs.write_frame(path, frame, linear=False, bits=config.bits)
                    done += 1
    return clip.frames


def _check_partials(source: Path, target: Path) -> None:
    """Raise UsageError where the partial file of this run is its input; log an older one, which is replaced."""
    for partial in {*partials(target)}:
        if partial.resolve() == source.resolve():
            raise UsageError(f"{partial} is the input, and is written while {target.name} grows", "give another output")
        if partial.exists():
            log.warning(f"{partial}: left by an earlier run; it is replaced")


def _record(target: Path, frames: Iterator[np.ndarray], clip: video.Video, tracks: Tracks) -> None:
    """A video with the sound of the source. Raises what ended it early, and tells where its frames are."""
    recording = record(target, frames, clip.played, tracks)
    if recording.error is not None:
        with _counting(target, "frames", clip.frames, lambda: recording.frames, f"; they are in {recording.path}"):
            raise recording.error


def _check_stop(stop: threading.Event) -> bool:
    """Raise Interrupted after Ctrl-C or SIGTERM."""
    if stop.is_set():
        raise Interrupted("interrupted", "the same command begins again")
    return True


@contextlib.contextmanager
def _counting(target: Path, what: str, total: int, done: Callable[[], int], where: str = "") -> Iterator[None]:
    """Within the block an error gets the number of results that were written before it."""
    try:
        yield
    except (InputError, Interrupted) as error:
        if not done():
            raise
        message = f"{target}: {done()} of {total} {what} restored{where}: {error}"
        if isinstance(error, InputError):
            raise InputError(message, error.hint, error.reason) from error
        hint = "add --overwrite to begin again" if not where else error.hint
        raise Interrupted(message, hint) from error
    except BaseException:
        if done():
            log.warning(f"{target}: {done()} of {total} {what} restored{where}")
        raise
