"""The wheel: small, and enough to build a dataset from an empty environment. Installs packages from a registry."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_BYTES = 20e6  # small enough to be copied to every node of a cluster

pytestmark = pytest.mark.slow


def call(*words, **options) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([*map(str, words)], capture_output=True, text=True, env=env, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "lolblur_synth", folder / "source/lolblur_synth", ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    done = call(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, folder / "source")
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("no registry of packages can be reached")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("lolblur_synth-*.whl"))


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size < MAX_BYTES


def test_it_builds_the_sample_from_an_empty_environment(wheel, tmp_path):
    call(sys.executable, "-m", "venv", tmp_path / "venv")
    installed = call(tmp_path / "venv/bin/python", "-m", "pip", "install", "-c", ROOT / "constraints.txt", wheel)
    assert installed.returncode == 0, installed.stderr
    program = tmp_path / "venv/bin/lolblur-synth"
    done = call(program, "build", "--sample", "out", "--pairs", "1", "--size", "96x64", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/train/low_blur_noise").rglob("*.png"))) == 1
    assert call(program, "verify", "out", cwd=tmp_path).stdout == "no damage\n"
