"""Frames without ground truth: burnt pixels and casts are those that the test put in."""

import pytest
import torch
from skimage.color import rgb2lab

from lolblur_synth.frames import light_to_srgb, luminance, srgb_to_light
from lolblur_synth.metrics import real_frames
from lolblur_synth.metrics.alignment import rounded


def scene(seed=0, size=(48, 64)):
    generator = torch.Generator().manual_seed(seed)
    return rounded(torch.rand(1, 3, *size, generator=generator) * 0.7 + 0.1)


def test_a_gain_in_linear_light_is_found_again():
    dark = scene()
    brighter = light_to_srgb(srgb_to_light(dark) * 1.8).clamp(0, 1)
    lifted, gain = real_frames.lifted(dark, real_frames.mean_luminance(brighter))
    assert gain == pytest.approx(1.8, rel=1e-3)
    assert (lifted - brighter).abs().max() < 0.6 / 255


@pytest.mark.parametrize("mean", [0.02, 0.3, 0.9])
def test_the_lifted_frame_has_the_mean_that_is_asked_for_though_it_is_clipped(mean):
    lifted, _ = real_frames.lifted(scene(), mean)
    assert luminance(lifted).mean().item() == pytest.approx(mean, abs=0.002)
    assert torch.equal(lifted, rounded(lifted))


def test_large_frames_are_searched_on_some_of_their_pixels(monkeypatch):
    monkeypatch.setattr(real_frames, "SEARCHED", 500)
    lifted, gain = real_frames.lifted(scene(size=(96, 96)), 0.4)
    assert luminance(lifted).mean().item() == pytest.approx(0.4, abs=0.02)


def test_a_black_frame_stays_black():
    lifted, _ = real_frames.lifted(torch.zeros(1, 3, 12, 12), 0.5)
    assert not lifted.any()


def test_burnt_pixels_are_those_with_one_channel_near_white():
    frame = torch.full((1, 3, 10, 10), 0.5)
    frame[:, 0, 0, :5] = 254 / 255
    frame[:, :, 1, :2] = 1
    frame[:, 2, 2, :] = 253 / 255
    assert real_frames.burnt_share(frame) == pytest.approx(0.07)


def test_mean_a_and_b_agree_with_scikit_image():
    frame = scene(3)
    frame[:, :, :8] *= 0.05  # dark values, on the straight part of the curves
    wanted = rgb2lab(frame[0].permute(1, 2, 0).numpy()).mean((0, 1))
    assert real_frames.mean_ab(frame) == pytest.approx(wanted[1:], abs=0.02)
