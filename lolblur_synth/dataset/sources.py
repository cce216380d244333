"""The VIDEOS of a user as files of this machine, those in object stores (files/remote.py) included.

A store is listed once. A folder of empty files with the same names then stands for it, so that inputs are found, named
and judged as on a disk. A worker that needs a video downloads it into its empty file (`fetch`): once to survey it, and
once to build its pairs; when these are done the file is emptied again. So no more videos lie on the disk than are being
worked on, and the dataset is the same as from a local copy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from lolblur_synth.dataset import layout
from lolblur_synth.errors import InputError, UsageError
from lolblur_synth.files import capture_rates, remote

if TYPE_CHECKING:  # importing files.video takes seconds
    from lolblur_synth.files.video import Input, RejectedInput

Inputs = tuple[list["Input"], list["RejectedInput"]]
Word = str | Path  # a URL, or a path of this machine
MAX_BESIDE = 1 << 20  # bytes of a file beside a video that is read for its capture rate or its picture
FORBIDDEN = ("", ".", "..")  # as a part of a name in a store, which becomes a path here


class Sources:
    """The VIDEOS that a user named, with the stores among them listed."""

    def __init__(self, words: Sequence[Word]):
        """Lists the stores. Raises UsageError for a URL that cannot be read here, InputError where it has no files."""
        self.words = list(words)
        self.listed: dict[str, list[remote.Found]] = {}  # by URL
        for word in words:
            if isinstance(word, str) and remote.is_url(word):
                url = _without_rate(word)[0]
                if url.lower().startswith("memory:"):
                    raise UsageError(f"{url}: memory:// is seen by one process alone, and workers are others",
                                     "copy the videos to a folder, or to a store")  # fmt: skip
                self.listed[url] = remote.Store(url).files()
                if not self.listed[url]:
                    hint = "check the URL; in a store a folder is what its files begin with"
                    raise InputError(f"{remote.shown(url)}: no such file or folder", hint, "missing")

    @contextlib.contextmanager
    def inputs(self, folder: Path | None = None) -> Iterator[Inputs]:
        """The inputs and what was refused, as `video.find_clips` gives them, while the block runs.

        folder: for the copies of remote files, which no other process uses; by default a temporary one. Removed at the
        end. Raises UsageError, RecipeError, and InputError for a store.
        """
        from lolblur_synth.files import video

        if not self.listed:
            yield video.find_clips(self.words)
            return
        with contextlib.ExitStack() as stack:
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lolblur-")))
            folder = Path(os.path.abspath(folder))
            shutil.rmtree(folder, ignore_errors=True)  # of a build that was killed
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            tops = {url: folder.joinpath(*_parts(url)) for url in self.listed}
            found = _Copies()
            for url, files in self.listed.items():
                found.stand_for(url, files, tops[url])
            words = [self._local(word, tops) for word in self.words]
            inputs, refused = video.find_clips(words)
            yield [found.described(item) for item in inputs], refused

    def _local(self, word: Word, tops: dict[str, Path]) -> Word:
        if not (isinstance(word, str) and remote.is_url(word)):
            return word
        url, rate = _without_rate(word)
        return f"{tops[url]}{rate}"


def _without_rate(word: str) -> tuple[str, str]:
    """URL and "@960" of a word, "" where it names no capture rate."""
    head, at, tail = word.rpartition("@")
    is_rate = bool(at) and capture_rates.rate_of(tail) is not None
    return (head.rstrip("/"), at + tail) if is_rate else (word.rstrip("/"), "")


def _parts(url: str) -> list[str]:
    """The protocol and the names of a URL, as names of folders."""
    protocol, _, place = remote.shown(url).partition("://")
    parts = [protocol.lower(), *filter(None, place.split("/"))]
    if any(not _is_name(part) for part in parts):
        raise UsageError(f"{remote.shown(url)}: a name in it cannot be one of this machine", "give another URL")
    return parts


def _is_name(part: str) -> bool:
    return part not in FORBIDDEN and "\0" not in part and len(os.fsencode(part)) < 256


class _Copies:
    """Empty files that stand for those of stores."""

    def __init__(self) -> None:
        self.urls: dict[Path, tuple[str, remote.Found]] = {}  # by the path of the file here
        self.folders: dict[Path, str] = {}  # URL of each folder
        self.members: dict[Path, list[Path]] = defaultdict(list)  # files of each folder

    def stand_for(self, url: str, files: list[remote.Found], top: Path) -> None:
        """Make the empty files. A clips.toml, which tells capture rates, is downloaded at once."""
        for found in files:
            names = found.name.split("/") if found.name else []
            path = top.joinpath(*names)
            if not all(map(_is_name, names)) or path in self.urls:
                continue  # no name of a file here, so no video that a copy on this machine could have
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            except OSError:
                continue  # one name is a file and a folder, which is possible in a store alone
            self.urls[path] = ("/".join([url, *names]), found)
            self.folders[path.parent] = "/".join([url, *names[:-1]]) if names else url.rpartition("/")[0]
            self.members[path.parent].append(path)
            if path.name == capture_rates.FILE and found.size <= MAX_BESIDE:
                remote.download(self.urls[path][0], path)

    def described(self, item: Input) -> Input:
        """The input, with its URL and its version where it is remote."""
        if item.kind == "video" and item.path in self.urls:
            url, found = self.urls[item.path]
            stem = item.path.stem
            beside = [path for path in (item.path.with_name(f"{stem}{end}") for end in ("M01.XML", "M01.xml", ".json"))
                      if path in self.urls and self.urls[path][1].size <= MAX_BESIDE]  # fmt: skip
            version = _version(url, [found, *(self.urls[path][1] for path in beside)])
            told = remote.Remote(url, version, tuple((self.urls[path][0], str(path)) for path in beside))
            return dataclasses.replace(item, remote=told)
        if item.kind == "images" and item.path in self.folders:
            url, members = self.folders[item.path], [self.urls[path][1] for path in self.members[item.path]]
            return dataclasses.replace(item, remote=remote.Remote(url, _version(url, members)))
        return item


def _version(url: str, files: list[remote.Found]) -> str:
    """Changes when one of the files does: a hash of URL, names, sizes, and ETags or times."""
    return hashlib.sha256(repr((url, sorted(files))).encode()).hexdigest()


def fetch(path: Path, url: str) -> None:
    """Download a video, or the frames of a folder, into their empty files here, unless another worker just did.

    Raises StoreError, after some minutes where the network is lost, and NoSpace and OSError for this machine's disk.
    """
    try:
        with FileLock(path.with_name(f".{path.name}.lock")):
            for file in _files(path):
                if not file.stat().st_size:
                    remote.download_patiently(url if file == path else f"{url}/{file.name}", file)
    except OSError as error:
        layout.raise_no_space(error, path)
        raise


def release(path: Path) -> None:
    """Empty the files again."""
    with contextlib.suppress(OSError):
        for file in _files(path):
            os.truncate(file, 0)


def _files(path: Path) -> list[Path]:
    from lolblur_synth.files import video

    return video.image_files(path) if path.is_dir() else [path]


@contextlib.contextmanager
def at_hand(item: Input) -> Iterator[Input]:
    """An input whose files lie on this machine while the block runs."""
    if item.remote is None:
        yield item
        return
    try:
        for url, path in item.remote.beside:
            remote.download_patiently(url, Path(path))
        fetch(item.path, item.remote.url)
        yield dataclasses.replace(item, remote=None)
    finally:
        release(item.path)
