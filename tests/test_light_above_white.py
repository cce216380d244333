"""Lamps of any colour through the whole pipeline: lit where they stand, streaks where they move.

The scene is textured and bright; a soft round lamp of four times white crosses it. What it holds above white is either
cut off, as a camera does (SDR), or known (measured light).
"""

import numpy as np
import pytest
import torch

from lolblur_synth import frames as fr
from lolblur_synth import pipeline, recipes
from lolblur_synth.recipe.schema import ResizeConfig
from lolblur_synth.stages import average, clip_reverse, darken, denoise, resize

SIZE = 128, 192  # px
SPEED = 6.0  # px a frame
FRAMES = 11
MID = FRAMES // 2
PEAK = 4.0  # times white
EXPOSURE = 0.08
DIM = 0.7
TINTS = {
    "white": (1, 1, 1),
    "sodium": (1, 0.55, 0.12),
    "red": (1, 0.04, 0.03),
    "green": (0.05, 1, 0.2),
    "blue": (0.05, 0.15, 1),
}


def light_at(t: float, tint) -> np.ndarray:
    """(3, H, W) linear light of the scene at frame t, white = 1."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    ground = 0.16 + 0.08 * np.sin(x / 9) * np.cos(y / 7)
    distance = np.hypot(x - SIZE[1] / 2 - SPEED * (t - MID), y - SIZE[0] / 2)
    spot = 0.5 - 0.5 * np.tanh((distance - 5) / 1.2)
    return ground + PEAK * np.float32(spot) * np.array(tint, np.float32)[:, None, None]


def stack_of(tint, measured: bool) -> torch.Tensor:
    light = torch.from_numpy(np.stack([light_at(t, tint) for t in range(FRAMES)]))
    return (light if measured else light.clamp(max=1)).pow(1 / fr.GAMMA)


def pair_of(recipe, stack: torch.Tensor, gain: float | None, r: float = 0.0) -> dict[str, np.ndarray]:
    """Images of a pair without denoising, defocus and noise; gain, r: of clip_reverse, None and 0 to leave it out."""
    draws = {
        "darken": darken.Draw(EXPOSURE, DIM),
        "interpolate": None,
        "average": average.Draw(7),
    }
    if gain or r:
        draws["clip_reverse"] = clip_reverse.Draw(r, gain or 0.0)
    return pipeline.synthesise(stack, MID, recipe, draws)[0]


@pytest.mark.parametrize("tint", TINTS)
def test_a_lamp_of_any_colour_is_lit_and_leaves_a_streak(tint):
    night, stack = recipes.load("night"), stack_of(TINTS[tint], measured=False)
    without, reversed_ = pair_of(night, stack, None), pair_of(night, stack, PEAK - 1)
    change = reversed_["low_blur"].astype(int) - without["low_blur"]
    assert change.max() >= 60
    assert change.min() >= 0
    leading = int(np.argmax(TINTS[tint]))
    lamp = light_at(MID, TINTS[tint])[leading] > 2
    assert without["low_sharp"][..., leading][lamp].min() >= 250, "lit: its clipped channel stays clipped"


@pytest.mark.parametrize("tint", TINTS)
def test_a_lamp_of_any_colour_has_no_dark_ring(tint):
    """From the lamp outwards over flat ground it only gets darker, as for white lamps."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    spot = 0.5 - 0.5 * np.tanh((np.hypot(x - SIZE[1] // 2, y - SIZE[0] // 2) - 6) / 1.2)
    light = 0.2 + PEAK * np.float32(spot) * np.array(TINTS[tint], np.float32)[:, None, None]
    frame = torch.from_numpy(light.clip(0, 1).astype(np.float32))[None].pow(1 / fr.GAMMA)
    out = darken.apply(frame, recipes.load("night").darken, darken.Draw(EXPOSURE, 1.0))
    profile = out[0, int(np.argmax(TINTS[tint])), SIZE[0] // 2, SIZE[1] // 2 :]
    assert (profile.diff() <= 2e-3).all()


def test_the_recipe_of_the_paper_judges_lamps_by_lightness():
    """A red lamp is no saturated pixel of section 3.2, so `lolblur` darkens it with the rest."""
    paper = recipes.load("lolblur")
    change = [
        int(
            (
                pair_of(paper, stack, None, r=100.0)["low_blur"].astype(int) - pair_of(paper, stack, None)["low_blur"]
            ).max()
        )
        for stack in (stack_of(TINTS[tint], measured=False) for tint in ("white", "red"))
    ]
    assert change[0] > 20
    assert change[1] == 0


@pytest.mark.parametrize("tint", TINTS)
@pytest.mark.parametrize("recipe", ["night", "lolblur"])
def test_the_streak_of_measured_light_is_the_true_one(tint, recipe):
    """Without darkening, the exposure can be integrated from the scene itself."""
    light = np.stack([light_at(t, TINTS[tint]) for t in MID + average.times(7, 64)])
    true, cut_off = (fr.to_display(torch.from_numpy(part.mean(0))).numpy() for part in (light, light.clip(0, 1)))
    given, draws = recipes.load(recipe), {"interpolate": None, "average": average.Draw(7)}
    blur = pipeline.synthesise(stack_of(TINTS[tint], measured=True), MID, given, draws)[0]["low_blur"]
    streak = (true - cut_off).max(0) > 0.02
    error = (blur.transpose(2, 0, 1) / 255 - true)[:, streak]
    assert -10 * np.log10(np.mean(error**2)) >= 42


def test_measured_light_keeps_a_lamp_above_white_through_darkening():
    """low_sharp of a lamp is white, and its streak is that of its true light, darkened like the rest."""
    stack = stack_of(TINTS["white"], measured=True)
    images = pair_of(recipes.load("night"), stack, None)
    lamp = light_at(MID, TINTS["white"])[0] > 2
    assert images["low_sharp"][lamp].min() >= 250
    guessed = pair_of(recipes.load("night"), stack.clamp(max=1), PEAK - 1)
    error = images["low_blur"].astype(float) - guessed["low_blur"]
    assert np.sqrt((error**2).mean()) < 3, "the guess that happens to be right is the measured light"


def test_a_clipped_sky_that_is_darkened_is_scaled_by_all_of_its_light():
    """It is no lamp, so it darkens: the gain times its light is shown, twice that of a sky that ends at white."""
    light = np.full((FRAMES, 3, 160, 240), 0.15, np.float32)
    light[:, :, :70] = 2.0
    light += 0.02 * np.random.default_rng(0).random(light.shape[1:], np.float32)
    extended, night = torch.from_numpy(light).pow(1 / fr.GAMMA), recipes.load("night")
    whole, cut_off = (pair_of(night, stack, None)["low_sharp"] for stack in (extended, extended.clamp(max=1)))
    assert whole[:60].max() < 230
    ratio = (whole[20:50, 60:180] / 255.0) ** fr.GAMMA / (cut_off[20:50, 60:180] / 255.0) ** fr.GAMMA
    assert ratio.mean() == pytest.approx(2.0, rel=0.05)


def test_light_above_white_is_resized_in_linear_light():
    """A lamp of one pixel and 40 times white, halved: a quarter of its light above white is left in one pixel."""
    light = torch.full((1, 3, 64, 96), 0.2)
    light[:, :, 31, 41] = 41.0
    small = resize.apply(light.pow(1 / fr.GAMMA), ResizeConfig(width=48, height=32), resize.Draw())
    assert fr.to_linear(small).amax() == pytest.approx(10.4, rel=0.02)


def test_light_above_white_does_not_reach_the_denoiser(monkeypatch):
    seen = []
    monkeypatch.setattr(
        denoise, "apply", lambda frames, config, draw, keep: (seen.append(frames.max()), frames[keep])[1]
    )
    recipe = recipes.load("night")
    draws = {"denoise": denoise.Draw(1.0), "interpolate": None, "average": average.Draw(7)}
    pipeline.synthesise(stack_of(TINTS["red"], measured=True), MID, recipe, draws)
    assert seen == [1.0]
