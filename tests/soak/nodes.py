"""Clusters of two nodes on this machine, one of which is killed while a build runs on both."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from conftest import OPTIONS

STARTED = 60.0  # s in which a cluster must answer


def lost(name: str, stage: Any, out: Path, rng: random.Random) -> dict[str, int]:
    """Build on both nodes, kill one at a random moment, let the build end; the same command then has nothing to do."""
    from soak import rounds

    nodes, address = (_dask if name == "dask" else _ray)(out.parent)
    build = ("build", stage.videos, out, *OPTIONS, "--backend", name, "--address", address)
    try:
        process = rounds.start(*build)
        _wait_for_plan(process, out)
        time.sleep(rng.uniform(0, stage.seconds / 2))
        was_building = process.poll() is None
        _kill(nodes[-1])
        code = process.wait(rounds.LIMIT)
        assert code in (0, 3), code
        retried = int(code == 3)
        if retried:  # tasks of the lost node that the cluster gave up: the same command builds them
            rounds.run(*build)
        stage.check(out)
    finally:
        for node in nodes:
            _kill(node)
    return {"nodes killed": int(was_building), "builds that needed a second run": retried, "pairs lost": 0,
            "different trees": 0}  # fmt: skip


def _wait_for_plan(process: subprocess.Popen, out: Path) -> None:
    deadline = time.monotonic() + STARTED * 3
    while process.poll() is None and not (out / ".lolblur/plan.json").is_file():
        assert time.monotonic() < deadline, "the videos were not read"
        time.sleep(0.05)


def _kill(node: subprocess.Popen) -> None:
    try:
        os.killpg(node.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    node.wait()


def _start(*words: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(words, start_new_session=True, cwd=folder, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port: int) -> None:
    deadline = time.monotonic() + STARTED
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the cluster does not answer")


def _dask(folder: Path) -> tuple[list[subprocess.Popen], str]:
    port = _port()
    program = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"]
    scheduler = _start(*program, folder=folder)
    _answers(port)
    address = f"tcp://127.0.0.1:{port}"
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    return [scheduler, *(_start(*worker, "--name", f"node{number}", folder=folder) for number in (1, 2))], address


def _ray(folder: Path) -> tuple[list[subprocess.Popen], str]:
    """Two raylets on one host; the second is the one that is killed."""
    port = _port()
    program = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus", "1", "--disable-usage-stats"]
    head = _start(*program, "--head", "--port", str(port), "--include-dashboard", "false", folder=folder)
    _answers(port)
    address = f"127.0.0.1:{port}"
    second = _start(*program, "--address", address, folder=folder)
    time.sleep(10)
    return [head, second], address
