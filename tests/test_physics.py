"""What must hold of a pair whatever the code looks like: light, time and place."""

import json

import cv2
import numpy as np
import pytest
import torch
from scene import pan
from skimage.registration import phase_cross_correlation

from lolblur_synth import frames as fr
from lolblur_synth import pipeline, recipes
from lolblur_synth.dataset import layout
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import average, interpolate

BARE = recipes.override(Recipe(), ["skip=denoise,darken,clip_reverse,defocus,noise"])


def bare_draws(window: int) -> dict:
    return {"interpolate": interpolate.Draw(), "average": average.Draw(window)}


@pytest.mark.parametrize(("speed", "least"), [(2, 52), (6, 50), (16, 45)])
def test_low_blur_is_the_true_exposure_of_the_clipped_scene(speed, least):
    """PSNR of linear light, against the rendered scene integrated over the exposure. clip_reverse is left out: it adds
    the light above white on purpose, and the truth here is the scene that a sensor clipped."""
    scene, window = pan(speed), 7
    mid, reach = 7, average.reach(window)
    source = fr.from_uint8(np.stack([scene.frame(i) for i in range(mid - reach, mid + reach + 1)]))
    light, _ = pipeline.expose(source, source, reach, BARE, bare_draws(window))
    truth = scene.exposure(mid - window / 2, mid + window / 2, clip=True).transpose(2, 0, 1)
    error = np.mean((light[0].numpy().astype(float) - truth) ** 2)
    assert -10 * np.log10(error) > least
    images, _ = pipeline.synthesise(source, reach, BARE, bare_draws(window))
    shown = np.round(np.clip(truth, 0, 1).transpose(1, 2, 0) ** (1 / 2.2) * 255)
    assert -10 * np.log10(np.mean(((images["low_blur"] - shown) / 255) ** 2)) > least, "after the last rounding too"


@pytest.mark.parametrize("window", [7, 9])
@pytest.mark.parametrize("speed", [0.4, 1.3, 3.0])
def test_the_blur_is_centred_on_the_ground_truth(window, speed):
    """A dot that moves steadily: the centroid of its streak is where the sharp frame has it."""
    reach = average.reach(window)
    y, x = np.mgrid[:64, :96].astype(np.float32)
    frames = [
        np.exp(-((x - 48 - speed * t) ** 2 + (y - 32 - 0.5 * speed * t) ** 2) / 18) for t in range(-reach, reach + 1)
    ]
    stack = (0.1 + 0.6 * torch.from_numpy(np.stack(frames)))[:, None].repeat(1, 3, 1, 1).pow(1 / 2.2)
    light, _ = pipeline.expose(stack, stack, reach, BARE, bare_draws(window))
    weight = light[0].mean(0).numpy().astype(float) - 0.1
    weight[weight < 0.002] = 0
    centroid = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    assert np.abs(centroid - (48, 32)).max() < 0.1


def lines(out) -> list[dict]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def image(out, line, folder) -> np.ndarray:
    return cv2.imread(str(layout.image_path(out, line["split"], folder, *line["pair"].split("/"))))


def test_the_images_of_a_pair_line_up(reference):
    for line in lines(reference.out):
        sharp, truth = image(reference.out, line, "low_sharp"), image(reference.out, line, "high_sharp_scaled")
        planes = [plane.mean(2) - plane.mean() for plane in (truth, sharp)]
        shift, *_ = phase_cross_correlation(*planes, normalization=None)  # tiny frames: whitening would show noise
        assert np.abs(shift).max() == 0, line["pair"]


def test_nothing_visible_is_drawn_anew_within_a_segment(reference):
    segments: dict = {}
    for line in lines(reference.out):
        draws = line["draws"] | {"noise": {k: v for k, v in line["draws"]["noise"].items() if k != "seed"}}
        segments.setdefault((line["pair"].split("/")[0], line["segment"]), []).append(draws)
    assert any(len(draws) > 1 for draws in segments.values())
    for draws in segments.values():
        assert all(d == draws[0] for d in draws)
    exposures = {draws[0]["darken"]["exposure"] for draws in segments.values()}
    assert len(exposures) == len(segments), "each segment has a darkness of its own"


def test_darkness_does_not_flicker_between_pairs(reference):
    """The mean of low_sharp follows the scene's own changes, no more."""
    by_segment: dict = {}
    for line in lines(reference.out):
        means = [image(reference.out, line, f).astype(float).mean() for f in ("low_sharp", "high_sharp_scaled")]
        by_segment.setdefault((line["pair"].split("/")[0], line["segment"]), []).append(means)
    for means in by_segment.values():
        dark, bright = np.array(means).T
        assert np.ptp(dark / dark.mean()) <= np.ptp(bright / bright.mean()) + 0.05
