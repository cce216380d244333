"""A training that is killed while it writes a checkpoint: run as a program, it trains and dies there.

python killed_training.py DATA OUT KIND CHECKPOINT      KIND: see `DEATHS`; `none` trains to the end
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tiny_pairs import TINY

from lolblur_synth.files import atomic
from lolblur_synth.training import lednet
from lolblur_synth.training.lednet import train_lednet

OPTIONS = TINY | {"iterations": 8, "save_every": 1, "lr": 1e-3}


def train(data: Path, out: Path) -> None:
    train_lednet(data, out, quiet=True, **OPTIONS)


def _die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _torn(path: Path, data: bytes) -> None:
    """Half of a checkpoint is written, beside its place, as `atomic.write` does."""
    (path.parent / f".writing-torn{path.suffix}").write_bytes(data[: len(data) // 2])
    _die()


def _renamed(temporary: Path, path: Path) -> None:
    os.replace(temporary, path)  # before the folder is forced to the disk, and before earlier checkpoints are dropped
    _die()


DEATHS = {"torn": (atomic, "write", _torn), "written": (atomic, "publish", _die),
          "renamed": (atomic, "publish", _renamed), "step": (lednet.LednetRun, "advance", _die)}  # fmt: skip


def _arm(kind: str, number: int) -> None:
    """Let this process die at the given checkpoint, counted from 1, or in that step."""
    owner, name, death = DEATHS[kind]
    original, count = getattr(owner, name), 0

    def counted(*words, **options):
        nonlocal count
        count += kind == "step" or Path(words[-1 if name == "publish" else 0]).suffix == ".pt"
        return death(*words) if count == number else original(*words, **options)

    setattr(owner, name, counted)


def kill(data: Path, out: Path, kind: str, number: int) -> None:
    """Train in a process of its own, which is killed. Raises AssertionError where it ends in another way."""
    _run(data, out, kind, number, -signal.SIGKILL)


def finish(data: Path, out: Path) -> None:
    """Train to the end, in a process of its own."""
    _run(data, out, "none", 0, 0)


def _run(data: Path, out: Path, kind: str, number: int, code: int) -> None:
    """One thread in each process: another number changes the order of sums."""
    done = subprocess.run([sys.executable, __file__, str(data), str(out), kind, str(number)], timeout=600,
                          capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == code, f"{kind} {number}: exit code {done.returncode}, {done.stderr[-800:]}"


def checkpoints_left(out: Path) -> int:
    """How many a training that goes on in OUT will write, or one more where the newest one is damaged."""
    return OPTIONS["iterations"] - max((int(path.stem) for path in _checkpoints(out)), default=0)


def _checkpoints(out: Path) -> list[Path]:
    return sorted((out / "checkpoints").glob("[0-9]*.pt"))


def damage_newest(out: Path, rng: random.Random) -> str:
    """Tear, empty or change the newest checkpoint, as a disk might. Returns what was done, "" where there is none."""
    files = _checkpoints(out)
    if len(files) < 2:  # with one alone, and that damaged, a training is refused
        return ""
    data, kind = bytearray(files[-1].read_bytes()), rng.choice(["torn", "empty", "flipped"])
    if kind == "flipped":
        data[rng.randrange(len(data) // 4, len(data) // 2)] ^= 1 << rng.randrange(8)
    files[-1].write_bytes(data[: rng.randrange(1, len(data))] if kind == "torn" else b"" if kind == "empty" else data)
    return kind


def result(out: Path) -> tuple[bytes, bytes]:
    """What two equal trainings share: the network, and the losses."""
    return (out / "lednet.safetensors").read_bytes(), (out / "log.csv").read_bytes()


if __name__ == "__main__":
    if sys.argv[3] != "none":
        _arm(sys.argv[3], int(sys.argv[4]))
    train(Path(sys.argv[1]), Path(sys.argv[2]))
