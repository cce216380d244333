"""Where an export goes: a new folder of this machine, or a folder of an object store.

A folder of this machine appears complete or not at all, by a rename. A store has none, so there `export.json` is
written last: an export without it is not complete. Until then `export-unfinished.json` tells which export is being
written, and the same command continues it.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol

from lolblur_synth.dataset import layout
from lolblur_synth.errors import ForeignOutput
from lolblur_synth.files import remote

COMPLETE, UNFINISHED = "export.json", "export-unfinished.json"
UPLOADS = 8  # at a time: a small file costs a store a round trip, not bandwidth
HINT = "check the network, then run the same command again: it continues with the files that are missing"


class Target(Protocol):
    """What the formats of `export` write into. name: relative, with `/`."""

    def write(self, name: str, data: bytes) -> None: ...

    def local(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """A path of this machine at which the block makes the file or the folder `name`."""
        ...


class Folder:
    """A new folder of this machine, whose content is made in a hidden folder beside it."""

    def __init__(self, place: Path):
        self.place = place

    def write(self, name: str, data: bytes) -> None:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path


class StoreFolder:
    """A folder of a store. Files that are there already with the right size are not written again."""

    def __init__(self, store: remote.Store, sizes: dict[str, int], uploads: ThreadPoolExecutor):
        self.store, self.sizes, self.uploads = store, sizes, uploads
        self.flying: set[Future] = set()
        self.files = self.bytes = 0

    def write(self, name: str, data: bytes) -> None:
        self._count(len(data))
        if self.sizes.get(name) != len(data):
            self._settle(2 * UPLOADS)
            self.flying.add(self.uploads.submit(self.store.put, name, data))

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="lolblur-") as folder:
            path = Path(folder, name.rpartition("/")[2])
            yield path
            for file in [path] if path.is_file() else sorted(path.iterdir()):
                below = name if file == path else f"{name}/{file.name}"
                self._count(file.stat().st_size)
                if self.sizes.get(below) != file.stat().st_size:
                    self.store.upload(file, below)

    def _count(self, size: int) -> None:
        self.files += 1
        self.bytes += size

    def _settle(self, most: int) -> None:
        """Wait until less than `most` uploads are under way. Raises what one of them raised."""
        while len(self.flying) >= most:
            done, self.flying = wait(self.flying, return_when=FIRST_COMPLETED)
            for upload in done:
                upload.result()

    def finish(self) -> None:
        """Wait for all uploads."""
        self._settle(1)


def check(target: str | Path) -> None:
    """Raise ForeignOutput where a local target exists. A store is looked at when it is opened."""
    if isinstance(target, Path) and os.path.lexists(target):
        raise ForeignOutput(f"{target} exists", "give a new folder; nothing is overwritten")


@contextlib.contextmanager
def opened(target: str | Path, identity: dict) -> Iterator[Target]:
    """The target, while the block writes the export into it. identity: what the bytes of the export depend on.

    Raises ForeignOutput (the target holds something else, or cannot be written), NoSpace, UsageError.
    """
    if isinstance(target, Path):
        with _new_folder(target) as folder:
            yield folder
        return
    try:
        with _in_store(target, identity) as place:
            yield place
    except remote.StoreError as error:
        raise ForeignOutput(str(error), HINT if error.reason == "network" else error.hint) from error


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Folder]:
    partial = target.with_name(f".{target.name}.partial-{layout.mine()}")
    try:
        partial.mkdir(parents=True)
        yield Folder(partial)
        os.rename(partial, target)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            layout.raise_no_space(error, target)
            if error.filename == str(partial):
                error.filename = str(target)  # the user does not know the temporary folder
        raise


@contextlib.contextmanager
def _in_store(url: str, identity: dict) -> Iterator[StoreFolder]:
    store = remote.Store(url)
    sizes = {found.name: found.size for found in store.files()}
    claim = layout.to_json(identity)
    _check_content(store, sizes, claim)
    store.put(UNFINISHED, claim)
    with ThreadPoolExecutor(UPLOADS) as uploads:
        place = StoreFolder(store, sizes, uploads)
        try:
            yield place
            place.finish()
        except BaseException:
            uploads.shutdown(cancel_futures=True)
            raise
    store.put(COMPLETE, layout.to_json(identity | {"files": place.files, "bytes": place.bytes}))
    store.remove(UNFINISHED)


def _check_content(store: remote.Store, sizes: dict[str, int], claim: bytes) -> None:
    """Raise ForeignOutput unless the folder is empty, or holds the beginning of this very export."""
    url = remote.shown(store.url)
    if COMPLETE in sizes:
        raise ForeignOutput(f"{url} exists and is complete", "give a new folder; nothing is overwritten")
    if not sizes:
        return
    if UNFINISHED not in sizes:
        raise ForeignOutput(f"{url} exists", "give a new folder; nothing is overwritten")
    if store.read(UNFINISHED) != claim:
        raise ForeignOutput(f"{url} holds an unfinished export of another dataset, format or choice of folders",
                            "give a new folder, or remove that one")  # fmt: skip
