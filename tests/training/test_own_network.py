"""A network of the user: trained, scored and run by the commands, and never imported because a file names it."""

import sys

import cv2
import numpy as np
import pytest
import torch
from tiny_pairs import TINY, write_pairs

from lolblur_synth.errors import UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models.lednet import enhance, load
from lolblur_synth.models.own_network import OwnNetwork
from lolblur_synth.tools.evaluate import evaluate
from lolblur_synth.tools.restore import restore
from lolblur_synth.training.lednet import train_lednet

PLAIN = """
import torch
from torch import nn

class Plain(nn.Module):
    multiple = 4

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.last = nn.ConvTranspose2d(8, 3, 4, 2, 1)

    def initialise(self):
        nn.init.zeros_(self.last.weight)

    def forward(self, x):
        return x + self.last(torch.relu(self.first(x)))

class WithSide(Plain):
    def forward(self, x):
        return x[:, :, ::4, ::4] + self.last.bias.view(3, 1, 1), super().forward(x)

class Smaller(Plain):
    def forward(self, x):
        return x[..., ::2, ::2]

class Broken(Plain):
    def __init__(self):
        raise ValueError("no such thing")

not_a_class = 3
"""
OPTIONS = {name: value for name, value in TINY.items() if name != "width"}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "nets.py").write_text(PLAIN)
    return tmp_path / "nets.py"


@pytest.mark.parametrize("name", ["Plain", "WithSide"])
def test_it_is_trained_scored_and_run(tmp_path, file, name):
    data = write_pairs(tmp_path / "data")
    options = {"network": f"{file}:{name}", "quiet": True}
    result = train_lednet(data, tmp_path / "run", iterations=3, **options | OPTIONS)
    about = weights.about(result["weights"])
    assert (about["network"], about["options"]) == ("own", {"class": name})
    again = train_lednet(data, tmp_path / "run", iterations=3, **options | OPTIONS)
    assert again["iteration"] == 3, "its checkpoint is found"
    report = evaluate(tmp_path / "run", data, split="train", metrics="psnr_rgb", baselines=False, **options)
    assert np.isfinite(report["mean"]["psnr_rgb"])
    cv2.imwrite(str(tmp_path / "dark.png"), np.full((18, 27, 3), 40, np.uint8))
    assert restore(tmp_path / "dark.png", tmp_path / "out.png", weights=str(tmp_path / "run"), **options) == 1
    assert cv2.imread(str(tmp_path / "out.png")).shape == (18, 27, 3)


def test_a_module_in_this_folder_is_found_and_the_path_stays_as_it_was(tmp_path, file, monkeypatch):
    file.rename(tmp_path / "my_nets_for_a_test.py")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    net = OwnNetwork("my_nets_for_a_test:Plain")
    assert sys.path == before
    frame = torch.rand(1, 3, 10, 13)
    assert enhance(net.eval(), frame).shape == frame.shape, "padded to the multiple of the class, and cut"


def test_weights_never_import_the_class_that_they_name(tmp_path, file):
    net = OwnNetwork(f"{file}:Plain")
    weights.save(net, tmp_path / "w.safetensors", {"network": "own", "options": net.options, "range": "0..1"})
    with pytest.raises(WeightsError, match="'Plain', a network of its user's own") as caught:
        load(tmp_path / "w.safetensors")
    assert "--network" in caught.value.hint
    with pytest.raises(WeightsError, match="weights of lednet, not of own"):
        load("lednet", network=f"{file}:Plain")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Missing", "has no class Missing"),
        ("not_a_class", "has no class not_a_class"),
        ("Broken", "ValueError: no such thing"),
        ("Smaller", r"gives \(1, 3, 16, 16\) for \(1, 3, 32, 32\)"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(file, name, words):
    with pytest.raises(UsageError, match=words):
        OwnNetwork(f"{file}:{name}")


def test_mistakes_of_the_option(tmp_path, file):
    for spec, words in (("nets", "expected module:Class"), ("nowhere.py:Net", "nowhere.py: no such file"),
                        ("no_such_module_at_all:Net", "No module named")):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            OwnNetwork(spec)
    with pytest.raises(UsageError, match="--lift and --layout"):
        train_lednet(tmp_path, tmp_path / "run", quiet=True, network=f"{file}:Plain", lift=True, **OPTIONS)
