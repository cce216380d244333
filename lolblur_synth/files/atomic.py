"""Files that appear whole or not at all: written beside their place, forced to the disk, renamed. And their sha256.

Every file of the package is written this way. Only the files of a dataset go through `dataset/layout.py`, which stages
them in one folder that a later build can clean, and whose four disk operations tests replace to inject failures.
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
    """Gives the block a temporary file to write, and renames it to `path` afterwards; after an error it is removed.

    Creates the folder of `path`. The temporary file has the suffix of `path`. Raises OSError, with the name of `path`.
    """
    path = Path(path)
    make_folder_of(path)
    try:
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix=path.suffix, dir=path.parent)
    except OSError as error:  # it names the temporary file, which the user does not know
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    try:
        yield Path(name)
        publish(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_folder_of(path: Path) -> None:
    """Create the folder of a file. Raises OSError with the name of the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{error.filename} is a file, not a folder", str(path)) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def publish(temporary: str | Path, path: Path) -> None:
    """Force a written file to the disk and rename it to `path`, in the same folder."""
    force(temporary)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
    force(path.parent)


def write(path: str | Path, data: bytes) -> None:
    """Replace the content of `path`; after a crash, and for a reader at any time, it is the old or the new content."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sha256(path: str | Path) -> str:
    """sha256 of a file's bytes, lower-case hex. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def force(path: str | Path) -> None:
    """fsync a file, or the entries of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
