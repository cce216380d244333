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


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """An empty environment with the wheel and what it needs."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    call(sys.executable, "-m", "venv", venv)
    installed = call(venv / "bin/python", "-m", "pip", "install", "-c", ROOT / "constraints.txt", wheel)
    assert installed.returncode == 0, installed.stderr
    return venv


def test_it_builds_the_sample_from_an_empty_environment(environment, tmp_path):
    program = environment / "bin/lolblur-synth"
    done = call(program, "build", "--sample", "out", "--pairs", "1", "--size", "96x64", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/train/low_blur_noise").rglob("*.png"))) == 1
    assert call(program, "verify", "out", cwd=tmp_path).stdout == "no damage\n"


@pytest.mark.parametrize("flag", ["", "-O"])
def test_it_builds_where_it_cannot_write_beside_itself_and_has_no_network(environment, tmp_path, flag):
    """The environment is mounted read-only, in a space of its own without network; -O drops every assert."""
    python = f"{environment}/bin/python {flag} -m lolblur_synth.cli"
    script = f"""set -e
mount --bind {environment} {environment} && mount -o remount,bind,ro {environment}
! touch {environment}/written 2>/dev/null
! {environment}/bin/python -c 'import socket; socket.create_connection(("127.0.0.1", 9), 1)' 2>/dev/null
{python} build --sample out --pairs 1 --size 96x64
{python} verify out"""
    inner = ["unshare", "--user", "--map-root-user", "--mount", "--net"]
    if call(*inner, "mount", "--bind", environment, environment).returncode:
        pytest.skip("no mounts in a space of its own are allowed here")
    env = os.environ | {"HOME": str(tmp_path), "PYTHONOPTIMIZE": "1" if flag else ""}  # HOME: of a user without caches
    env.pop("PYTHONPATH", None)
    done = subprocess.run([*inner, "sh", "-c", script], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("no damage\n") and len(list((tmp_path / "out/train").rglob("*.png"))) == 5
