"""The dataset on disk: its folders, its state, and the commit of a pair.

    OUT/{train,test}/{low_blur_noise,low_blur,low_sharp,high_sharp_scaled,high_sharp_original}/0000/0000.png
    OUT/manifest.jsonl  OUT/recipe.toml
    OUT/.lolblur/pairs/{train,test}/0000/0000.json    one record a pair: the record is the commit
    OUT/.lolblur/failed/0000/0000.json                pairs that could not be built, with the reason
    OUT/.lolblur/tmp/                                 staged files of pairs in flight

Commit protocol: stage the five images, fsync, rename each into its folder, fsync the folders, then write the record in
the same way. An image without a record does not count; overwriting it is harmless, since its content is deterministic.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth.errors import ForeignOutput, InputError, NoSpace
from lolblur_synth.files import atomic, listing

FOLDERS = ("low_blur_noise", "low_blur", "low_sharp", "high_sharp_scaled", "high_sharp_original")
SPLITS = ("train", "test")
STATE = ".lolblur"
FAST_LEVEL = 3  # of PNG compression; above it, what repeats at a distance is sought, which photographs hardly have
FAST = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # from OpenCV 4.12 on; before, each row is filtered in five ways
    FAST += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH]
NUMBER = re.compile(r"\d{4,9}", re.ASCII)  # names of sequences and frames; no other name becomes part of a path
TOKEN = secrets.token_hex(4)  # tells processes of two machines apart, whose numbers may be the same
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # full disk, quota, limit of a file's size


class Disk:
    """The four operations through which every byte of a dataset goes; tests replace them to inject failures."""

    def write(self, path: Path, data: bytes) -> None:
        """Create path with data and force it to the disk. A short write is an error, never a torn file."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def fsync(self, folder: Path) -> None:
        """Make the renames inside a folder durable."""
        atomic.force(folder)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)


disk = Disk()


def mine() -> str:
    """The beginning of the names of temporary files of this process."""
    return f"{os.getpid()}-{TOKEN}"


def write_atomic(out: Path, path: Path, data: bytes) -> None:
    """Write a file of the dataset whole or not at all, as `files.atomic.write`, but by `disk` and in OUT/.lolblur/tmp/.

    Raises NoSpace, OSError.
    """
    temporary = out / STATE / "tmp" / f"{mine()}-{path.name}"
    try:
        own_folder(out, temporary.parent)
        own_folder(out, path.parent)
        disk.write(temporary, data)
        disk.rename(temporary, path)
        disk.fsync(path.parent)
    except OSError as error:
        try:
            disk.unlink(temporary)
        except OSError:
            pass  # the first error is the one to report
        raise_no_space(error, path)
        raise


def clean(out: Path) -> None:
    """Remove the files that an interrupted build left staged. No other build or shard may be running on `out`."""
    shutil.rmtree(out / STATE / "tmp", ignore_errors=True)


def raise_no_space(error: OSError, path: Path) -> None:
    """Turn "no space left" (also a quota or a file-size limit) into NoSpace; leave every other error alone."""
    if error.errno in FULL:
        free = shutil.disk_usage(path.parent if path.parent.exists() else "/").free
        raise NoSpace(
            f"no space left for {path} ({free / 1e6:.0f} MB free)",
            "free some space, then run the same command again: it continues",
        ) from error


def image_path(out: Path, split: str, folder: str, sequence: str, name: str) -> Path:
    return out / split / folder / sequence / f"{name}.png"


def record_path(out: Path, split: str, sequence: str, name: str) -> Path:
    return out / STATE / "pairs" / split / sequence / f"{name}.json"


def failure_path(out: Path, sequence: str, name: str) -> Path:
    return out / STATE / "failed" / sequence / f"{name}.json"


def encode_png(pixels: np.ndarray, level: int) -> bytes:
    """(H, W, 3) uint8 RGB -> PNG bytes. level: 0..9; 1 to FAST_LEVEL give the same file."""
    how = FAST if 1 <= level <= FAST_LEVEL else []
    ok, data = cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, level, *how])
    if not ok:
        raise InputError("the PNG encoder refused a frame", "report this as a bug", "encode")
    return data.tobytes()


def checksums(pixels: np.ndarray, data: bytes) -> dict:
    """What `verify` compares: bytes of the file, and pixels, which survive a re-encoding."""
    return {
        "file": hashlib.sha256(data).hexdigest(),
        "pixels": pixel_checksum(pixels),
        "bytes": len(data),
    }


def pixel_checksum(pixels: np.ndarray) -> str:
    """sha256 of (H, W, 3) uint8 RGB pixels, row by row."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def commit(out: Path, record: dict, images: dict[str, np.ndarray], png_level: int, threads: int = 1) -> dict:
    """Write one pair and its record. Returns the record with `sha256` filled in.

    record: has `split`, `sequence` and `name`; images: folder -> (H, W, 3) uint8 RGB; threads: that code PNGs.
    """
    split, sequence, name = record["split"], record["sequence"], record["name"]
    staging = out / STATE / "tmp" / f"{mine()}-{sequence}-{name}"
    encoded, sums = _encoded(images, png_level, threads)
    record = record | {"sha256": sums}
    try:
        own_folder(out, staging)
        for folder in FOLDERS:
            disk.write(staging / folder, encoded[folder])
        for folder in FOLDERS:
            target = image_path(out, split, folder, sequence, name)
            own_folder(out, target.parent)
            disk.rename(staging / folder, target)
            disk.fsync(target.parent)
        target = record_path(out, split, sequence, name)
        own_folder(out, target.parent)
        write_atomic(out, target, to_json(record))
        disk.unlink(failure_path(out, sequence, name))
    except OSError as error:
        raise_no_space(error, out / split)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return record


def _encoded(images: dict[str, np.ndarray], png_level: int, threads: int) -> tuple[dict[str, bytes], dict[str, dict]]:
    """The PNG files and the checksums of images, by folder."""

    def file_of(folder: str) -> tuple[bytes, dict]:
        data = encode_png(images[folder], png_level)
        return data, checksums(images[folder], data)

    if threads == 1:
        files = list(map(file_of, FOLDERS))
    else:
        with ThreadPoolExecutor(threads) as pool:
            files = list(pool.map(file_of, FOLDERS))
    data, sums = zip(*files, strict=True)
    return dict(zip(FOLDERS, data, strict=True)), dict(zip(FOLDERS, sums, strict=True))


def own_folder(out: Path, folder: Path) -> None:
    """Create a folder inside `out`. Raises ForeignOutput where a link would lead writes out of it."""
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(out)):
        raise ForeignOutput(
            f"{folder} is a link that leads out of {out}", "remove the link, or use another output folder"
        )
    folder.mkdir(parents=True, exist_ok=True)


def to_json(value: dict) -> bytes:
    """Canonical JSON: sorted, ASCII, one line; the same value gives the same bytes everywhere."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n").encode()


def from_json(text: str | bytes) -> dict | None:
    """The object in the text; None where it is none that `to_json` could have written: no JSON, nested too deeply, or
    with numbers that are not finite, such as NaN and 1e999."""
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def read_json(path: Path) -> dict | None:
    """The object in a state file; None when it is missing, torn or not an object of `to_json`."""
    try:
        return from_json(path.read_bytes())
    except OSError:
        return None


def are_checksums(sums: object) -> bool:
    """Whether this is the `sha256` of a record: for each folder what `checksums` gives."""
    return isinstance(sums, dict) and all(
        isinstance(entry := sums.get(folder), dict) and isinstance(entry.get("file"), str)
        and isinstance(entry.get("pixels"), str) and isinstance(entry.get("bytes"), int)
        for folder in FOLDERS
    )  # fmt: skip


def records(out: Path) -> Iterator[dict]:
    """Every readable record, in the order of split, sequence and frame."""
    for split in SPLITS:
        for path in _state_files(out / STATE / "pairs" / split):
            record = read_json(path)
            if record is not None:
                yield record


def failures(out: Path) -> Iterator[dict]:
    """Every failure record, in the order of sequence and frame."""
    for path in _state_files(out / STATE / "failed"):
        record = read_json(path)
        if record is not None and isinstance(record.get("sequence"), str) and isinstance(record.get("name"), str):
            yield record


def _state_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*.json") if not listing.is_system(path.name))


def write_failure(out: Path, sequence: str, name: str, failure: dict) -> None:
    """Record why a pair could not be built. The next build tries it again."""
    path = failure_path(out, sequence, name)
    write_atomic(out, path, to_json(failure | {"sequence": sequence, "name": name}))


def is_done(out: Path, split: str, sequence: str, name: str, key: str | None) -> bool:
    """Whether the pair's record has this key and its five images have the recorded sizes."""
    record = read_json(record_path(out, split, sequence, name))
    if record is None or record.get("key") != key:
        return False
    try:
        return all(
            image_path(out, split, folder, sequence, name).stat().st_size == record["sha256"][folder]["bytes"]
            for folder in FOLDERS
        )
    except (OSError, KeyError, TypeError):
        return False
