"""The yardsticks: each finds the curve that it can know, and no more."""

import pytest
import torch

from lolblur_synth.metrics import image_quality, tone_curves


def scenes(count=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 6, 8, generator=generator) * 0.7 + 0.1
    return torch.nn.functional.interpolate(small, (48, 64), mode="bilinear").split(1)


def test_one_curve_is_learnt_from_all_pairs():
    learnt = tone_curves.fit((0.3 * high**2, high) for high in scenes())
    assert learnt.curve.gamma == pytest.approx(0.5, abs=0.03)
    assert learnt.curve.gain == pytest.approx(0.3**-0.5, rel=0.05)
    new = scenes(1, seed=1)[0]
    assert image_quality.psnr_rgb(tone_curves.fitted(0.3 * new**2, learnt), new) > 35
    assert image_quality.psnr_rgb(tone_curves.fitted(0.1 * new**2, learnt), new) < 20, (
        "another darkness is not known to it"
    )


@pytest.mark.parametrize("gain", [0.3, 0.1])
def test_auto_exposure_gives_every_frame_the_mean_it_learnt(gain):
    learnt = tone_curves.fit((0.3 * high**2, high) for high in scenes())
    assert learnt.mean == pytest.approx(torch.cat(scenes()).mean().item(), abs=0.01)
    new = scenes(1, seed=1)[0]
    found = tone_curves.auto_exposure(gain * new**2, learnt)
    assert found.mean().item() == pytest.approx(learnt.mean, abs=0.01)
    assert torch.equal(found, tone_curves.rounded(found))
