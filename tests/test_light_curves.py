"""PQ and HLG against the values of their recommendations, and there and back."""

import numpy as np
import pytest
import torch

from lolblur_synth import frames
from lolblur_synth.files import light_curves


def test_pq_has_the_signals_of_bt2408():
    # BT.2408, table 1: 203 cd/m2 is 58 % PQ; 2030 cd/m2 (ten times white) by the formula of ST 2084 is 82.90 %
    assert light_curves.light_to_pq(np.array([1.0, 10.0])) == pytest.approx([0.5807, 0.8290], abs=1e-4)
    assert light_curves.pq_to_light(np.array([1.0])) == pytest.approx([10000 / 203], rel=1e-5)


def test_hlg_has_white_at_75_percent_and_its_peak_at_3_77_times_white():
    assert light_curves.hlg_to_light(np.array([0.75, 1.0, 0.5])) == pytest.approx(
        [1, 3.774, 1 / 12 / 0.26496], rel=1e-3
    )


@pytest.mark.parametrize("curve", ["pq", "hlg"])
def test_light_goes_through_a_curve_and_back(curve):
    light = np.array([0, 1e-3, 0.02, 0.18, 1, 3, 10, 40], np.float32)
    there = getattr(light_curves, f"light_to_{curve}")(light)
    assert getattr(light_curves, f"{curve}_to_light")(there) == pytest.approx(light, rel=2e-4, abs=1e-6)


def test_neutral_light_stays_neutral_from_bt2020_to_bt709():
    assert light_curves.BT2020_TO_BT709.sum(1) == pytest.approx(np.ones(3), abs=2e-6)


def test_a_frame_is_split_at_white_and_joined_again():
    light = torch.tensor([0.1, 0.9, 1.0, 4.0, 40.0, 0.0]).view(1, 3, 1, 2)
    display, above = frames.split(light.pow(1 / 2.2))
    assert display.max() == 1
    assert torch.allclose(frames.to_linear(display) + above, light, rtol=1e-5)
    assert torch.allclose(frames.join(display, above).pow(2.2), light, rtol=1e-5)
    assert frames.split(torch.full((1, 3, 1, 2), 0.5))[1] is None
