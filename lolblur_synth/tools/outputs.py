"""What `stage` and `restore` write: the suffix of OUTPUT says the format; every path is checked before any work.

A file that exists is replaced only where the user said so. The one folder that a command names itself (`darken-out`)
holds a list of what was written there, so that it can be written again without losing a file of the user's.
"""

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lolblur_synth.dataset import layout
from lolblur_synth.errors import InputError, UsageError, listed
from lolblur_synth.files import atomic, images, listing, sample_count
from lolblur_synth.files.video import DISPLAY_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES
from lolblur_synth.files.video.names import CAMERA_RAW_VIDEO, OTHER_IMAGES, OTHER_VIDEO
from lolblur_synth.files.video.writer import SUFFIXES as VIDEOS

IMAGES = DISPLAY_SUFFIXES  # of what is read, all but EXR and .hdr are written as well
JPEG, TIFF = (".jpg", ".jpeg"), (".tif", ".tiff")
# Formats that OUTPUT could mean and that are not written; any other suffix may be a part of a folder's name: `out.v2`
NOT_WRITTEN = {*VIDEO_SUFFIXES, *IMAGE_SUFFIXES, *OTHER_IMAGES, *OTHER_VIDEO, *CAMERA_RAW_VIDEO, ".svg", ".pdf",
               ".npy", ".npz", ".zip", ".tar", ".gz", ".7z", ".h5", ".hdf5", ".lmdb", ".txt", ".json",
               ".csv"} - {*IMAGES, *VIDEOS}  # fmt: skip
MARKER = ".lolblur-stage.json"  # in a default folder: the files that the last runs wrote, and their sha256


def form(target: Path, count: int, linear: bool = False, bits: int = 8, from_image: bool = False,
         no_video: str = "") -> str:  # fmt: skip
    """How `target` is written, "image", "video" or "folder", for `count` results; by its suffix, or it is refused.

    linear: the results are linear light, which only float TIFF holds. from_image: the input is one image; then an
    unknown suffix is refused too, not taken for a part of a folder's name. no_video: why a video cannot be written.
    Raises UsageError.
    """
    suffix = target.suffix.lower()
    if not suffix or target.is_dir():
        return "folder"
    if suffix in IMAGES:
        if count != 1:
            hint = "name a folder" if linear or no_video else "name a folder, or a video such as out.mp4"
            raise UsageError(f"{target}: one {suffix} file cannot hold {count} frames", hint)
        if linear and suffix not in TIFF:
            raise UsageError(f"{target}: linear light does not fit into {suffix}",
                             f"name {target.with_suffix('.tiff').name}; it gets float32 values")  # fmt: skip
        if bits != 8 and suffix in JPEG and not linear:
            raise UsageError(f"{target}: JPEG has 8 bits a channel, not {bits}",
                             "name a .png or .tiff file, or leave --bits out")  # fmt: skip
        return "image"
    if suffix in VIDEOS:
        if no_video:
            raise UsageError(f"{target}: {no_video}", "name a folder")
        if linear:
            raise UsageError(f"{target}: linear light does not fit into a video",
                             "name a folder; it gets float32 TIFF frames")  # fmt: skip
        if bits != 8:
            raise UsageError(f"{target}: video is written with 8 bits a channel, not {bits}",
                             "name a folder; it gets PNG frames")  # fmt: skip
        return "video"
    if from_image or suffix in NOT_WRITTEN:
        kinds = [kind for kind in (IMAGES if from_image else () if no_video else VIDEOS) if not linear or kind in TIFF]
        use = f"use {', '.join(kinds)}, or name" if kinds else "name"
        raise UsageError(f"{target}: cannot write {suffix} files", f"{use} a folder (a name without a suffix)")
    return "folder"


def folder(path: Path, option: str) -> Path:
    """`path`, if its name can be that of a folder. Raises UsageError for one like `--save-curves maps.png`."""
    if not path.is_dir() and path.suffix.lower() in {*NOT_WRITTEN, *IMAGES, *VIDEOS}:
        raise UsageError(f"{option} {path}: {path.suffix} is the name of a file, but a folder is written",
                         f"name a folder, such as {path.stem}")  # fmt: skip
    return path


def claim(paths: Sequence[Path], sources: Sequence[Path], overwrite: bool, replaceable: Iterable[Path] = ()) -> None:
    """Raise unless every path can be written: one source each, no input of this run, nothing in the way.

    sources: the input files, one for each path, or fewer where paths are numbered. replaceable: files of an earlier run
    of ours. Raises InputError where two inputs would have one name, UsageError where a path is in the way.
    """
    origin: dict[Path, Path] = {}
    if len(sources) == len(paths):
        for path, source in zip(paths, sources, strict=True):
            if path in origin:
                raise InputError(f"{origin[path]} and {source.name} differ in their suffix alone: both would become "
                                 f"{path.name}", "rename one of them", "names")  # fmt: skip
            origin[path] = source
    inputs, ours = {source.resolve() for source in sources}, set(replaceable)
    for path in paths:
        if path.resolve() in inputs:
            raise UsageError(f"{path} is the input", "give another output")
        if path.is_dir():
            raise UsageError(f"{path} is a folder", "name another output")
        if path.exists() and not overwrite and path not in ours:
            raise UsageError(f"{path} exists", "add --overwrite, or name another output")


def refuse_mixture(target: Path, paths: Iterable[Path], replaceable: Iterable[Path] = ()) -> None:
    """Raise UsageError where a folder already holds images that the frames of this clip would not replace."""
    if not target.is_dir():
        return
    expected = {*paths, *replaceable}
    others = [file.name for file in listing.files(target, IMAGE_SUFFIXES) if file not in expected]
    if others:
        raise UsageError(f"{target} holds images that are no frames of this run: {listed(others)}",
                         "remove them, or name another folder: they would be taken for frames of the clip")  # fmt: skip


def refuse_inside(target: Path, source: Path) -> None:
    """Raise UsageError where the output lies in the folder that is read: the next run would read it as well."""
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{target} lies in the input folder {source}: the next run would read its own results",
                         "name an output outside")  # fmt: skip


def make_folder(path: Path) -> None:
    """Create a folder. Raises UsageError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if path.is_file() else error.strerror
        raise UsageError(f"{path}: no folder can be made here: {reason}", "give another output folder") from None


def write_frame(path: Path, frame: np.ndarray, linear: bool, bits: int = 8, samples: int = 1,
                alpha: np.ndarray | None = None) -> None:  # fmt: skip
    """Write (H, W, 3) float32 RGB in the format of the suffix of `path`; linear light as float TIFF.

    samples: frames of this kind in an interval between two source frames, noted in the file. alpha: (H, W), 0..1.
    """
    data = images.encode_linear(frame) if linear else images.encode(path.suffix, frame, bits, alpha)
    atomic.write(path, sample_count.marked(data, samples))


def earlier(default: Path, overwrite: bool) -> list[Path]:
    """The files in a default folder that earlier runs wrote and nobody changed.

    Raises UsageError where it holds others, unless `overwrite`.
    """
    if not default.is_dir():
        return []
    written = (layout.read_json(default / MARKER) or {}).get("files")
    written = written if isinstance(written, dict) else {}
    present = [entry.path for entry in listing.walk(default) if entry.kind != listing.FOLDER]
    ours = [path for path in present if _is_of(path, written.get(path.relative_to(default).as_posix()))]
    if len(ours) < len(present) and not overwrite:
        foreign = [path.name for path in present if path not in ours]
        raise UsageError(f"{default} holds files that are not as a stage run left them: {listed(foreign)}",
                         "name an OUTPUT, or add --overwrite to replace files of the same names")  # fmt: skip
    return ours


def remember(default: Path, paths: Iterable[Path], finished: bool) -> None:
    """Note which files of a default folder are ours: before the work by name, after it (finished) with their sha256."""
    files = {path.relative_to(default).as_posix(): atomic.sha256(path) if finished else "" for path in sorted(paths)}
    atomic.write(default / MARKER, json.dumps({"files": files}, indent=1).encode())


def remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _is_of(path: Path, sha256: str | None) -> bool:
    return sha256 == "" or (sha256 is not None and path.is_file() and sha256 == atomic.sha256(path))
