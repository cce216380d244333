"""The lock on an output folder: one build at a time, or several shards, each with its own number.

The operating system releases the lock when the process ends, so a killed build leaves nothing to clean up. The text
beside the lock tells a person who holds it, nothing else.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lolblur_synth.dataset import layout
from lolblur_synth.errors import ForeignOutput, Locked

LOCK_TIMEOUT = 1.0  # seconds; a shard that starts holds the lock of the whole folder for a moment


@contextlib.contextmanager
def hold(state: Path, shard: tuple[int, int] = (1, 1)) -> Iterator[None]:
    """Hold the lock of `state` in the block. Raises Locked, naming the owner, when another live build holds it."""
    whole = shard == (1, 1)
    gate = _take(state / "lock")
    try:
        if whole:
            for other in sorted(state.glob("shard-*.lock")):
                _take(other).release()
            mine = gate
        else:
            mine = _take(state / f"shard-{shard[0]}-of-{shard[1]}.lock")
            gate.release()
        _sign(Path(mine.lock_file))
        yield
    finally:
        gate.release()
        with contextlib.suppress(UnboundLocalError):
            mine.release()


def _take(path: Path) -> FileLock:
    if path.is_symlink():  # opening it would create or empty the file that it leads to
        raise ForeignOutput(f"{path} is a link", "remove it, or use another output folder")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT, poll_interval=0.02)
    except Timeout:
        raise Locked(
            f"{path.parent.parent} is being built by {_owner(path)}", "wait for it to end, or stop it"
        ) from None
    return lock


def _sign(path: Path) -> None:
    text = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    owner = path.with_suffix(".owner")
    if owner.is_symlink():
        owner.unlink()
    owner.write_text(json.dumps(text))


def _owner(path: Path) -> str:
    owner = layout.read_json(path.with_suffix(".owner")) or {}
    if not {"pid", "host", "since"} <= owner.keys():
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
