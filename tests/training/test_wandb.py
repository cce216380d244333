"""Weights & Biases: losses go to a run of the project that was named; without the package, or a log-in, one line says
what to do."""

import importlib.util
import os
import subprocess
import sys
import types

import cv2
import numpy as np
import pytest
from tiny_pairs import TINY, write_pairs

from lolblur_synth.errors import UsageError
from lolblur_synth.training import darken, interpolator, noise
from lolblur_synth.training.lednet import train_lednet

SMALL = {"size": 24, "batch_size": 2, "checkpoint_every": 2, "steps": 2}


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    picture = np.random.default_rng(0).uniform(60, 255, (6, 8, 3))
    file = tmp_path_factory.mktemp("photos") / "a.png"
    cv2.imwrite(str(file), cv2.resize(picture, (240, 200), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8))
    return file


class Run:
    def __init__(self, **options):
        self.options, self.rows, self.exit_code = options, [], None

    def log(self, values, step):
        self.rows.append((step, values))

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def runs(monkeypatch) -> list[Run]:
    """A stand-in for the package: the runs that were begun."""
    begun: list[Run] = []
    module = types.ModuleType("wandb")
    module.init = lambda **options: begun.append(Run(**options)) or begun[-1]
    module.Settings = lambda **settings: settings
    monkeypatch.setitem(sys.modules, "wandb", module)
    return begun


def test_the_losses_of_lednet_go_to_a_run_of_the_project(tmp_path, runs):
    dataset = write_pairs(tmp_path / "data")
    train_lednet(dataset, tmp_path / "run", iterations=4, save_every=2, wandb="night", quiet=True, **TINY)
    (run,) = runs
    assert (run.options["project"], run.options["name"], run.options["group"]) == ("night", "run", "run")
    assert run.options["config"]["iterations"] == 4
    assert [step for step, _ in run.rows] == [2, 4]
    assert {"loss", "lr", "val_psnr_rgb"} <= run.rows[0][1].keys()
    assert run.exit_code == 0


@pytest.mark.parametrize("training", ("darken", "interpolator", "noise"))
def test_the_losses_of_the_other_networks_go_there_too(tmp_path, photo, runs, training):
    if training == "darken":
        darken.train_darken([photo], tmp_path / "a.safetensors", wandb="night", **SMALL)
    elif training == "noise":
        noise.train_noise([photo], tmp_path / "a", wandb="night", **SMALL)
    else:
        options = SMALL | {"size": 64, "batch_size": 1}
        interpolator.train_interpolator([photo], [], tmp_path / "a.safetensors", wandb="night", **options)
    (run,) = runs
    assert [step for step, _ in run.rows] == [1, 2]
    assert all(name.startswith("loss/") for _, values in run.rows for name in values)
    assert run.exit_code == 0


def test_an_interrupted_training_ends_its_run_as_failed(tmp_path, photo, runs):
    def stop(step, losses):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        darken.train_darken([photo], tmp_path / "a.safetensors", wandb="night", report=stop, **SMALL)
    assert runs[0].exit_code == 1


def test_without_the_package_one_line_says_what_to_install(tmp_path, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="wandb is not installed") as caught:
        darken.train_darken([photo], tmp_path / "a.safetensors", wandb="night", **SMALL)
    assert "lolblur-synth[wandb]" in caught.value.hint
    assert not any(tmp_path.iterdir())


def test_what_it_refuses_is_one_line(tmp_path, photo, runs, monkeypatch):
    def init(**options):
        raise RuntimeError("no API key\nconfigured")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    with pytest.raises(UsageError, match="--wandb night: no API key configured") as caught:
        darken.train_darken([photo], tmp_path / "a.safetensors", wandb="night", **SMALL)
    assert "WANDB_MODE=offline" in caught.value.hint


def test_the_package_is_imported_only_where_it_is_asked_for(tmp_path, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    darken.train_darken([photo], tmp_path / "a.safetensors", **SMALL)


@pytest.mark.extra
@pytest.mark.skipif(not importlib.util.find_spec("wandb"), reason="wandb is not installed")
def test_offline_the_run_stays_in_a_folder(tmp_path, photo):
    words = ["train-darken", photo, "-o", tmp_path / "a.safetensors", "--steps", "2", "--wandb", "night"]
    done = subprocess.run([sys.executable, "-m", "lolblur_synth.cli", *map(str, words)], cwd=tmp_path, text=True,
                          capture_output=True, env=os.environ | {"WANDB_MODE": "offline"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    (log,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"loss/exposure" in log.read_bytes()
