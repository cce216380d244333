"""What surrounds a training of LEDNet: presets, the time limit, pictures, and the words at its end."""

import itertools
import logging
import re
import types

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
from click.testing import CliRunner

from lolblur_synth.cli import main
from lolblur_synth.dataset.splits import gather, hold_out
from lolblur_synth.errors import ForeignOutput, UsageError
from lolblur_synth.files import weights
from lolblur_synth.parallel import progress
from lolblur_synth.training import checkpoint, lednet, pictures, presets, time_limit
from lolblur_synth.training.config import PRESETS, LednetConfig, checked, learning_rate
from lolblur_synth.training.distributed import Process
from lolblur_synth.training.lednet import train_lednet

CPU = {"device": "cpu"}
TINY = CPU | {"preset": "paper", "width": 0.125, "crop": 16, "batch": 1, "perceptual": "none", "workers": 0}


def write_pairs(root, clips=3, frames=2, size=(24, 32)):
    """Smooth scenes, and the same dark."""
    generator = np.random.default_rng(0)
    for clip, frame in itertools.product(range(clips), range(frames)):
        high = cv2.resize(generator.random((4, 5, 3)), size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
        for folder, image in (("low_blur_noise", 0.3 * high), ("high_sharp_scaled", high)):
            path = root / f"train/{folder}/{clip:04d}/{frame:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.rint(255 * image).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data"))


# presets


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_values_that_the_options_take(name):
    config = checked(LednetConfig, PRESETS[name])
    assert config.lr_end <= config.lr and config.save_every <= config.iterations


def test_the_paper_is_the_preset_of_the_defaults(tmp_path):
    assert presets.configured({"preset": "paper"} | CPU, tmp_path) == LednetConfig(preset="paper", device="cpu")


def test_without_a_gpu_nobody_starts_the_training_of_the_paper_unawares(tmp_path, caplog):
    config = presets.configured(CPU, tmp_path)
    assert config.preset == "laptop" and config.iterations == PRESETS["laptop"]["iterations"]
    assert "no GPU: --preset laptop" in caplog.text
    caplog.clear()
    presets.configured(CPU | {"preset": "paper"}, tmp_path)
    assert "hundreds of hours" in caplog.text
    caplog.clear()
    presets.configured(CPU | {"preset": "paper", "iterations": "9"}, tmp_path)
    presets.configured(CPU | {"preset": "demo"}, tmp_path)
    presets.configured(CPU, tmp_path, quiet=True)
    assert not caplog.text


def test_on_a_gpu_the_paper_is_trained(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(presets, "resolve_device", lambda device: "cuda")
    assert presets.configured({}, tmp_path) == LednetConfig(preset="paper")
    assert not caplog.text


def test_an_option_that_is_given_wins_over_the_preset(tmp_path):
    config = presets.configured(CPU | {"preset": "demo", "iterations": "7", "vary": False}, tmp_path)
    assert (config.iterations, config.vary) == (7, False)
    assert config.width == PRESETS["demo"]["width"]
    with pytest.raises(UsageError, match="--preset"):
        presets.configured({"preset": "demmo"}, tmp_path)


def test_a_training_goes_on_with_its_own_preset(tmp_path, dataset):
    """Without --preset, on a machine that would choose another one; the header of earlier versions names none."""
    train_lednet(dataset, tmp_path, quiet=True, iterations=1, **TINY)
    assert weights.about(tmp_path / lednet.WEIGHTS)["preset"] == "paper"
    options = {name: value for name, value in TINY.items() if name != "preset"}
    assert train_lednet(dataset, tmp_path, quiet=True, iterations=1, **options)["iteration"] == 1
    net = torch.nn.Linear(1, 1)
    weights.save(net, tmp_path / lednet.WEIGHTS, {})
    assert presets.configured(CPU, tmp_path).preset == "paper"
    weights.save(net, tmp_path / lednet.WEIGHTS, {"preset": ["demo"]})
    assert presets.configured(CPU, tmp_path).preset == "laptop"


# the time limit


def test_the_learning_rate_follows_the_clock_where_that_is_ahead():
    config = LednetConfig(iterations=1000)
    assert learning_rate(config, 100, 0.5) == learning_rate(config, 500)
    assert learning_rate(config, 500, 0.1) == learning_rate(config, 500)
    assert learning_rate(config, 3, 1.0) == pytest.approx(config.lr_end)


@pytest.fixture
def ticking(monkeypatch):
    """A clock that goes on by a second each time it is read."""
    seconds = itertools.count()
    monkeypatch.setattr(time_limit, "time", types.SimpleNamespace(monotonic=lambda: float(next(seconds))))


@pytest.fixture
def rates(monkeypatch):
    """The learning rates of all steps."""
    used, descend = [], lednet.LednetRun.descend

    def noted(run, rate, *words):
        used.append(rate)
        return descend(run, rate, *words)

    monkeypatch.setattr(lednet.LednetRun, "descend", noted)
    return used


def test_the_learning_rate_ends_with_the_time_limit(tmp_path, dataset, ticking, rates, caplog):
    options = TINY | {"iterations": 1000, "lr": 1e-3, "lr_end": 1e-6, "max_minutes": 1}
    done = train_lednet(dataset, tmp_path, quiet=True, **options)
    assert done["iteration"] == len(rates) < 40, "two seconds a step"
    assert rates[0] == pytest.approx(1e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5, "of a cosine over 1000 iterations it would be 99.7 % of the first"
    assert checkpoint.latest(tmp_path / "checkpoints")["seconds"] >= 60
    assert train_lednet(dataset, tmp_path, quiet=True, **options)["iteration"] == done["iteration"]
    assert "a larger --max-minutes goes on" in caplog.text
    more = train_lednet(dataset, tmp_path, quiet=True, **options | {"max_minutes": 1.2})
    assert more["iteration"] > done["iteration"]


def test_a_part_of_a_limited_training_goes_on_where_the_rate_was(tmp_path, dataset, ticking, rates, monkeypatch):
    options = TINY | {"iterations": 1000, "lr": 1e-3, "max_minutes": 1}
    advance = lednet.LednetRun.advance

    def stopped(run, batch):
        if run.step == 9:
            run.stop = lambda: True
        return advance(run, batch)

    with monkeypatch.context() as patch:
        patch.setattr(lednet.LednetRun, "advance", stopped)
        assert train_lednet(dataset, tmp_path, quiet=True, **options)["iteration"] == 10
    train_lednet(dataset, tmp_path, quiet=True, **options)
    assert rates == sorted(rates, reverse=True)
    assert rates[10] < 0.8e-3, "not from the start again"


def test_all_processes_go_by_the_clock_of_the_first(tmp_path, dataset, monkeypatch):
    config = checked(LednetConfig, TINY | {"iterations": 9, "max_minutes": 1})
    run = lednet.LednetRun(config, [dataset], tmp_path, Process(0, 1, torch.device("cpu")))
    run.process = Process(1, 2, torch.device("cpu"))
    run.clock.before = 59.0  # this one's own
    of_the_first = torch.tensor([3.0, 0.0, 2 * 0.25])
    monkeypatch.setattr(dist, "all_reduce", lambda shared: shared.add_(of_the_first))
    assert run.over_processes([torch.tensor(1.0)]) == [2.0]
    assert run.time_share == 0.25 and not run.stopping


# pictures


def test_pictures_show_input_output_and_truth(tmp_path, dataset):
    train_lednet(dataset, tmp_path, quiet=True, iterations=2, **TINY | {"save_every": 1})
    assert [path.name for path in sorted((tmp_path / "pictures").iterdir())] == ["00000001.jpg", "00000002.jpg"]
    sheet = cv2.imread(str(tmp_path / "pictures/00000002.jpg"))
    pairs = hold_out(gather([dataset], "train"))[1]
    assert sheet.shape == (2 * 24 + pictures.GAP, 3 * 32 + 2 * pictures.GAP, 3)
    for row, pair in enumerate(pairs):
        shown = sheet[row * (24 + pictures.GAP) :][:24].astype(float)
        assert np.abs(shown[:, :32] - cv2.imread(str(pair.low))).mean() < 4
        assert np.abs(shown[:, -32:] - cv2.imread(str(pair.high))).mean() < 6


def test_pictures_are_few_and_small(tmp_path, monkeypatch):
    pairs = gather([write_pairs(tmp_path, clips=1, frames=9, size=(480, 640))], "train")
    monkeypatch.setattr(pictures, "enhance", lambda net, frame, value_range: frame)
    path = pictures.write(tmp_path, 5, torch.nn.Linear(1, 1), "0..1", pairs)
    assert cv2.imread(str(path)).shape == (3 * 240 + 2 * pictures.GAP, 3 * 320 + 2 * pictures.GAP, 3)


def test_a_folder_of_other_pictures_is_not_taken_for_ours(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/00000100.jpg").touch()
    checkpoint.claim(tmp_path)
    (tmp_path / "pictures/holiday.jpg").touch()
    with pytest.raises(ForeignOutput, match="not the output"):
        checkpoint.claim(tmp_path)


def test_progress_in_a_pipe_is_plain_lines(tmp_path, dataset, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    train_lednet(dataset, tmp_path, iterations=2, **TINY)
    printed = capsys.readouterr().err
    assert "\r" not in printed
    first, last = printed.splitlines()
    assert re.fullmatch(r"1 of 2 steps, 50 %, \d+ s left, loss \d\.\d{4}", first)
    assert re.fullmatch(r"2 of 2 steps, 100 %, 0 s left, loss \d\.\d{4}, val_psnr \d+\.\d\d", last)


# the command


def test_the_command_says_what_to_do_with_the_weights(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(lednet, "train_lednet", lambda *words, **options: {"iteration": 3})
    out = tmp_path / "my run"
    words = ["train-lednet", str(dataset), "-o", str(out), "--pair", "low_blur:high_sharp_scaled"]
    printed = CliRunner().invoke(main, words).stdout
    assert f"lolblur-synth restore photo.jpg restored.png --weights '{out}'" in printed
    assert f"lolblur-synth evaluate '{out}' {dataset} --pair low_blur:high_sharp_scaled" in printed
    assert CliRunner().invoke(main, ["-q", *words]).stdout == ""
    assert "restore" not in CliRunner().invoke(main, [*words, "--dry-run"]).stdout
    monkeypatch.setenv("RANK", "1")
    assert CliRunner().invoke(main, words).stdout == "", "of several processes the first one speaks"


def test_warnings_about_the_preset_reach_the_user(tmp_path, dataset, caplog):
    with caplog.at_level(logging.WARNING):
        train_lednet(dataset, tmp_path / "run", dry_run=True, **TINY | {"preset": "auto", "mix": False})
    assert "--preset laptop" in caplog.text
