"""Lists the content of folders, in the same way for every command. Nothing is opened here.

Hidden files, files of the operating system and thumbnails of cameras are ignored. A symbolic link counts as the regular
file at its end, because data under DVC, git-annex or a Hugging Face cache are links. A linked folder is not entered,
since it may lead back to a folder above it.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lolblur_synth.errors import InputError

SYSTEM_NAMES = frozenset({
    "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",  # Windows
    "__macosx", "icon\r",  # macOS; its other files begin with a dot
    "lost+found", "@eadir", "@recycle", "#recycle", "#snapshot",  # ext4; Synology and QNAP disk stations
    "thmbnl",  # a card of a Sony camera: M4ROOT/THMBNL has one small picture a clip
})  # fmt: skip
FILE, FOLDER, LINKED_FOLDER, DANGLING = "file", "folder", "link to a folder", "link to a file that is not there"
FETCH = "fetch the file (dvc pull, git annex get), or remove the link"  # hint for a dangling link
SPECIAL = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


class Entry(NamedTuple):
    """One name in a folder. kind: FILE (regular, or a link that ends at one), FOLDER, LINKED_FOLDER, DANGLING, or the
    word for a special file, such as "named pipe"."""

    path: Path
    kind: str


def is_system(name: str) -> bool:
    """Whether a file name is hidden (`.DS_Store`, `._0001.png`) or belongs to the operating system (`Thumbs.db`)."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def kind_of(path: Path) -> str:
    """The kind of `path`, as in Entry. Raises OSError where it does not exist, not even as a link."""
    linked = stat.S_ISLNK(os.lstat(path).st_mode)
    try:
        mode = os.stat(path).st_mode
    except OSError:  # the target is missing, or the links form a circle
        if linked:
            return DANGLING
        raise
    if stat.S_ISDIR(mode):
        return LINKED_FOLDER if linked else FOLDER
    return FILE if stat.S_ISREG(mode) else SPECIAL.get(stat.S_IFMT(mode), "special file")


def entries(folder: Path) -> list[Entry]:
    """Everything directly in `folder` but system files, sorted by the bytes of the names. Raises OSError."""
    with os.scandir(folder) as children:
        kinds = {child.name: _kind_of_child(child) for child in children if not is_system(child.name)}
    return [Entry(folder / name, kinds[name]) for name in sorted(kinds, key=os.fsencode)]


def _kind_of_child(child: os.DirEntry) -> str:
    """As `kind_of`; for plain files and folders the directory entry tells it, which is quick on a network disk."""
    if child.is_file(follow_symlinks=False):
        return FILE
    return FOLDER if child.is_dir(follow_symlinks=False) else kind_of(Path(child.path))


def walk(folder: Path) -> Iterator[Entry]:
    """Everything in `folder` and in the folders below it, but system files; links to folders are not entered."""
    for entry in entries(folder):
        yield entry
        if entry.kind == FOLDER:
            yield from walk(entry.path)


def files(folder: Path, suffixes: Sequence[str], below: bool = False) -> list[Path]:
    """The files in `folder` whose name ends in one of `suffixes` (lower case), sorted; with `below`, also deeper ones.

    A folder named `shot.png` does not count. Raises InputError where a folder cannot be listed, and for a dangling link
    with such a suffix: data under version control that were not fetched must not be left out without a message.
    """
    try:
        matches = [entry for entry in (walk(folder) if below else entries(folder))
                 if entry.path.suffix.lower() in suffixes]  # fmt: skip
    except OSError as error:
        place = error.filename or folder
        raise InputError(f"{place}: {error.strerror}", "check the path and its permissions") from error
    for entry in matches:
        if entry.kind == DANGLING:
            raise InputError(f"{entry.path}: a {DANGLING}", FETCH, "dangling")
    return [entry.path for entry in matches if entry.kind == FILE]
