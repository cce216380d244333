"""What the user pointed at: videos and folders of frames, found without opening anything that is not a plain file.

Nothing here decodes. Names are for people and for JSON: relative, with `/`, one line, valid Unicode. They are never
used to make an output path.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lolblur_synth.video.names import VIDEO_SUFFIXES, safe_name
from lolblur_synth.video.sequence import image_files

SPECIAL = {stat.S_IFLNK: "symlink", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFDIR: "folder",
           stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


@dataclass(frozen=True)
class Input:
    """A video file (kind "video") or a folder that holds one image sequence (kind "images")."""

    path: Path
    name: str
    kind: str


@dataclass(frozen=True)
class Refusal:
    """Something that looked like an input and was not opened. `reason` is a stable word, `message` one line."""

    name: str
    reason: str
    message: str


def find(paths: Sequence[Path]) -> tuple[list[Input], list[Refusal]]:
    """Videos and image sequences at or under `paths`, sorted by the bytes of their names, and what was refused.

    A folder that directly holds images and no video is one image sequence. Hidden files and files of other kinds are
    passed over. Links, pipes, sockets, devices and folders that carry a video suffix are refused, and so are linked
    folders; a folder that is named on the command line may be a link. The same file given twice is listed once.
    """
    found: dict[str, Input] = {}
    refused: list[Refusal] = []
    for path in paths:
        top = Path(os.path.abspath(path))
        for item in _walk(top, top, given=True):
            if isinstance(item, Refusal):
                refused.append(item)
            else:
                found.setdefault(os.path.realpath(item.path), item)
    inputs = sorted(found.values(), key=lambda item: (item.name.encode(), os.fsencode(item.path)))
    return inputs, sorted(set(refused), key=lambda item: (item.name.encode(), item.reason))


def _walk(path: Path, top: Path, given: bool = False) -> Iterator[Input | Refusal]:
    name = safe_name(path, top)
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    try:
        mode = os.stat(path).st_mode if given and not is_video else os.lstat(path).st_mode
        if stat.S_ISDIR(mode) and not is_video:
            yield from _walk_folder(path, top)
        elif is_video and stat.S_ISREG(mode):
            yield Input(path, name, "video")
        elif is_video:
            kind = SPECIAL.get(stat.S_IFMT(mode), "special file")
            yield Refusal(name, "not-regular", f"{name}: a {kind}, not a regular file; it was not opened")
        elif stat.S_ISLNK(mode) and os.path.isdir(path):
            yield Refusal(name, "not-regular", f"{name}: a symlink to a folder; it was not followed")
        elif given:
            yield Refusal(name, "format", f"{name}: neither a folder nor one of {' '.join(VIDEO_SUFFIXES)}")
    except OSError as error:
        yield Refusal(name, "unreadable", f"{name}: {error.strerror}")


def _walk_folder(folder: Path, top: Path) -> Iterator[Input | Refusal]:
    children = [folder / name for name in sorted(os.listdir(folder), key=os.fsencode) if not name.startswith(".")]
    holds_video = any(child.suffix.lower() in VIDEO_SUFFIXES for child in children)
    if not holds_video and image_files(folder):
        yield Input(folder, safe_name(folder, top), "images")
    for child in children:
        yield from _walk(child, top)


def digest(source: Input) -> str:
    """sha256 of a video's bytes, or of the sorted (name, sha256) lines of an image sequence; lower-case hex.

    Raises OSError where a file cannot be read.
    """
    if source.kind == "video":
        return _file_digest(source.path)
    lines = sorted(os.fsencode(path.name) + b"\0" + _file_digest(path).encode() for path in image_files(source.path))
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
