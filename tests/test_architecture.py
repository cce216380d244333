"""The rooms and the arrows of DESIGN.md: imports point down only, and randomness and files stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lolblur_synth"
LEVELS = {
    "errors": 0, "recipe": 0, "draw": 0, "frames": 0, "__init__": 0,
    "recipes": 1, "cameras": 1, "images": 1, "video": 1, "dataset": 1, "manifest": 1, "weights": 1, "lock": 1,
    "whole": 1, "bayer": 1, "listing": 1, "rates": 1, "png": 1, "tiff": 1, "colour_profile": 1, "tables": 1,
    "sampling": 1,
    "kernels": 2, "models": 2, "stages": 2, "metrics": 2, "baselines": 2, "realism": 2, "lamps": 2, "calibration": 2,
    "pipeline": 3,
    "plan": 4, "runner": 4, "clusters": 4,
    "training": 5, "work": 5, "builder": 5, "identity": 5, "machine": 5, "verify": 5, "survey": 5, "estimate": 5,
    "single": 5, "report": 5, "steps": 5, "doctor": 5, "evaluate": 5, "restore": 5, "progress": 5, "preview": 5,
    "export": 5, "likeness": 5, "stored": 5, "outputs": 5, "sources": 5, "extras": 5, "photographs": 5, "request": 5,
    "options": 6, "commands": 6, "cli": 6,
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))
STANDARD_ONLY = ("errors", "recipe", "recipes")
MAY_OPEN_FILES = ("recipes", "cameras", "images", "video", "dataset", "manifest", "weights", "lock", "whole", "models")
MAY_OPEN_FILES += ("bayer", "rates")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names of everything the file imports, `lolblur_synth.` included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    here = room(path)
    assert here in LEVELS, f"{path.name} has no room: give it a level here and in DESIGN.md"
    for name in imported(path):
        if name.startswith("lolblur_synth."):
            there = name.split(".")[1]
            if there == "__version__" or there == here != "stages":
                continue
            assert LEVELS[there] <= LEVELS[here], f"{path.name} imports {name}, which lies above it"
            if here == "models":
                assert there != "stages", f"{path.name}: a model knows no stage"
            if here == "stages":
                assert there not in ("video", "images", "dataset", "weights"), f"{path.name}: a stage opens no file"
                assert there != "stages" or path.name == "__init__.py", f"{path.name}: a stage knows no other stage"
        elif here in STANDARD_ONLY:
            assert name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_randomness_only_in_draws(path):
    if path.name == "draw.py" or room(path) == "training":  # training seeds its own generators, see its docstring
        return
    text = path.read_text()
    for word in ("torch.rand", "np.random.seed", "np.random.rand", "np.random.normal", "default_rng", "manual_seed"):
        assert word not in text, f"{path.name} uses {word}; draw through lolblur_synth.draw"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_only_the_file_rooms_open_files(path):
    if room(path) in MAY_OPEN_FILES or LEVELS[room(path)] >= 4:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        called = node.func if isinstance(node, ast.Call) else None
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        assert name not in ("open", "read_text", "read_bytes", "write_text", "write_bytes", "imread", "imwrite"), (
            path.name
        )


def test_help_imports_neither_torch_nor_opencv():
    code = (
        "import sys; from click.testing import CliRunner; from lolblur_synth.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "assert CliRunner().invoke(main, ['stage', 'darken', '--help']).exit_code == 0\n"
        "loaded = {m.split('.')[0] for m in sys.modules} & {'torch', 'cv2', 'numpy', 'numba', 'av', 'cupy', 'scipy'}\n"
        "sys.exit(f'imported {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_network_at_run_time():
    for path in FILES:
        for name in imported(path):
            assert name.split(".")[0] not in ("requests", "urllib", "http", "socket", "ftplib") or (
                room(path) in ("lock", "clusters") and name == "socket"  # clusters: to the address a user gave
            ), f"{path.name} imports {name}"
