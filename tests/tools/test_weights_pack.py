"""`weights pack`: weights in half precision, with the header of the file they come from."""

import pytest
import torch

from lolblur_synth.errors import UsageError
from lolblur_synth.files import weights
from lolblur_synth.models.lednet import LEDNet, enhance, load
from lolblur_synth.tools.weights_pack import pack


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    net = LEDNet(0.125, lift=True).eval()
    about = {"network": "lednet", "options": net.options, "range": "0..1", "iterations": 7}
    (tmp_path / "run").mkdir()
    weights.save(net, tmp_path / "run/lednet.safetensors", about)
    return tmp_path / "run"


def test_packed_weights_are_half_as_large_and_give_nearly_the_same(tmp_path, run):
    sha256 = pack(run, tmp_path / "w.safetensors", "Brightens.")
    assert weights.sha256(tmp_path / "w.safetensors") == sha256
    whole = (run / "lednet.safetensors").stat().st_size
    assert (tmp_path / "w.safetensors").stat().st_size < 0.6 * whole
    about = weights.about(tmp_path / "w.safetensors")
    assert about["expect"] == "Brightens." and about["iterations"] == 7 and about["options"]["lift"] is True
    frame = 0.2 * torch.rand(1, 3, 32, 32)
    answers = [enhance(load(file)[0], frame) for file in (run / "lednet.safetensors", tmp_path / "w.safetensors")]
    assert 0 < (answers[0] - answers[1]).abs().max() < 0.005


def test_refusals(tmp_path, run):
    with pytest.raises(UsageError, match="as .safetensors"):
        pack(run, tmp_path / "w.pth")
    with pytest.raises(UsageError, match="no sentence"):
        pack(run, tmp_path / "w.safetensors", "x" * 300)
    pack(run, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="exists"):
        pack(run, tmp_path / "w.safetensors")
