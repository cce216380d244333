"""interpolate.method=net: the kernel as for `dis`, nothing lost on what is easy, no drift in time, no fallback."""

import dataclasses

import numpy as np
import pytest
import torch

from lolblur_synth import draw
from lolblur_synth.errors import WeightsError
from lolblur_synth.files import weights
from lolblur_synth.kernels import exposure
from lolblur_synth.kernels.exposure import reference
from lolblur_synth.models import flow
from lolblur_synth.recipe.schema import InterpolateConfig
from lolblur_synth.stages import average, interpolate

NET, DIS = InterpolateConfig(method="net"), InterpolateConfig(method="dis")
HEIGHT, WIDTH = 96, 128


def dot(centre: float) -> torch.Tensor:
    """A soft dot on a dim ground, at `centre` along x: (3, H, W)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    spot = 0.1 + 0.8 * np.exp(-((x - centre) ** 2 + (y - HEIGHT / 2) ** 2) / (2 * 6.0**2))
    return torch.from_numpy(np.repeat(spot[None], 3, 0).astype(np.float32))


def centre_of(frame: torch.Tensor) -> float:
    column = (frame[0].double() - 0.1).sum(0)
    return float((column * torch.arange(WIDTH)).sum() / column.sum())


def texture(height: int, width: int, shift: float) -> torch.Tensor:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(0.21 * k * (x - shift) + 0.13 * (7 - k) * y + k) for k in range(1, 7)]
    return torch.from_numpy(np.repeat(0.5 + 0.07 * np.sum(waves, 0)[None], 3, 0).astype(np.float32))


@pytest.fixture(scope="module")
def stirred(tmp_path_factory):
    """A config with weights of a network that changes much."""
    net, rng = flow.FlowNet(), draw.rng(5, "test", "", "flow")
    for parameter in net.parameters():
        values = rng.standard_normal(tuple(parameter.shape)) * (1.4 / parameter[0].numel() ** 0.5)
        parameter.data = torch.from_numpy(values.astype(np.float32))
    path = tmp_path_factory.mktemp("weights") / "stirred.safetensors"
    weights.save(net, path, {})
    return InterpolateConfig(method="net", weights=str(path))


@pytest.mark.parametrize("size", [(64, 96), (61, 75)])
def test_the_kernel_equals_the_readable_functions(stirred, size):
    frames = torch.stack([texture(*size, 3.0 * t) for t in range(3)])
    motion = interpolate.motion(frames, stirred)
    resting = np.zeros((1, 4, *motion.forward.shape[1:3]), np.float32)
    corrected = motion.correct_fields(0, np.array([0.3], np.float32), resting)
    assert corrected[:, 5].max() > 0.1 and np.abs(corrected[:, 4] - 0.3).max() > 0.1, "the test shows nothing"
    times = 1 + average.times(1, 8)
    expected, _ = reference.integrate(frames, motion, times)
    assert (exposure.expose(frames, motion, times) - expected).abs().max() < 1e-4
    slow = reference.sample(frames, motion, 0.3)
    assert (slow - interpolate.sample(frames, motion, 0.3)).abs().max() < 1e-4


def test_a_constant_motion_is_where_it_should_be_at_every_instant():
    """4 px a frame: the dot of the sample at t is at 4 t, to 1/100 of a frame; of the exposure, to 1/1000."""
    middle = WIDTH / 2 + 0.3
    frames = torch.stack([dot(middle + 4.0 * t) for t in range(-4, 5)])
    motion = interpolate.motion(frames, NET)
    for t in (0.1, 0.3, 0.5, 0.8):
        assert abs((centre_of(interpolate.sample(frames, motion, 4 + t)) - middle) / 4 - t) < 0.01
    blurred = average.mean(interpolate.samples(frames, motion, 4 + average.times(7, 8)))
    assert abs(centre_of(blurred) - middle) / 4 < 1e-3


def test_time_has_no_direction():
    frames = torch.stack([texture(64, 80, 0), texture(64, 80, 5)])
    there, back = interpolate.motion(frames, NET), interpolate.motion(frames.flip(0), NET)
    for t in (0.25, 0.5):
        a, b = interpolate.sample(frames, there, t), interpolate.sample(frames.flip(0), back, 1 - t)
        assert (a - b).abs().max() < 2e-3


def test_an_easy_motion_stays_as_good_as_by_dis():
    """4 px a frame; at 6 px this texture looks as if it went the other way, and no method follows it."""
    frames = torch.stack([texture(96, 128, 4.0 * t) for t in range(2)])
    true, errors = texture(96, 128, 2.0), {}
    for config in (NET, DIS):
        got = interpolate.sample(frames, interpolate.motion(frames, config), 0.5)
        errors[config.method] = float((got - true)[:, 8:-8, 8:-8].square().mean())
    assert errors["dis"] < 1e-6 and errors["net"] < 1.6 * errors["dis"] + 1e-6


def test_a_cut_and_a_still_pair_need_no_network(stirred):
    frame = texture(64, 64, 0)
    frames = torch.stack([frame, frame, texture(64, 64, 1)])
    motion = interpolate.motion(frames, dataclasses.replace(stirred, cut=1.0))
    assert motion.still.tolist() == [True, False]
    assert torch.equal(interpolate.sample(frames, motion, 0.5), frame)


def test_the_same_bytes_twice_and_confidence_is_a_share(stirred):
    frames = torch.stack([texture(64, 96, 3.0 * t) for t in range(3)])
    one, two = (interpolate.apply(frames, stirred) for _ in range(2))
    assert torch.equal(one, two)
    noise = draw.rng(6, "test", "", "flow").random((2, 3, HEIGHT, WIDTH), np.float32)
    moving = torch.stack([dot(60), dot(63)])
    good, poor = (interpolate.motion(stack, NET).confidence.min() for stack in (moving, torch.from_numpy(noise)))
    assert 0 < poor < good <= 1


def test_there_is_no_fallback():
    frames = torch.stack([texture(64, 64, 0), texture(64, 64, 2)])
    with pytest.raises(WeightsError, match="no such weights"):
        interpolate.motion(frames, dataclasses.replace(NET, weights="absent"))
