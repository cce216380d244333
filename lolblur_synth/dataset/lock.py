"""One build owns an output folder; shards share it, each under its own number.

The operating system drops the lock when the process dies, so a killed build leaves nothing to clean by hand.
The text beside the lock only tells a person who holds it.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lolblur_synth.errors import Locked

PATIENCE = 1.0  # seconds; a shard that is starting holds the gate for a moment


@contextlib.contextmanager
def hold(state: Path, shard: tuple[int, int] = (1, 1)) -> Iterator[None]:
    """Own `state` for the block. Raises Locked, naming the owner, when another live build has it."""
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
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=0.02)
    except Timeout:
        raise Locked(
            f"{path.parent.parent} is being built by {_owner(path)}", "wait for it to end, or stop it"
        ) from None
    return lock


def _sign(path: Path) -> None:
    text = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    path.with_suffix(".owner").write_text(json.dumps(text))


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.with_suffix(".owner").read_text())
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
