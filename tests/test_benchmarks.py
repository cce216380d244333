"""Benchmarks: `make bench` runs every script without arguments; each has a default or says in a line what it lacks."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
TABLES = {  # script -> the functions that its run without arguments calls, in this order
    "denoise": ("added", "quality", "cost"),
    "denoise_cases": ("levels", "ends"),
    "interpolator": ("heldout", "cost"),
}


@pytest.fixture
def imported(monkeypatch):
    """name -> the module of a script; forgotten afterwards, for their names are those of modules elsewhere."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").is_file():
            del sys.modules[name]


@pytest.mark.parametrize("script", TABLES)
def test_without_arguments_a_benchmark_measures_the_bundled_sample(imported, script, monkeypatch):
    module, calls = imported(script), []
    for name in TABLES[script]:
        monkeypatch.setattr(module, name, lambda *args, name=name: calls.append(name))
    if hasattr(module, "clips_of"):
        monkeypatch.setattr(module, "clips_of", lambda paths: {"handheld250": paths[0].stat()})
    monkeypatch.setattr(sys, "argv", [script])
    module.main()
    assert tuple(calls) == TABLES[script]


@pytest.mark.parametrize("script", ["denoise_peer", "round_trip"])
def test_a_benchmark_that_lacks_its_material_says_so_in_one_line_and_succeeds(script):
    done = subprocess.run([sys.executable, FOLDER / f"{script}.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert f"{script}: skipped: it needs" in done.stdout
