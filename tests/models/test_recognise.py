"""`weights check` and the commands that use weights say the same of every file, because the same function decides."""

import functools
import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from lolblur_synth.cli import main
from lolblur_synth.errors import WeightsError
from lolblur_synth.files import weights
from lolblur_synth.models import lednet
from lolblur_synth.models.recognise import recognise


@pytest.fixture
def published(monkeypatch):
    """The state of a LEDNet of the published layout, as other trainers save it; a narrow one, which is quicker."""
    monkeypatch.setattr(lednet, "LEDNet", functools.partial(lednet.LEDNet, 0.125))
    torch.manual_seed(0)
    return lednet.LEDNet().state_dict()


FILES = {
    "compiled": ("pth", lambda state: {"_orig_mod." + name: value for name, value in state.items()}),
    "double": ("safetensors", lambda state: {"net." + name: value.double() for name, value in state.items()}),
    "channels last": ("ckpt", lambda state: {"state_dict": {
        "net." + name: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value
        for name, value in state.items()}}),
    "one word missing": ("pth", lambda state: {name if "D_" in name else "net." + name: value
                                               for name, value in state.items()}),
    "not finite": ("pth", lambda state: {name: value * torch.nan for name, value in state.items()}),
    "lacking": ("pth", lambda state: dict(list(state.items())[1:])),
    "no weights": ("pth", lambda state: {"epoch": 3}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_check_and_restore_agree(tmp_path, published, name):
    suffix, change = FILES[name]
    path = tmp_path / f"weights.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(change(published), path)
    try:
        _, value_range = lednet.load(path)
    except WeightsError as error:
        with pytest.raises(WeightsError) as caught:
            recognise(str(path))
        assert (str(caught.value), caught.value.hint) == (str(error), error.hint)
    else:
        found = recognise(str(path))
        assert (found["network"], found["range"]) == ("lednet", value_range)
        assert name in ("compiled", "double", "channels last")


@pytest.mark.parametrize(("name", "network"), [
    ("lednet", "lednet"), ("darken-slim", "CurveNet"), ("interpolator", "FlowNet"),
    ("cycleisp-lite/rgb2raw_joint", "Rgb2Raw"), ("cycleisp-lite/ccm_joint", "ColorBranch")])  # fmt: skip
def test_bundled_weights_are_recognised(name, network):
    done = CliRunner().invoke(main, ["weights", "check", name])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["network"] == network and found["sha256"] == weights.sha256(name)


def test_the_folder_of_a_training_is_checked_and_damage_in_it_is_refused(tmp_path):
    net = lednet.LEDNet(0.125)
    weights.save(net, tmp_path / "lednet.safetensors", {"network": "lednet", "options": net.options, "range": "-1..1"})
    assert recognise(str(tmp_path))["range"] == "-1..1"
    weights.save(net, tmp_path / "lednet.safetensors", {"network": "lednet"})
    with pytest.raises(WeightsError, match="where LEDNet has"):
        recognise(str(tmp_path))
    done = CliRunner().invoke(main, ["weights", "check", str(tmp_path)])
    assert done.exit_code == 2 and done.exception.__class__ is SystemExit


def test_a_header_that_is_no_table_is_one_line(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors", {"about": "[1]"})
    with pytest.raises(WeightsError, match="header"):
        recognise(str(tmp_path / "a.safetensors"))
