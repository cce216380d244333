"""Files that appear whole or not at all: written beside their place, forced to the disk, renamed. And their sha256.

For everything but the pairs of a dataset, whose protocol in dataset/layout.py also knows records.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """The block writes to the temporary file it is given; then that file is `path`. On an error nothing is left of it.

    Creates the folder. The temporary file has the suffix of `path`. Raises OSError where the file cannot be written.
    """
    path = Path(path)
    make_folder_of(path)
    try:
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix=path.suffix, dir=path.parent)
    except OSError as error:  # names a file that nobody asked for
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    try:
        yield Path(name)
        publish(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_folder_of(path: Path) -> None:
    """Create the folder of a file. Raises OSError: with the name of the file where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{error.filename} is a file, not a folder", str(path)) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def publish(temporary: str | Path, path: Path) -> None:
    """A file that is written becomes `path`: forced to the disk, then renamed. Both lie in one folder."""
    _force(temporary)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
    _force(path.parent)


def write(path: str | Path, data: bytes) -> None:
    """Replace `path` by `data`; a reader, or a crash, sees the old file or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sha256(path: str | Path) -> str:
    """Of the whole file, lower-case hex. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _force(path: str | Path) -> None:
    """fsync a file, or the entries of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
