"""manifest.jsonl: one line a pair, sorted, made from the records; a pure function of inputs, recipe and seed."""

import re
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from lolblur_synth.dataset import layout
from lolblur_synth.errors import Damaged, ForeignOutput

NAME = "manifest.jsonl"
PAIR = re.compile(r"[0-9]+/[0-9]+")  # clip and frame


def line(record: dict) -> dict:
    """A record as the manifest has it: without the key and what `pair` says already."""
    return {key: value for key, value in record.items() if key not in ("key", "name", "sequence")}


def write(out: Path) -> int:
    """Rewrite the manifest from the records. Returns the number of pairs.

    Shards take turns: the last one finds the records of all, so its manifest is complete.
    """
    lock = out / layout.STATE / "manifest.lock"
    if lock.is_symlink():  # opening it would create or empty the file that it leads to
        raise ForeignOutput(f"{lock} is a link", "remove it, or use another output folder")
    with FileLock(lock):
        lines = [layout.to_json(line(record)) for record in layout.records(out)]
        layout.write_atomic(out, out / NAME, b"".join(lines))
    return len(lines)


def read(out: Path) -> list[dict]:
    """All lines of the manifest. Raises Damaged as `rows`."""
    return list(rows(out))


def rows(out: Path) -> Iterator[dict]:
    """The lines of the manifest, one by one. Raises Damaged, with the number, at a line that does not describe a pair.

    Paths are made from the names of pairs, so other names are rejected: `../..` would lead out of the dataset.
    """
    try:
        with (out / NAME).open(encoding="utf-8") as file:
            for number, row in enumerate(file, 1):
                yield _pair(row, f"{out / NAME}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged(f"{out / NAME}: {error}", "run `lolblur-synth build` again to write it anew") from None


def _pair(row: str, where: str) -> dict:
    pair = layout.from_json(row)
    if pair is None:
        raise Damaged(f"{where}: not a JSON object", "run `lolblur-synth build` again")
    is_pair = pair.get("split") in layout.SPLITS and PAIR.fullmatch(str(pair.get("pair")))
    if not is_pair or ("sha256" in pair and not layout.are_checksums(pair["sha256"])):
        raise Damaged(f"{where}: not the record of a pair", "run `lolblur-synth build` again")
    return pair
