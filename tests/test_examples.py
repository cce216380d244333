"""Each file of examples/ runs, at a small size, and does what it says; the pages show what the files hold."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import run_here
from tiny_pairs import TINY, write_pairs

from lolblur_synth import cli, recipes
from lolblur_synth.dataset import verify
from lolblur_synth.dataset.pair_folders import find_pairs
from lolblur_synth.dataset.pairs import read_pair
from lolblur_synth.metrics.image_quality import psnr_rgb
from lolblur_synth.models.lednet import enhance, load
from lolblur_synth.training.lednet import train_lednet

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SMALL = [
    "resize.width=96",
    "resize.height=64",
    "dataset.pairs=2",
    "dataset.test_fraction=0",
    "skip=denoise,interpolate",
]


@pytest.fixture
def videos(street_videos, tmp_path) -> Path:
    """One short video."""
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(street_videos / "a.mp4", folder)
    return folder


def test_every_example_is_listed():
    listed = re.findall(r"\]\(([\w./]+)\)", (EXAMPLES / "README.md").read_text())
    files = {path.relative_to(EXAMPLES).parts[0] for path in EXAMPLES.rglob("*") if "__pycache__" not in path.parts}
    files -= {"README.md", "first-dataset"}
    assert files == {name.split("/")[0] for name in listed if not name.startswith("..")}


def test_ten_lines_build_and_load(videos, tmp_path, monkeypatch, capsys):
    script = EXAMPLES / "ten_lines.py"
    lines = [
        line for line in script.read_text().splitlines() if line and not line.startswith(('"""', "import", "from"))
    ]
    assert len(lines) <= 10
    run_here.patch(monkeypatch)
    monkeypatch.setattr(sys, "argv", [str(script), str(videos), str(tmp_path / "out"), *SMALL])
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 pairs built, 0 were there, 0 failed"
    assert said[1].startswith("(2, 3, 64, 64): ")


def test_the_page_shows_the_fog_that_is_run():
    page = (ROOT / "docs/extending.md").read_text()
    assert (EXAMPLES / "fog/fog.py").read_text() in page
    assert len([line for line in (EXAMPLES / "fog/fog.py").read_text().splitlines() if line]) <= 20


def test_the_recipe_of_the_fog_example_is_whole():
    """What a build makes of it: tests/test_user_stage_builds.py."""
    recipe = recipes.import_stages(recipes.load(str(EXAMPLES / "fog/fog.toml")))
    assert dict(recipe.stages[0].values)["density"] == (0.2, 0.5)


def slurm_task(number: int, program: str, words: list, folder: Path) -> None:
    """Run the script as Slurm runs task `number` of an array 3-4; program: the shell line of `lolblur-synth`."""
    path = folder / "bin/lolblur-synth"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    env = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_ID": str(number),
           "SLURM_CPUS_PER_TASK": "1", "PATH": f"{path.parent}:{os.environ['PATH']}"}  # fmt: skip
    command = [EXAMPLES / "slurm_array.sh", *words]
    subprocess.run(command, env=os.environ | env, check=True, capture_output=True, timeout=120)


def test_tasks_of_a_slurm_array_get_a_share_each(tmp_path):
    """The words that the program gets are words that it takes."""
    shares = []
    for number in (3, 4):
        slurm_task(number, f"printf '%s\\n' \"$@\" > {tmp_path}/words", ["my videos", "out", "--pairs", "2"], tmp_path)
        command, *words = (tmp_path / "words").read_text().splitlines()
        taken = cli.main.commands[command].make_context(command, words).params
        shares.append(taken["shard"])
        assert taken["paths"] == ("my videos", "out")
        assert (taken["pairs"], taken["jobs"]) == (2, 1)
    assert shares == [(1, 2), (2, 2)]


@pytest.mark.slow
def test_tasks_of_a_slurm_array_make_one_dataset(street_videos, tmp_path):
    out, done = tmp_path / "out", []
    options = [word for setting in SMALL for word in ("--set", setting)]
    for number in (3, 4):
        program = f'exec {sys.executable} -m lolblur_synth.cli "$@"'
        slurm_task(number, program, [street_videos, out, *options], tmp_path)
        done.append(verify.status(out)["done"])
    assert done == [2, 4]
    assert verify.verify(out) == []


def cells() -> list[str]:
    """The code of the notebook."""
    notebook = json.loads((EXAMPLES / "first_dataset.ipynb").read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_cells_of_the_notebook_run_in_order(tmp_path, monkeypatch):
    run_here.patch(monkeypatch)
    monkeypatch.chdir(tmp_path)
    values: dict = {}
    for number, cell in enumerate(cells()):
        exec(compile(cell, f"cell {number}", "exec"), values)
    assert values["summary"].built == 4
    assert values["low"].shape == (3, 160, 280)
    assert (values["blurred"] - values["high"]).abs().max() > 0.05
    assert (values["first"] - values["second"]).abs().max() > 0.02
    assert values["Picture"](values["low"])._repr_png_().startswith(b"\x89PNG")


def test_the_notebook_is_stored_without_outputs():
    notebook = json.loads((EXAMPLES / "first_dataset.ipynb").read_text())
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")


@pytest.mark.extra
def test_the_notebook_runs_in_jupyter(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / "first_dataset.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in str(output)]
    assert len(pictures) == 3


def test_the_network_is_trained_and_restores(tmp_path):
    data, spec = write_pairs(tmp_path / "data"), f"{EXAMPLES / 'unet.py'}:UNet"
    options = {name: value for name, value in TINY.items() if name != "width"} | {"network": spec, "quiet": True}
    result = train_lednet(data, tmp_path / "run", iterations=30, lr=2e-3, **options | {"crop": 24})
    net, value_range = load(result["weights"], network=spec)
    low, high = (frame[None] for frame in read_pair(find_pairs(data, "train")[0]))
    before, after = (psnr_rgb(frame, high).item() for frame in (low, enhance(net, low, value_range)))
    assert after > before + 3, "in 30 steps it has learnt to brighten"
    assert len(EXAMPLES.joinpath("unet.py").read_text().splitlines()) < 30
