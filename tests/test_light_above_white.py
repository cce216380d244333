"""Light above white in a pair: a sky is scaled by all of its light, and the denoiser sees the clipped display frame."""

import numpy as np
import pytest
import torch

from lolblur_synth import frames as fr
from lolblur_synth import pipeline, recipes
from lolblur_synth.stages import average, darken, denoise

FRAMES, MID = 11, 5


def sky(light_of_sky: float) -> torch.Tensor:
    """(T, 3, 160, 240) extended display: a bright sky over darker, slightly textured ground, at rest."""
    light = np.full((FRAMES, 3, 160, 240), 0.15, np.float32)
    light[:, :, :70] = light_of_sky
    light += 0.02 * np.random.default_rng(0).random(light.shape[1:], np.float32)
    return torch.from_numpy(light).pow(1 / fr.GAMMA)


def test_a_clipped_sky_that_is_darkened_is_scaled_by_all_of_its_light():
    """It is no lamp, so it darkens: the gain times its light is shown, twice that of a sky that ends at white."""
    draws = {"darken": darken.Draw(0.08, 0.7), "average": average.Draw(7)}
    measured, night = sky(2.0), recipes.load("night")
    whole, cut_off = (
        pipeline.synthesise(stack, MID, night, draws)[0]["low_sharp"] for stack in (measured, measured.clamp(max=1))
    )
    assert whole[:60].max() < 230
    ratio = (whole[20:50, 60:180] / 255.0) ** fr.GAMMA / (cut_off[20:50, 60:180] / 255.0) ** fr.GAMMA
    assert ratio.mean() == pytest.approx(2.0, rel=0.05)


def test_light_above_white_does_not_reach_the_denoiser(monkeypatch):
    brightest = []
    monkeypatch.setattr(
        denoise, "apply", lambda frames, config, draw, keep: (brightest.append(frames.max()), frames[keep])[1]
    )
    draws = {"denoise": denoise.Draw(1.0), "average": average.Draw(7)}
    pipeline.synthesise(sky(3.0), MID, recipes.load("night"), draws)
    assert brightest == [1.0]
