"""Light above white through a whole pair: lamps of any colour stay lit when the frame is darkened and leave streaks."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest
import torch

from lolblur_synth import frames as fr
from lolblur_synth import pipeline, recipes
from lolblur_synth.stages import average, clip_reverse, darken, interpolate

COLOURS = {"white": (1, 1, 1), "sodium": (1, 0.62, 0.16), "red": (1, 0.09, 0.06), "green": (0.1, 1, 0.15),
           "blue": (0.08, 0.12, 1)}  # fmt: skip
NIGHT = recipes.load("night")
HEIGHT, WIDTH, SPEED, RADIUS = 96, 160, 5, 6  # px; px a frame
MID, WINDOW, EXPOSURE = 4, 7, 0.08
NEAR_WHITE = 5  # code values: the ramp of clip_reverse


@functools.cache
def ground() -> np.ndarray:
    """(H, W, 3) linear light of a textured ground."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32), None, 2)
    return (0.22 + 0.36 * (texture - 0.5)).clip(0.02, 1) ** 2.2


def scene(colour: str, time: float, peak: float) -> np.ndarray:
    """(H, W, 3) linear light, white = 1: a lamp that moves over a ground at rest; time in frames from the middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    spot = 0.5 - 0.5 * np.tanh((np.hypot(x - WIDTH / 2 - SPEED * time, y - HEIGHT / 2) - RADIUS) / 1.2)
    return ground() + np.array(COLOURS[colour], np.float32) * peak * spot[..., None]


def stack(light: list[np.ndarray]) -> torch.Tensor:
    """Extended display frames (T, 3, H, W)."""
    return torch.from_numpy(np.stack(light)).permute(0, 3, 1, 2).float().pow(1 / 2.2).contiguous()


def source(colour: str, peak: float = 4.0) -> torch.Tensor:
    return stack([scene(colour, time, peak) for time in range(-MID, MID + 1)])


def sdr(extended: torch.Tensor) -> torch.Tensor:
    return extended.clamp(max=1).mul(255).round().div(255)


def draws(*, reverse: bool) -> dict:
    stages = {"darken": darken.Draw(EXPOSURE, 0.75), "interpolate": interpolate.Draw(), "average": average.Draw(WINDOW)}
    return stages | ({"clip_reverse": clip_reverse.Draw(0.0, 3.0)} if reverse else {})


def built(extended: torch.Tensor, reverse: bool, recipe=NIGHT) -> dict[str, np.ndarray]:
    return pipeline.synthesise(extended, MID, recipe, draws(reverse=reverse))[0]


def change(colour: str, recipe=NIGHT) -> int:
    """Code values that clip_reverse adds to low_blur, at most."""
    with_it, without = (built(sdr(source(colour)), reverse, recipe)["low_blur"] for reverse in (True, False))
    return int((with_it.astype(int) - without).max())


@pytest.mark.parametrize("colour", COLOURS)
def test_a_lamp_of_any_colour_stays_lit_and_leaves_a_streak(colour):
    assert change(colour) >= 60
    images = built(sdr(source(colour)), True)
    clipped = sdr(source(colour))[MID].permute(1, 2, 0).numpy() == 1
    assert clipped.any()
    for folder in ("high_sharp_scaled", "low_sharp"):
        assert images[folder][clipped].min() >= 255 - NEAR_WHITE, folder


def test_the_recipe_of_the_paper_darkens_coloured_lamps():
    paper = dataclasses.replace(NIGHT, darken=dataclasses.replace(NIGHT.darken, saturated="lightness"))
    assert change("red", paper) == 0
    assert change("white", paper) >= 60


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_a_coloured_lamp_has_no_dark_ring(colour):
    """From the lamp outwards it only gets darker, on a plain ground."""
    y, x = np.mgrid[:160, :280]
    for radius in (4, 8, 11):
        rim = 1 / (1 + np.exp((np.hypot(y - 80, x - 140) - radius) / 2))
        light = 0.22 * (1 - rim[..., None]) + np.array(COLOURS[colour]) * 2 * rim[..., None]
        frame = torch.from_numpy(light.clip(0, 1).astype(np.float32)).pow(1 / 2.2).permute(2, 0, 1)[None].contiguous()
        out = darken.apply(frame, NIGHT.darken, darken.Draw(0.1, 1.0))
        brightest = out.amax(1)[0, 80, 140:]
        expected = frame.amax(1)[0, 80, 140:].diff() > 1e-6  # a rise that was there before
        assert (brightest.diff()[~expected] <= 2e-3).all()


def true(colour: str, peak: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The exposure (3, H, W) of the whole light, and of the clipped light: each true frame is darkened like a source
    frame, and light above white as the white below it."""
    light = stack([scene(colour, time, peak) for time in average.times(WINDOW, 8)])
    shown, above = fr.split(light)
    drawn = draws(reverse=False)["darken"]
    dark = fr.to_linear(darken.apply(darken.scale(shown, NIGHT.darken, drawn), NIGHT.darken, drawn))
    return tuple(fr.to_display(part.mean(0)) for part in (dark * (1 + above), dark))


def psnr(image: np.ndarray, expected: torch.Tensor, where: torch.Tensor) -> float:
    error = (fr.from_uint8(image)[0] - expected)[:, where].square().mean()
    return float(-10 * torch.log10(error))


@pytest.mark.parametrize(("colour", "peak"), [("sodium", 4.0), ("red", 10.0)])
def test_measured_light_leaves_the_true_streak(colour, peak):
    whole, clipped = true(colour, peak)
    streak = (whole - clipped).abs().amax(0) > 4 / 255
    measured = psnr(built(source(colour, peak), False)["low_blur"], whole, streak)
    guessed = psnr(built(sdr(source(colour, peak)), True)["low_blur"], whole, streak)
    assert measured >= 42
    assert measured >= guessed + 12


def test_where_light_is_measured_nothing_is_guessed():
    extended = source("white")
    one, two = (built(extended, reverse)["low_blur"] for reverse in (True, False))
    assert np.array_equal(one, two)


def test_the_truth_of_measured_light_is_the_clipped_display_frame():
    extended = source("green")
    measured, clipped = built(extended, False), built(extended.clamp(max=1), False)
    for folder in ("high_sharp_original", "high_sharp_scaled"):
        assert np.array_equal(measured[folder], clipped[folder])


def test_darkening_dims_measured_light_as_the_white_below_it():
    """A wall of 3 times white that is darkened to 0.2 of its light shows 0.6 of white, one of 10 times is 2."""
    dark = torch.full((1, 3, 1, 2), 0.2 ** (1 / 2.2))
    above = torch.tensor([2.0, 9.0]).expand(1, 3, 1, 2)
    shown, left = pipeline._darkened(dark, above)
    assert shown[0, 0, 0].pow(2.2).tolist() == pytest.approx([0.6, 1], abs=1e-5)
    assert left[0, 0, 0].tolist() == pytest.approx([0, 1], abs=1e-5)


@pytest.mark.parametrize("skip", ["darken", "interpolate"])
def test_light_above_white_does_without_a_stage(skip):
    recipe, extended = dataclasses.replace(NIGHT, skip=(skip,)), source("red")
    given = {name: drawn for name, drawn in draws(reverse=True).items() if name != skip}
    for frames in (extended, sdr(extended)):
        with_light = pipeline.synthesise(frames, MID, recipe, given)[0]["low_blur"].astype(int)
        without = {name: drawn for name, drawn in given.items() if name != "clip_reverse"}
        clipped = pipeline.synthesise(sdr(extended), MID, recipe, without)[0]["low_blur"]
        assert (with_light - clipped).max() >= 60
