"""What a build costs beside its pairs on this machine: measured once, by a small build of the bundled sample, and kept.

The command starts, imports, hands out work, and ends; that is seconds, whatever the recipe. The file lies in the user's
cache. Its key holds all that these seconds depend on: machine, versions, workers, kind of device.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lolblur_synth import __version__
from lolblur_synth.files import atomic, user_cache

NAME = "calibration.json"
PACKAGES = ("torch", "numba", "numpy", "av", "opencv-python-headless")
WORDS = ["--size", "96x64", "--recipe", "fast", "--json"]  # of the build that is measured


class Overhead(NamedTuple):
    """Seconds of a build, from the command to its end, beside survey and pairs: until it reads the inputs, until its
    workers have started, and after its last pair."""

    begin: float
    workers: float
    end: float


GUESSED = Overhead(2.5, 3.0, 0.5)  # measured on two slow cores


def measured(jobs: int, device: str) -> Overhead | None:
    """What an earlier calibration of this machine measured, with these versions; None where there was none."""
    values = _read().get(key(jobs, device))
    try:
        overhead = Overhead(*map(float, values or ()))
    except (TypeError, ValueError):
        return None
    return overhead if all(0 <= value < 3600 for value in overhead) else None


def measure(jobs: int, device: str) -> Overhead | None:
    """Build the sample with small frames in a temporary folder, and keep what that took. None where it failed."""
    overhead = _timed(jobs, device)
    if overhead is not None:
        known = _read() | {key(jobs, device): list(overhead)}
        try:
            atomic.write(user_cache.folder() / NAME, json.dumps(known, indent=1, sort_keys=True).encode())
        except OSError:
            pass  # without a cache the next plan measures again
    return overhead


def key(jobs: int, device: str) -> str:
    """All that the seconds depend on, in one line."""
    versions = [f"{name} {_version(name)}" for name in PACKAGES]
    machine = [platform.node(), platform.machine(), _processor(), f"{os.cpu_count()} cores"]
    parts = [*machine, f"Python {platform.python_version()}", f"lolblur-synth {__version__}", *versions,
             f"{jobs} workers", device.partition(":")[0]]  # fmt: skip
    return ", ".join(parts)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "-"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _read() -> dict:
    try:
        values = json.loads((user_cache.folder() / NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _timed(jobs: int, device: str) -> Overhead | None:
    moments: dict[str, float] = {}
    first = 0.0  # s that the first pair took
    with tempfile.TemporaryDirectory(prefix="lolblur-") as folder:
        command = [sys.executable, "-m", "lolblur_synth.cli", "build", "--sample", f"{folder}/out", *WORDS, "--jobs",
                   str(jobs), "--device", device]  # fmt: skip
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            for row in process.stdout:
                line, now = json.loads(row), time.perf_counter()
                if line["type"] == "pair":
                    first = first or line["seconds"]
                    moments.setdefault("first pair", now)
                moments[line["type"]] = now
        ended = time.perf_counter()
    if process.returncode or "pair" not in moments:
        return None
    workers = max(0.0, moments["first pair"] - moments["plan"] - first)
    return Overhead(moments["survey"] - started, workers, ended - moments["pair"])
