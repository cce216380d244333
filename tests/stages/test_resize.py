"""resize: exact areas, no shift, no stretch, no change where none is asked."""

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth import frames as fr
from lolblur_synth.errors import InputError
from lolblur_synth.recipe.schema import ResizeConfig
from lolblur_synth.stages import resize


def run(frames, width, height):
    return resize.apply(frames, ResizeConfig(width=width, height=height), resize.Draw())


def spot(width, height, x, y, radius):
    """A Gaussian spot of light, centred on (x, y) in pixels from the outer corner of the frame."""
    across = torch.exp(-((torch.arange(width) + 0.5 - x) ** 2) / (2 * radius**2))
    down = torch.exp(-((torch.arange(height) + 0.5 - y) ** 2) / (2 * radius**2))
    return (down[:, None] * across)[None, None].repeat(1, 3, 1, 1).float()


def centroid(frames):
    light = frames[0, 0].double()
    x = (light.sum(0) * (torch.arange(light.shape[1]) + 0.5)).sum() / light.sum()
    y = (light.sum(1) * (torch.arange(light.shape[0]) + 0.5)).sum() / light.sum()
    return x.item(), y.item()


def test_integer_factors_are_plain_block_means():
    frames = torch.rand(2, 3, 96, 128)
    expected = torch.nn.functional.avg_pool2d(frames, 4)
    torch.testing.assert_close(run(frames, 32, 24), expected, atol=1e-6, rtol=0)


def test_fractional_factors_agree_with_opencv():
    frames = torch.rand(1, 3, 108, 192)
    expected = cv2.resize(frames[0].permute(1, 2, 0).numpy(), (112, 63), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(run(frames, 112, 63)[0].permute(1, 2, 0).numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("source", [(192, 108), (140, 80), (100, 90), (70, 40)])  # shrink, crop x, crop y, enlarge
def test_nothing_shifts_and_nothing_stretches(source):
    width, height = 112, 64
    scale = max(width / source[0], height / source[1])
    x, y = source[0] / 2 + 7.3, source[1] / 2 - 4.6
    out = run(spot(*source, x, y, 3 / scale), width, height)
    got = centroid(out)
    assert got[0] == pytest.approx(width / 2 + 7.3 * scale, abs=0.01)
    assert got[1] == pytest.approx(height / 2 - 4.6 * scale, abs=0.01)


def test_the_frame_is_covered_and_cropped_evenly():
    frames = torch.zeros(1, 3, 40, 100)
    frames[..., :30] = 1  # what falls outside a 40-wide centre crop
    frames[..., 70:] = 1
    assert run(frames, 40, 40).max() == 0


def test_same_size_is_the_same_frame():
    frames = torch.rand(1, 3, 64, 112)
    assert torch.equal(run(frames, 112, 64), frames)


def test_flat_colour_stays_and_enlarging_stays_in_range():
    flat = torch.full((1, 3, 37, 53), 0.4)
    torch.testing.assert_close(run(flat, 24, 16), torch.full((1, 3, 16, 24), 0.4), atol=1e-6, rtol=0)
    edges = (torch.rand(1, 3, 20, 30) > 0.5).float()
    out = run(edges, 112, 64)
    assert out.shape == (1, 3, 64, 112) and out.min() >= 0 and out.max() <= 1


def test_enlarges_tells_small_sources():
    config = ResizeConfig(width=1120, height=640)
    assert not resize.enlarges((1120, 640), config) and not resize.enlarges((1920, 1080), config)
    assert resize.enlarges((1920, 600), config) and resize.enlarges((640, 480), config)


def test_garbage_is_refused():
    with pytest.raises(InputError):
        run(torch.zeros(1, 1, 64, 112), 112, 64)
    with pytest.raises(InputError):
        run(torch.full((1, 3, 64, 112), float("nan")), 112, 64)


def test_light_above_white_is_resampled_in_linear_light_and_none_is_lost():
    """A lamp of 10 times white on one of four pixels is a quarter of it; the rest is as in SDR."""
    frames = torch.full((1, 3, 8, 8), 0.5)
    frames[0, 0, 2, 2] = 10 ** (1 / 2.2)
    small, plain = run(frames, 4, 4), run(frames.clamp(max=1), 4, 4)
    assert torch.equal(small[:, 1:], plain[:, 1:])
    light = fr.to_linear(small)[0, 0, 1, 1].item()
    assert light == pytest.approx(9 / 4 + fr.to_linear(plain)[0, 0, 1, 1].item(), rel=1e-5)
    large = run(frames, 16, 16)
    assert large.min() >= 0
    assert large.max() > 2
