import numpy as np
import pytest
import torch

from lolblur_synth import draw as draws
from lolblur_synth.errors import InputError
from lolblur_synth.recipe.schema import AverageConfig
from lolblur_synth.stages import average


@pytest.mark.parametrize("window,count,reach", [(7, 56, 4), (9, 72, 5)])
def test_the_exposure_is_centred_on_the_ground_truth(window, count, reach):
    times = average.times(window, 8)
    assert len(times) == count
    assert abs(times.mean()) < 1e-12
    assert np.allclose(np.diff(times), 1 / 8)
    assert average.reach(window) == reach
    assert -reach < times.min() and times.max() < reach


@pytest.mark.parametrize("window", range(1, 12))
@pytest.mark.parametrize("factor", [1, 3, 8, 64])
def test_every_window_and_factor_is_centred_and_within_reach(window, factor):
    times = average.times(window, factor)
    assert len(times) == window * factor and abs(times.mean()) < 1e-12
    assert np.abs(times).max() <= average.reach(window)


def test_both_windows_are_drawn_and_nothing_else():
    config = AverageConfig()
    drawn = [average.draw(config, draws.rng(0, "video", f"segment-{n}", "average")).window for n in range(200)]
    assert set(drawn) == {7, 9}
    assert 60 < drawn.count(7) < 140


def test_apply_is_the_mean_over_time():
    frames = torch.rand(7, 3, 5, 4) * 2
    result = average.apply(frames, AverageConfig(), average.Draw(7))
    assert result.shape == (1, 3, 5, 4) and result.dtype == torch.float32
    assert torch.allclose(result, frames.mean(0, keepdim=True), atol=1e-6)


def test_equal_frames_average_to_themselves():
    frames = torch.rand(1, 3, 6, 6).expand(8, -1, -1, -1).contiguous()
    assert torch.allclose(average.apply(frames, AverageConfig()), frames[:1], atol=1e-6)


def test_the_mean_takes_a_stream():
    frames = torch.rand(9, 3, 4, 4)
    assert torch.equal(average.mean(frame for frame in frames), average.mean(frames))


def test_bad_frames_are_refused():
    with pytest.raises(InputError):
        average.apply(torch.rand(3, 4, 4), AverageConfig(), average.Draw(7))
