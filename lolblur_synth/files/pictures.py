"""The images that a user means by a path: one file, or a folder and everything below it."""

from collections.abc import Sequence
from pathlib import Path

from lolblur_synth.errors import InputError
from lolblur_synth.files import listing
from lolblur_synth.files.video.names import IMAGE_SUFFIXES


def at(path: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The file itself, whatever it is, or every image in a folder and below it, sorted; there may be none.

    Raises InputError where the path does not exist, or a folder cannot be listed.
    """
    if path.is_dir():
        return listing.files(path, suffixes, below=True)
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder", "give images, or folders of images", "no-input")
    return [path]


def below(folder: Path) -> list[Path]:
    """Every image in a folder and below it, sorted. Raises InputError where there is none."""
    files = at(folder)
    if not files:
        hint = "give a folder of PNG, JPEG, TIFF, EXR or HDR images"
        raise InputError(f"{folder}: no images in this folder", hint, "empty")
    return files
