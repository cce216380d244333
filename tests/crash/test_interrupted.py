"""Kill the real command at random moments, resume, compare every byte (reliability T1, T3, T4, T9, T11, T19)."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import OPTIONS
from test_dataset import tree

KILLS_A_ROUND = 5


def start(*words, **popen) -> subprocess.Popen:
    command = [sys.executable, "-m", "lolblur_synth.cli", *map(str, words)]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **popen)


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def kill_group(process: subprocess.Popen, number: int = signal.SIGKILL) -> int:
    os.killpg(process.pid, number)
    return process.wait()


@pytest.mark.parametrize("round_", range(4))
def test_kill_then_resume(round_, street_videos, reference, tmp_path, run):
    rng, out = random.Random(round_), tmp_path / "out"
    for _ in range(KILLS_A_ROUND):
        process = start("build", street_videos, out, *OPTIONS)
        try:
            process.wait(rng.uniform(0.2, reference.seconds))
        except subprocess.TimeoutExpired:
            kill_group(process)
    done = run("build", street_videos, out, *OPTIONS)
    assert done.code == 0, done.err
    assert tree(out) == reference.tree
    assert run("verify", out).code == 0


def test_jobs_shards_locale_and_hash_seed_change_no_byte(street_videos, reference, tmp_path, run):
    options = [word for word in OPTIONS if word not in ("--jobs", "1")]
    env = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Kathmandu"}
    assert run("build", street_videos, tmp_path / "two", *options, "--jobs", "2", env=env).code == 0
    assert tree(tmp_path / "two") == reference.tree
    halves = [
        start("build", street_videos, tmp_path / "shards", *options, "--jobs", "1", "--shard", f"{i}/2") for i in (1, 2)
    ]
    assert [half.wait() for half in halves] == [0, 0]
    assert tree(tmp_path / "shards") == reference.tree


def test_a_second_build_is_refused_at_once(street_videos, tmp_path, run):
    out = tmp_path / "out"
    first = start("build", street_videos, out, *OPTIONS)
    try:
        wait_for((out / ".lolblur" / "lock.owner").exists)
        second = run("build", street_videos, out, *OPTIONS)
        assert second.code == 11 and str(first.pid) in second.err and second.seconds < 15, second
    finally:
        kill_group(first)
    assert run("build", street_videos, out, *OPTIONS).code == 0, "a killed build leaves no lock to clean by hand"


def test_ctrl_c_stops_in_good_order(street_videos, reference, tmp_path, run):
    out = tmp_path / "out"
    process = start("build", street_videos, out, *OPTIONS)
    wait_for(lambda: any((out / ".lolblur" / "pairs").rglob("*.json")))
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    assert process.wait(20) == 130
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    state = json.loads(run("status", out, "--json").out)
    assert 0 < state["done"] < state["planned"]
    assert run("build", street_videos, out, *OPTIONS).code == 0
    assert tree(out) == reference.tree


def test_a_full_disk_stops_cleanly_and_the_same_command_continues(street_videos, reference, tmp_path, run):
    """A file-size limit stands in for a full disk: both fail a write half-way."""
    out = tmp_path / "out"
    script = ("import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
              "from lolblur_synth.cli import main; main()")  # fmt: skip
    words = [sys.executable, "-c", script, "build", str(street_videos), str(out), *OPTIONS]
    env = os.environ | {"NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 13, done.stderr
    assert "no space left" in done.stderr and "MB free" in done.stderr and "Traceback" not in done.stderr
    assert run("build", street_videos, out, *OPTIONS).code == 0
    assert tree(out) == reference.tree


def test_a_killed_worker_costs_nothing(street_videos, reference, tmp_path):
    out = tmp_path / "out"
    process = start("build", street_videos, out, *OPTIONS)
    wait_for(lambda: any((out / ".lolblur" / "pairs").rglob("*.json")))
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    assert children
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    assert process.wait(120) == 0, process.stderr.read()
    assert tree(out) == reference.tree
