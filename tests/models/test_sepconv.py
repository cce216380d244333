import dataclasses

import numpy as np
import pytest
import torch

from lolblur_synth import recipes
from lolblur_synth.dataset import keys
from lolblur_synth.errors import InputError, UsageError, WeightsError
from lolblur_synth.files import weights
from lolblur_synth.kernels import exposure
from lolblur_synth.models import sepconv
from lolblur_synth.models.sepconv import TAPS, SepConv, separable
from lolblur_synth.recipe.schema import InterpolateConfig, Recipe
from lolblur_synth.stages import average, interpolate

CONFIG = InterpolateConfig(method="sepconv")


@pytest.fixture(scope="module")
def crossfade(tmp_path_factory):
    """A file of weights that make the network a cross-fade: kernels that are 1/sqrt(2) at their centre."""
    net = SepConv()
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    for name in ("Vertical1", "Vertical2", "Horizontal1", "Horizontal2"):
        getattr(net, f"module{name}")[7].bias.data[TAPS // 2] = 0.5**0.5
    path = tmp_path_factory.mktemp("sepconv") / "network.pth"
    torch.save(net.state_dict(), path)
    return path


def test_the_operator_is_the_sum_it_says():
    rng = torch.Generator().manual_seed(1)
    frame = torch.rand(1, 2, 19, 7, generator=rng)
    vertical, horizontal = (torch.randn(1, TAPS, 19, 7, generator=rng) for _ in range(2))
    padded = torch.nn.functional.pad(frame, (25,) * 4, mode="replicate")
    windows = padded.unfold(2, TAPS, 1).unfold(3, TAPS, 1)  # (1, 2, 19, 7, 51, 51)
    expected = torch.einsum("nchwij,nihw,njhw->nchw", windows.double(), vertical.double(), horizontal.double())
    assert (separable(frame, vertical, horizontal) - expected).abs().max() < 1e-3 * expected.abs().max()


def test_a_shifted_tap_moves_the_frame():
    frame = torch.rand(1, 3, 20, 30)
    vertical, horizontal = torch.zeros(2, 1, TAPS, 20, 30)
    vertical[:, 25 + 2], horizontal[:, 25 - 3] = 1, 1
    assert torch.equal(separable(frame, vertical, horizontal)[..., :18, 3:], frame[..., 2:, :27])


def test_the_layout_is_the_published_one():
    state = SepConv().state_dict()
    assert len(state) == 94 and sum(tensor.numel() for tensor in state.values()) == 21_675_452
    assert state["moduleConv1.0.weight"].shape == (32, 6, 3, 3)
    assert state["moduleDeconv4.0.weight"].shape == (256, 512, 3, 3)
    assert state["moduleUpsample2.1.weight"].shape == (64, 64, 3, 3)
    assert state["moduleHorizontal2.7.bias"].shape == (51,)


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_any_size_and_the_kernels_are_applied(size):
    torch.manual_seed(0)
    net = SepConv().eval().requires_grad_(False)
    first, second = torch.rand(2, 1, 3, *size)
    out, kernels = net(first, second), net.kernels(first, second)
    assert out.shape == first.shape and all(kernel.shape == (1, TAPS, *size) for kernel in kernels)
    assert torch.allclose(out, separable(first, *kernels[:2]) + separable(second, *kernels[2:]))
    with pytest.raises(InputError, match="two frames"):
        net(first, second[..., 1:])


def test_weights_load_strictly_under_both_names(crossfade, tmp_path):
    state = torch.load(crossfade)
    renamed = {name.replace("module", "net", 1): tensor for name, tensor in state.items()}
    torch.save(renamed, tmp_path / "net.pth")
    frames = torch.rand(2, 1, 3, 8, 12)
    for path in (crossfade, tmp_path / "net.pth"):
        assert torch.allclose(sepconv.load(str(path))(*frames), frames.mean(0), atol=1e-6)
    del state["moduleConv3.2.bias"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(WeightsError, match="lacks moduleConv3.2.bias"):
        weights.load(SepConv(), tmp_path / "less.pth")


@pytest.mark.parametrize(("changes", "words"), [
    ({}, "none come with this package"),
    ({"weights": "mine.pth", "factor": 6}, "halves intervals"),
    ({"weights": "mine.pth", "factor": "adaptive"}, "halves intervals"),
])  # fmt: skip
def test_what_it_cannot_do_is_said(changes, words):
    with pytest.raises(UsageError, match=words):
        interpolate.motion(torch.rand(2, 3, 40, 40), dataclasses.replace(CONFIG, **changes))


def test_a_build_is_refused_before_it_begins():
    with pytest.raises(UsageError, match="none come with this package"):
        keys.weight_hashes(recipes.override(Recipe(), ["interpolate.method=sepconv"]))


def test_a_missing_file_is_said():
    with pytest.raises(WeightsError, match="no such weights"):
        interpolate.motion(torch.rand(2, 3, 40, 40), dataclasses.replace(CONFIG, weights="nowhere.pth"))


def test_halving_reaches_every_instant_of_the_exposure(crossfade):
    """With the cross-fade as network, halving is a cross-fade at each instant; dark frames go as the guide does."""
    frames = torch.rand(2, 3, 12, 20)
    config = dataclasses.replace(CONFIG, weights=str(crossfade))
    motion = interpolate.motion(frames, config)
    instants = 0.5 + average.times(1, 4)
    fade = interpolate.motion(frames, InterpolateConfig(method="blend"))
    for source in (frames, frames / 8):
        got = torch.stack(list(interpolate.samples(source, motion, instants)))
        assert torch.allclose(got, torch.stack(list(interpolate.samples(source, fade, instants))), atol=1e-5)
    assert np.isnan(motion.confidence).all()
    light = exposure.expose(frames, motion, instants)
    assert (light - exposure.expose(frames, fade, instants)).abs().max() < 1e-5


def test_light_above_white_follows_the_kernels_of_the_guide(crossfade, monkeypatch):
    """With the cross-fade as network it is cross-faded as well, unclipped, and costs no second run of the network."""
    frames, above = torch.rand(3, 3, 12, 20), torch.zeros(3, 3, 12, 20)
    above[1:, :, 3:6] = torch.rand(2, 3, 3, 20) * 9
    config, instants, calls = dataclasses.replace(CONFIG, weights=str(crossfade)), 1 + average.times(1, 4), []
    between = SepConv.between
    monkeypatch.setattr(SepConv, "between", lambda net, a, b: calls.append(1) or between(net, a, b))
    motion = interpolate.motion(frames, config)
    carried, runs = exposure.expose(frames, motion, instants, above=above), len(calls)
    carried -= exposure.expose(frames, motion, instants)
    fade = interpolate.motion(frames, InterpolateConfig(method="blend"))
    expected = exposure.expose(frames, fade, instants, above=above) - exposure.expose(frames, fade, instants)
    assert expected.max() > 2
    assert torch.allclose(carried, expected, atol=1e-4)
    assert len(calls) == 2 * runs


def test_each_frame_is_found_once(crossfade, monkeypatch):
    calls = []
    between = SepConv.between
    monkeypatch.setattr(SepConv, "between", lambda net, a, b: calls.append(1) or between(net, a, b))
    config = dataclasses.replace(CONFIG, weights=str(crossfade))
    assert interpolate.apply(torch.rand(2, 3, 8, 8), config).shape == (9, 3, 8, 8)
    assert len(calls) == 7
