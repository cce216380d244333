"""Small real videos, a command runner, and a build of them that was never interrupted."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cuda_shim import cuda_device  # noqa: F401  a fixture

from lolblur_synth.files.video import write_video

os.environ.setdefault("LOLBLUR_PLAN_CALIBRATE", "0")  # `plan` would measure, and write into the cache of whoever tests
OPTIONS = ["--size", "96x64", "--pairs", "4", "--test-fraction", "0.5", "--jobs", "1"]


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what tests counted, with the seed that repeats it: `record_property("counted", words)`."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    for words in sorted({value for name, value in properties if name == "counted"}):
        terminalreporter.write_line(f"counted: {words}")


def moving_street(frames: int, seed: int, width: int = 96, height: int = 64) -> np.ndarray:
    """(T, H, W, 3) float32: a textured wall that pans, and a lamp that clips."""
    rng = np.random.default_rng(seed)
    wall = rng.random((height // 4 + 2, width // 2 + frames // 4 + 8, 3), dtype=np.float32)
    rows = np.clip(np.arange(height) / 4, 0, wall.shape[0] - 1.001)
    clip = np.empty((frames, height, width, 3), np.float32)
    for t in range(frames):
        columns = (np.arange(width) + 0.7 * t) / 4
        low, share = columns.astype(int), (columns % 1)[:, None]
        line = wall[:, low] * (1 - share) + wall[:, low + 1] * share
        clip[t] = 0.25 + 0.5 * line[rows.astype(int)]
        y, x = np.mgrid[:height, :width]
        lamp = np.exp(-((y - 20) ** 2 + (x - 30 - 0.5 * t) ** 2) / 18.0)[..., None]
        clip[t] = np.clip(clip[t] + 2 * lamp.astype(np.float32), 0, 1)
    return clip


@pytest.fixture(scope="session")
def street_videos(tmp_path_factory) -> Path:
    """A folder of two short 250 fps videos. Not to be written to."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "a.mp4", moving_street(48, 1), 250)
    write_video(folder / "b.mkv", moving_street(40, 2), 250)
    return folder


@dataclass
class Done:
    code: int
    out: str
    err: str
    seconds: float


def command(*words, env: dict | None = None, timeout: float = 120, **popen) -> Done:
    """Run `lolblur-synth` as a user would."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "lolblur_synth.cli", *map(str, words)],
        capture_output=True, text=True, errors="backslashreplace", timeout=timeout, env=os.environ | (env or {}),
        **popen,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


@pytest.fixture(scope="session")
def run():
    return command


@dataclass
class Reference:
    out: Path
    tree: dict[str, str]
    seconds: float


@pytest.fixture(scope="session")
def reference(street_videos, tmp_path_factory) -> Reference:
    """What an uninterrupted build gives, and how long it takes when everything is compiled."""
    from test_dataset import tree

    for attempt in range(2):
        out = tmp_path_factory.mktemp(f"reference{attempt}") / "out"
        done = command("build", street_videos, out, *OPTIONS, timeout=300)
        assert done.code == 0, done.err
    return Reference(out, tree(out), done.seconds)
