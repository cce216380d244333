"""Files of object stores and other file systems that fsspec knows by a URL: s3://bucket/folder, gs://…, sftp://….

The one place that uses the network, and only for a URL that the user names. fsspec, and the package that it needs for a
protocol, are imported when such a URL is used. What goes wrong in a store is raised as StoreError, in one line.
"""

import contextlib
import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lolblur_synth.errors import InputError, UsageError

URL = re.compile(r"[a-z][a-z0-9+.-]*(::[^/]*)?://", re.IGNORECASE)
CREDENTIALS = re.compile(r"(?<=://)[^/@]*:[^/@]*@")  # user:password@
VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "created")
PAUSES = (2.0, 10.0, 60.0, 120.0)  # s before further tries
TRIES = "LOLBLUR_STORE_TRIES"  # in the environment: how often a download is tried, 1 to 5
INSTALL = "pip install 'lolblur-synth[remote]'"
BUCKETS = frozenset(("s3", "gs", "gcs", "abfs", "az", "adl", "oss", "b2"))  # protocols of object stores
AGAIN = "check the network, then run the same command again: it continues"
CHECK_RIGHTS = "check the credentials of this machine and the rights of the bucket"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DENIED = ("PermissionError", "NoCredentialsError", "PartialCredentialsError", "AuthenticationException",
          "ProfileNotFound", "TokenRetrievalError")  # fmt: skip


class StoreError(InputError):
    """A store does not give or take a file. reason: "missing", "denied" or "network"."""

    @property
    def stops(self) -> bool:
        """Whether other files would fail in the same way, so that going on with them makes no sense."""
        return self.reason != "missing"


class Found(NamedTuple):
    """A file of a store. name: below the URL that was listed, "" for that URL itself; size: bytes; version: changes
    when the content does, such as the ETag of S3 or the time of the last write."""

    name: str
    size: int
    version: str


class Remote(NamedTuple):
    """Where an input of the user lies. version: of all of its files together; beside: URLs and local paths of the small
    files beside it that may tell its capture rate or its picture."""

    url: str
    version: str
    beside: tuple[tuple[str, str], ...] = ()


def is_url(word: str | os.PathLike) -> bool:
    """Whether the user named a URL, not a path of this machine."""
    return isinstance(word, str) and URL.match(word) is not None


def as_word(text: str) -> str | Path:
    """What the user typed: a URL as it is, anything else as a path."""
    return text if is_url(text) else Path(text)


def shown(url: str) -> str:
    """The URL for a message: without a password and without a query, which may be a signature."""
    return CREDENTIALS.sub("", url.partition("?")[0])


def has_secret(url: str) -> bool:
    """Whether a URL tells a password or a signature, which no file may keep."""
    return shown(url) != url


def output_folder(out: str | os.PathLike) -> Path:
    """The folder of a dataset as a path. Raises UsageError for a URL."""
    if is_url(out):
        url = shown(str(out))
        raise UsageError(f"the dataset {url} is a URL: datasets are built, and kept, on a disk",
                         f"build into a folder, then: lolblur-synth export FOLDER {url}")  # fmt: skip
    return Path(out)


class Store:
    """A folder, or a file, of a store. Every method raises StoreError."""

    def __init__(self, url: str):
        """Raises UsageError for a URL that no installed package can read, StoreError."""
        self.url = url.rstrip("/")
        if not url.partition("://")[2].strip("/"):
            raise UsageError(
                f"{url}: names no folder", "give the URL of a file or of a folder, such as s3://bucket/night"
            )
        if "::" in url:
            raise UsageError(f"{shown(url)}: URLs in chains are not read", "give the URL of a file or of a folder")
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise UsageError(f"{shown(url)}: fsspec is not installed", INSTALL) from None
        try:
            # Listings are not kept: another program may have changed the store.
            self.system, self.path = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise UsageError(f"{shown(url)}: {error}", f"{INSTALL} (for s3://), or the package named") from None
        except ValueError as error:
            raise UsageError(f"{shown(url)}: {error}", "use s3://, gs://, file:// or another of fsspec's") from None
        except Exception as error:
            raise _in_words(error, self.url) from error

    def files(self) -> list[Found]:
        """Every file at the URL or below it, in the order of the names; none where the bucket has no such folder."""
        with _told(self.url):
            try:
                listed = self.system.find(self.path, detail=True)
            except FileNotFoundError:
                if self._has_buckets():
                    raise
                return []
        found = []
        for path, facts in listed.items():
            if facts.get("type") == "file" and not path.endswith("/"):
                version = next((str(facts[key]) for key in VERSIONS if facts.get(key)), "")
                found.append(Found(self._below(path), int(facts.get("size") or 0), version))
        return sorted(found)

    def _below(self, path: str) -> str:
        return path.removeprefix(self.path).lstrip("/")

    def _has_buckets(self) -> bool:
        """Whether this is an object store: folders come and go with their files there, and buckets are never made."""
        protocol = self.system.protocol
        return bool(BUCKETS.intersection([protocol] if isinstance(protocol, str) else protocol))

    def put(self, name: str, data: bytes) -> None:
        """Write a file below the URL."""
        with _told(f"{self.url}/{name}"):
            self._make_folder(name)
            self.system.pipe_file(f"{self.path}/{name}", data)

    def upload(self, path: Path, name: str) -> None:
        """Write a file of this machine below the URL."""
        with _told(f"{self.url}/{name}"):
            self._make_folder(name)
            self.system.put_file(str(path), f"{self.path}/{name}")

    def _make_folder(self, name: str) -> None:
        if not self._has_buckets():
            self.system.makedirs(f"{self.path}/{name}".rpartition("/")[0], exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file below the URL; None where there is none."""
        with _told(f"{self.url}/{name}"):
            try:
                return self.system.cat_file(f"{self.path}/{name}")
            except FileNotFoundError:
                return None

    def remove(self, name: str) -> None:
        """Remove a file below the URL."""
        with _told(f"{self.url}/{name}"):
            self.system.rm_file(f"{self.path}/{name}")


def download_patiently(url: str, path: Path) -> None:
    """As `download`, tried again for some minutes where the network is lost, which a build of days must outlast."""
    tries = os.environ.get(TRIES, "")
    for pause in PAUSES[: int(tries) - 1 if re.fullmatch("[1-5]", tries) else None]:
        try:
            return download(url, path)
        except StoreError as error:
            if error.reason != "network":
                raise
        time.sleep(pause)
    download(url, path)


def download(url: str, path: Path) -> None:
    """Replace the file `path` by the one at `url`, whole or not at all.

    Raises StoreError, also where not all bytes arrive; OSError for this machine's disk.
    """
    store = Store(url)
    handle, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    os.close(handle)
    try:
        with _told(url, local=part):
            before = store.system.info(store.path)
            store.system.get_file(store.path, part)
            after = store.system.info(store.path)
        size = os.path.getsize(part)
        if size != before.get("size") or size != after.get("size"):
            raise StoreError(f"{shown(url)}: {size} of {after.get('size')} bytes arrived", AGAIN, "network")
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _told(url: str, local: str = "") -> Iterator[None]:
    """Errors in the block become StoreError; but those of the local file stay, such as a full disk."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and local and (error.filename == local or error.errno in DISK_FULL):
            raise
        raise _in_words(error, url) from error


def _in_words(error: Exception, url: str) -> StoreError:
    """Packages of stores raise types of their own; the name of the type tells what it is."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, FileNotFoundError):
        return StoreError(f"{shown(url)}: no such bucket, folder or file", "check the URL", "missing")
    if names & set(DENIED):
        return StoreError(f"{shown(url)}: no permission ({_first_line(error)})", CHECK_RIGHTS, "denied")
    return StoreError(f"{shown(url)}: no proper answer from the store ({_first_line(error)})", AGAIN, "network")


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return CREDENTIALS.sub("", text)[:160]
