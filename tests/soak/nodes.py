"""Clusters of two nodes on this machine, one of which is killed while a build runs on both."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from conftest import moving_street
from soak.memory import family

from lolblur_synth.files.video import write_video

STARTED, LIMIT = 60.0, 1200.0  # s in which a cluster must answer; in which the first pairs must be committed
NICE = {"RAY_worker_niceness": "0"}  # Ray's own 15 starves a build on a machine that does other work too
PAIRS = ("--size", "96x64", "--pairs", "8", "--test-fraction", "0.5")
CLIPS, FRAMES = 3, 100  # seven tasks or so, each of some seconds: the build outlives the node


def lost(name: str, folder: Path, rng: random.Random) -> dict[str, int]:
    """Build on both nodes, kill one while it makes a pair, let the build end; compare with a build without a cluster.

    Where the build is over before the node could be killed, that is what the round counts.
    """
    from soak import rounds

    videos, out = _footage(folder / "videos"), folder / "out"
    rounds.run("build", videos, folder / "local", *PAIRS, "--jobs", "1")
    expected = rounds.tree(folder / "local")
    nodes, address = (_dask if name == "dask" else _ray)(folder)
    build = ("build", videos, out, *PAIRS, "--backend", name, "--address", address)
    try:
        process = rounds.start(*build)
        killed = _kill_at_work(process, nodes[-1], out, rng)
        code = process.wait(rounds.LIMIT)
        assert code in (0, 3), f"exit code {code}, {rounds.told_by(out)}"
        if code == 3:  # tasks of the lost node that the cluster gave up: the same command builds them
            rounds.run(*build)
        assert rounds.tree(out) == expected
    finally:
        for node in nodes:
            _kill(node)
    return {"nodes killed at work": int(killed), "builds over before the kill": int(not killed),
            "builds that needed a second run": int(code == 3), "pairs lost": 0, "different trees": 0}  # fmt: skip


def _footage(folder: Path) -> Path:
    folder.mkdir()
    for number in range(CLIPS):
        write_video(folder / f"{number}.mp4", moving_street(FRAMES, number), 250)
    return folder


def _kill_at_work(process: subprocess.Popen, node: subprocess.Popen, out: Path, rng: random.Random) -> bool:
    """Kill a node when pairs are committed, others are still to come and a worker process of the build runs on it.

    Returns whether that was so when it was killed, and the build went on to commit other pairs.
    """
    state = out / ".lolblur"
    wanted, deadline = rng.randint(1, 2 * CLIPS), time.monotonic() + LIMIT
    while process.poll() is None:
        assert time.monotonic() < deadline, f"{_count(state)} pairs after {LIMIT:.0f} s"
        if _count(state) >= wanted and any(_is_worker(pid) for pid in family(node.pid)):
            time.sleep(rng.uniform(0, 0.5))
            before, was_working = _count(state), any(_is_worker(pid) for pid in family(node.pid))
            _kill(node)
            planned = sum(len(clip["pairs"]) for clip in json.loads((state / "plan.json").read_text())["clips"])
            return was_working and before < planned and process.poll() is None
        time.sleep(0.02)
    return False


def _count(state: Path) -> int:
    return sum(1 for _ in (state / "pairs").rglob("*.json"))


def _is_worker(pid: int) -> bool:
    """Whether this is a worker process of `parallel/pool.py`."""
    try:
        return b"lolblur_synth.parallel.pool" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _kill(node: subprocess.Popen) -> None:
    """End all processes of a node at once, as where its machine loses power."""
    for pid in family(node.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    node.wait()


def _start(*words: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(words, start_new_session=True, cwd=folder, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=os.environ | NICE)  # fmt: skip


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
