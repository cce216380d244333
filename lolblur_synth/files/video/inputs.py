"""Finds the videos and folders of frames at the paths that the user gave; no file is opened.

The names of inputs are for people and for JSON: relative, with `/`, in one line, valid Unicode. Output paths are never
made from them.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lolblur_synth.files import atomic, capture_rates, listing
from lolblur_synth.files.listing import FETCH
from lolblur_synth.files.remote import Remote
from lolblur_synth.files.video import names
from lolblur_synth.files.video.names import IMAGE_SUFFIXES, OTHER_IMAGES, VIDEO_SUFFIXES, safe_name
from lolblur_synth.files.video.sequence import image_files

REWRAP = "rewrap it without loss, for example: ffmpeg -i IN -c copy OUT.mkv"
DEVELOP = "export it from the camera's software, as .mov or as 16-bit TIFF frames"
CONVERT = "convert frames to PNG or TIFF, and move pictures that are none elsewhere"
OWN_FOLDER = "put the frames into a folder of their own"
UNLIKE_A_VIDEO = "give that folder a name that does not end like a video's, if it holds frames or videos"


@dataclass(frozen=True)
class Input:
    """A video file (kind "video") or a folder that holds one image sequence (kind "images").

    fps: the capture rate in frames/s that the user gave this clip, where they did (`find_clips`). remote: where it lies
    in a store; the files at `path` are then empty until they are downloaded.
    """

    path: Path
    name: str
    kind: str
    fps: float | None = None
    remote: Remote | None = None


@dataclass(frozen=True)
class RejectedInput:
    """An input that cannot be used. reason: a stable word for machines; message, hint (what to do): one line each."""

    name: str
    reason: str
    message: str
    hint: str = ""


def find(paths: Sequence[Path]) -> tuple[list[Input], list[RejectedInput]]:
    """Videos and image sequences at or under `paths`, sorted by the bytes of their names, and what was refused.

    A folder that directly holds images and no video is one image sequence; `probe` checks later whether it really is.
    Links are followed to regular files. Below a folder, system files, hidden files and other files are ignored.
    Rejected are pipes, sockets, devices and folders with a video suffix, dangling links, linked folders (but `paths`
    may be links), formats that are not read, and frames beside a video. A file that is given twice is listed once.
    Names are relative to the path in `paths`. Where two inputs would get the same name, names begin with parent
    folders: day1/C0001.MP4 and day2/C0001.MP4.
    """
    input_by_path: dict[str, Input] = {}
    refused: list[RejectedInput] = []
    bases = {
        top: top for top in (Path(os.path.abspath(path)) for path in paths)
    }  # the folder that the names below each path are relative to
    while True:
        items = [(top, item) for top, base in bases.items() for item in _walk(top, base, is_argument=True)]
        clashes = _tops_with_equal_names(items)
        if all(bases[top] == bases[top].parent for top in clashes):
            break
        bases |= {top: bases[top].parent for top in clashes}
    for _, item in items:
        if isinstance(item, RejectedInput):
            refused.append(item)
        else:
            input_by_path.setdefault(os.path.realpath(item.path), item)
    inputs = sorted(input_by_path.values(), key=lambda item: (item.name.encode(), os.fsencode(item.path)))
    return inputs, sorted(set(refused), key=lambda item: (item.name.encode(), item.reason))


def _tops_with_equal_names(items: list[tuple[Path, Input | RejectedInput]]) -> set[Path]:
    """The paths of the user below which different items have the same name."""
    tops: dict[str, dict[str, Path]] = {}
    for top, item in items:
        place = os.path.realpath(item.path) if isinstance(item, Input) else str(top)
        tops.setdefault(item.name, {})[place] = top
    return {top for places in tops.values() if len(set(places.values())) > 1 for top in places.values()}


def find_clips(words: Sequence[str | Path]) -> tuple[list[Input], list[RejectedInput]]:
    """As `find`, with the capture rates that the user gave, as `a.mp4@960` or in a clips.toml beside the files.

    Raises UsageError, RecipeError.
    """
    named = [capture_rates.split(word) for word in words]
    inputs, refused = find([each.path for each in named])
    return capture_rates.assign(inputs, named), refused


def _walk(path: Path, top: Path, is_argument: bool = False) -> Iterator[Input | RejectedInput]:
    try:
        kind = listing.kind_of(path)
        if kind == listing.LINKED_FOLDER and is_argument:
            kind = listing.FOLDER
        if kind == listing.FOLDER and path.suffix.lower() not in VIDEO_SUFFIXES:
            yield from _walk_folder(path, top)
        else:
            yield from _judge(path, kind, top, is_argument)
    except OSError as error:
        name = safe_name(path, top)
        yield RejectedInput(name, "unreadable", f"{name}: {error.strerror}", "check the path and its permissions")


def _walk_folder(folder: Path, top: Path) -> Iterator[Input | RejectedInput]:
    children = listing.entries(folder)
    files = [child.path for child in children if child.kind not in (listing.FOLDER, listing.LINKED_FOLDER)]
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    images = [path for path in files if path.suffix.lower() in (*IMAGE_SUFFIXES, *OTHER_IMAGES)]
    if images and videos:
        yield from _beside_video(folder, top, images, videos)
    elif any(path.suffix.lower() in IMAGE_SUFFIXES for path in images):
        yield Input(folder, safe_name(folder, top), "images")
    elif images:
        name, first = safe_name(folder, top), images[0]
        message = f"{name}: {first.suffix.lower()} images ({safe_name(first, first)}) are not read"
        yield RejectedInput(name, "format", message, CONVERT)
    for path, kind in children:
        if kind == listing.FOLDER and path.suffix.lower() not in VIDEO_SUFFIXES:
            yield from _walk(path, top)
        else:
            yield from _judge(path, kind, top)


def _judge(path: Path, kind: str, top: Path, is_argument: bool = False) -> Iterator[Input | RejectedInput]:
    """The input, usable or not, at a path that is no folder to enter. is_argument: the user gave this very path."""
    suffix = path.suffix.lower()
    other = (*names.OTHER_VIDEO, *names.CAMERA_RAW_VIDEO)
    if not is_argument and kind != listing.LINKED_FOLDER and suffix not in (*VIDEO_SUFFIXES, *other):
        return
    name = safe_name(path, top)
    if suffix in VIDEO_SUFFIXES and kind == listing.FILE:
        yield Input(path, name, "video")
    elif kind == listing.DANGLING:
        yield RejectedInput(name, "dangling", f"{name}: a {kind}", FETCH)
    elif suffix in VIDEO_SUFFIXES:
        folders = (listing.FOLDER, listing.LINKED_FOLDER)
        yield RejectedInput(name, "not-regular", f"{name}: a {kind}, not a regular file; it was not opened",
                      UNLIKE_A_VIDEO if kind in folders else "give the file itself")  # fmt: skip
    elif kind == listing.LINKED_FOLDER:
        yield RejectedInput(name, "not-regular", f"{name}: a link to a folder; it was not followed",
                      "name that folder among the inputs")  # fmt: skip
    elif kind == listing.FILE and suffix in names.OTHER_VIDEO:
        yield RejectedInput(name, "format", f"{name}: {suffix} is not a container that is read", REWRAP)
    elif kind == listing.FILE and suffix in names.CAMERA_RAW_VIDEO:
        yield RejectedInput(name, "format", f"{name}: {suffix} is a camera's raw video, which is not read", DEVELOP)
    elif is_argument:
        yield RejectedInput(name, "format", f"{name}: neither a folder nor one of {' '.join(VIDEO_SUFFIXES)}",
                      "give videos, or folders of videos or of frames")  # fmt: skip


def _beside_video(folder: Path, top: Path, images: list[Path], videos: list[Path]) -> Iterator[RejectedInput]:
    """Reject frames beside a video, since nobody knows which are meant; posters and a single image are ignored."""
    images = _without_posters(images, videos)
    if len(images) > 1:
        name, first, video = safe_name(folder, top), images[0], videos[0]
        message = (f"{name}: {len(images)} images ({safe_name(first, first)}, …) beside the video "
                   f"{safe_name(video, video)} are not used")  # fmt: skip
        yield RejectedInput(name, "mixed", message, OWN_FOLDER)
    elif images and images[0].suffix.lower() not in IMAGE_SUFFIXES:
        name = safe_name(images[0], top)
        yield RejectedInput(name, "format", f"{name}: {images[0].suffix.lower()} images are not read", CONVERT)


def _without_posters(images: list[Path], videos: list[Path]) -> list[Path]:
    """The images that are no poster of a video. A poster has the video's name, or is the only image whose name begins
    with it, such as C0001T01.JPG or C0001.MP4.jpg for C0001.MP4."""
    stems = {path.stem.casefold() for path in videos}
    longest = {path: max(filter(path.stem.casefold().startswith, stems), key=len, default=None) for path in images}
    counts = Counter(longest.values())
    return [
        path
        for path, stem in longest.items()
        if path.stem.casefold() not in stems and (stem is None or counts[stem] > 1)
    ]


def digest(source: Input) -> str:
    """sha256 of a video's bytes, or of the sorted (name, sha256) lines of an image sequence; lower-case hex.

    Raises OSError where a file cannot be read.
    """
    return atomic.sha256(source.path) if source.kind == "video" else digest_of(image_files(source.path))


def digest_of(files: Sequence[Path]) -> str:
    """sha256 of the sorted (name, sha256) lines of the images of one folder; lower-case hex. Raises OSError."""
    lines = sorted(os.fsencode(file.name) + b"\0" + atomic.sha256(file).encode() for file in files)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
