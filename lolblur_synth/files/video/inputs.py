"""What the user pointed at: videos and folders of frames, found without opening anything.

Nothing here decodes. Names are for people and for JSON: relative, with `/`, one line, valid Unicode. They are never
used to make an output path.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lolblur_synth.files import atomic, capture_rates, listing
from lolblur_synth.files.listing import FETCH
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

    fps: the capture rate in frames/s that the user gave this clip, where they did (`find_clips`).
    """

    path: Path
    name: str
    kind: str
    fps: float | None = None


@dataclass(frozen=True)
class RejectedInput:
    """Something that looked like an input and was not opened. `reason` is a stable word; `message` and `hint`, what to
    do about it, are one line each."""

    name: str
    reason: str
    message: str
    hint: str = ""


def find(paths: Sequence[Path]) -> tuple[list[Input], list[RejectedInput]]:
    """Videos and image sequences at or under `paths`, sorted by the bytes of their names, and what was refused.

    A folder that directly holds images and no video is one image sequence; whether its frames are one is for `probe`.
    Links are followed to regular files. System files, hidden ones and files of other kinds are passed over, but what is
    given by name is used. Refused are pipes, sockets, devices and folders that carry a video suffix, links that end
    nowhere, linked folders (a folder that is given may be a link), formats that are not read, and frames that lie
    beside a video. The same file given twice is listed once.
    A name is relative to the path that was given; where two given paths would lead to the same name, it begins further
    up: day1/C0001.MP4 and day2/C0001.MP4.
    """
    found: dict[str, Input] = {}
    refused: list[RejectedInput] = []
    bases = {top: top for top in (Path(os.path.abspath(path)) for path in paths)}  # what names are relative to
    while True:
        items = [(top, item) for top, base in bases.items() for item in _walk(top, base, given=True)]
        alike = _alike(items)
        if all(bases[top] == bases[top].parent for top in alike):
            break
        bases |= {top: bases[top].parent for top in alike}
    for _, item in items:
        if isinstance(item, RejectedInput):
            refused.append(item)
        else:
            found.setdefault(os.path.realpath(item.path), item)
    inputs = sorted(found.values(), key=lambda item: (item.name.encode(), os.fsencode(item.path)))
    return inputs, sorted(set(refused), key=lambda item: (item.name.encode(), item.reason))


def _alike(items: list[tuple[Path, Input | RejectedInput]]) -> set[Path]:
    """The given paths under which different items have the same name."""
    tops: dict[str, dict[str, Path]] = {}
    for top, item in items:
        place = os.path.realpath(item.path) if isinstance(item, Input) else str(top)
        tops.setdefault(item.name, {})[place] = top
    return {top for places in tops.values() if len(set(places.values())) > 1 for top in places.values()}


def find_clips(words: Sequence[str | Path]) -> tuple[list[Input], list[RejectedInput]]:
    """As `find`, for inputs that may be named with a capture rate, `a.mp4@960`, or listed in a clips.toml beside them.

    Raises UsageError, RecipeError.
    """
    named = [capture_rates.split(word) for word in words]
    inputs, refused = find([each.path for each in named])
    return capture_rates.assign(inputs, named), refused


def _walk(path: Path, top: Path, given: bool = False) -> Iterator[Input | RejectedInput]:
    try:
        kind = listing.kind_of(path)
        if kind == listing.LINKED_FOLDER and given:
            kind = listing.FOLDER
        if kind == listing.FOLDER and path.suffix.lower() not in VIDEO_SUFFIXES:
            yield from _walk_folder(path, top)
        else:
            yield from _judge(path, kind, top, given)
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


def _judge(path: Path, kind: str, top: Path, given: bool = False) -> Iterator[Input | RejectedInput]:
    """What a name in a folder is, or a path that was given, if it is no folder to walk through."""
    suffix = path.suffix.lower()
    other = (*names.OTHER_VIDEO, *names.CAMERA_RAW_VIDEO)
    if not given and kind != listing.LINKED_FOLDER and suffix not in (*VIDEO_SUFFIXES, *other):
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
    elif given:
        yield RejectedInput(name, "format", f"{name}: neither a folder nor one of {' '.join(VIDEO_SUFFIXES)}",
                      "give videos, or folders of videos or of frames")  # fmt: skip


def _beside_video(folder: Path, top: Path, images: list[Path], videos: list[Path]) -> Iterator[RejectedInput]:
    """Whether frames beside a video are meant is not guessed. Posters of videos, and a single picture, are no clip."""
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
    """The images but those that show what a video holds: of its very name, or the only one whose name begins with the
    video's, such as C0001T01.JPG or C0001.MP4.jpg for C0001.MP4."""
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
