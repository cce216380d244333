"""Frames after their best gamma and gain: the curve is found, lamps and all, and nothing else is mended by it."""

import numpy as np
import pytest
import torch

from lolblur_synth.metrics import alignment, image_quality

MAX_LOSS = 0.01  # dB, of the search against a grid of curves as dense as this test can afford


def scene(seed=0, size=(48, 64)):
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 6, 8, generator=generator) * 0.7 + 0.1
    return alignment.rounded(torch.nn.functional.interpolate(small, size, mode="bilinear"))


def psnr(frame, high):
    return image_quality.psnr_rgb(frame, high).item()


@pytest.mark.parametrize(("gamma", "gain"), [(2.0, 0.3), (0.6, 0.9), (1.0, 0.2), (0.4, 1.0)])
def test_a_truth_that_a_gamma_and_a_gain_bent_is_found_again(gamma, gain):
    high = scene()
    bent = gain * high**gamma
    assert psnr(bent, high) < 25
    assert psnr(alignment.aligned(bent, high), high) > 55, "what is left is the rounding to 8 bits"
    assert psnr(alignment.aligned(alignment.rounded(bent), high), high) > 40, "and that of the dark frame, magnified"


def test_a_frame_that_equals_its_truth_is_left_alone():
    high = scene()
    assert torch.equal(alignment.aligned(high, high), high)


def test_no_curve_of_a_dense_grid_is_better():
    """With noise, and lamps so bright that the gain for the rest of the frame clips them far above white."""
    generator = torch.Generator().manual_seed(1)
    high = scene(size=(24, 32))
    low = 0.05 * high + 0.004 * torch.randn(high.shape, generator=generator)
    high[..., :4, :4] = 1
    low[..., :4, :4] = 0.7
    low = alignment.rounded(low)
    curves = [(g, k) for g in np.linspace(0.3, 1.6, 27).tolist() for k in np.geomspace(0.5, 60, 60).tolist()]
    best = max(psnr(alignment.apply(low, alignment.Curve(*curve)), high) for curve in curves)
    assert psnr(alignment.aligned(low, high), high) > best - MAX_LOSS
    assert alignment.best_curve([alignment.levels(low, high)]).gain > 5, "the lamps do not hold the gain down"


def test_blur_noise_and_colour_are_left_as_they_are():
    high = scene()
    cast = high * torch.tensor([1.0, 0.7, 1.0]).view(3, 1, 1)
    blurred = torch.nn.functional.avg_pool2d(high, 9, 1, 4)
    for damaged in (cast, blurred):
        frame = 0.3 * damaged**1.5
        assert psnr(alignment.aligned(frame, high), high) < 35


def test_alignment_never_lowers_the_psnr():
    """The best curve of this frame, rounded to 8 bits, is further from the truth than the frame."""
    frame = torch.tensor([147, 180, 180, 180, 237]).view(1, 1, 1, 5).expand(1, 3, 1, 5) / 255
    high = torch.tensor([146, 181, 181, 181, 236]).view(1, 1, 1, 5).expand(1, 3, 1, 5) / 255
    curve = alignment.best_curve([alignment.levels(frame, high)])
    assert psnr(alignment.apply(frame, curve), high) < psnr(frame, high) - 1
    assert torch.equal(alignment.aligned(frame, high), frame)


def test_frames_without_light_have_a_curve():
    black, high = torch.zeros(1, 3, 12, 12), scene(size=(12, 12))
    assert psnr(alignment.aligned(black, high), high) == pytest.approx(psnr(high.mean().expand_as(high), high), abs=0.1)
    assert torch.equal(alignment.aligned(high, black), black)


def test_frames_of_16_bits_are_aligned_as_well():
    high = scene()
    dark = (0.02 * high**2 * 65535).round() / 65535
    assert psnr(alignment.aligned(dark, high), high) > 40


def test_one_curve_is_found_for_several_frames():
    pairs = [alignment.levels(0.3 * scene(seed) ** 2, scene(seed)) for seed in range(3)]
    curve = alignment.best_curve(pairs)
    assert curve.gamma == pytest.approx(0.5, rel=0.01)
    assert curve.gain == pytest.approx(0.3**-0.5, rel=0.01)
