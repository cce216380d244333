"""One pair, as in Figure 3 of the paper: source frames in, the five images and their draws out. No files here.

sharp  = denoise(resize(source))
scaled = dim(sharp)                      high_sharp_scaled, the ground truth
dark   = darken(scaled)                  low_sharp
blur   = average(clip_reverse(interpolate(dark)))
blur   = g(clip(defocus(blur)))          low_blur
noisy  = noise(blur)                     low_blur_noise
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw, frames
from lolblur_synth.kernels import exposure
from lolblur_synth.recipe.schema import STAGE_NAMES, Recipe
from lolblur_synth.stages import average, clip_reverse, darken, defocus, denoise, interpolate, noise, resize

STAGES = dict(
    zip(STAGE_NAMES, (resize, denoise, darken, interpolate, clip_reverse, average, defocus, noise), strict=True)
)


def draw_all(recipe: Recipe, sha256: str, segment: int, pair: str, window: int, sigma: float,
             curve: tuple = (), moments: darken.Moments | None = None) -> dict:  # fmt: skip
    """Every draw of one pair, by stage.

    What a viewer would see flicker (darkness, r, kernel, noise level) is drawn once a segment; only the noise field
    is drawn for each pair. The window was drawn by the plan, sigma and curve were estimated from the clip.
    moments: of the lightness of the segment's frames, which caps its exposure; None: no cap.
    """
    seed = recipe.dataset.seed
    draws = {
        name: stage.draw(getattr(recipe, name), draw.rng(seed, sha256, f"segment-{segment}", name))
        for name, stage in STAGES.items()
        if name not in recipe.skip
    }
    if "average" in draws:
        draws["average"] = average.Draw(window)
    if "denoise" in draws:
        draws["denoise"] = denoise.Draw(sigma, curve)
    if "darken" in draws and moments is not None:
        draws["darken"] = darken.capped(draws["darken"], recipe.darken, moments)
    if "noise" in draws:
        draws["noise"] = noise.reseed(draws["noise"], draw.rng(seed, sha256, f"pair-{pair}", "noise"))
    return draws


def plain(draws: dict) -> dict:
    """The draws as JSON-able values, for the manifest."""
    return {name: dataclasses.asdict(value) for name, value in draws.items()}


def prepare(frame: np.ndarray, recipe: Recipe) -> Tensor:
    """One source frame, (h, w, 3) float32 display RGB, resized: (1, 3, H, W)."""
    source = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).unsqueeze(0).contiguous()
    return resize.apply(source, recipe.resize, resize.Draw())


def synthesise(
    source: Tensor, mid: int, recipe: Recipe, draws: dict, device: str = "cpu"
) -> tuple[dict[str, np.ndarray], dict]:
    """The five images of one pair, folder -> (H, W, 3) uint8 RGB; and what was measured: samples, confidence, and
    exposure, the mean L*/100 of low_sharp where high_sharp_scaled is not saturated: the one asked for, but below it
    where the source is darker than that.

    source: (T, 3, H, W) float32 display RGB, resized, with the denoising context; mid: index of the ground truth in it.
    All of it runs on `device`.
    """
    sharp, mid = _sharp(source.to(device), mid, recipe, draws)
    images = {"high_sharp_original": sharp[mid]}
    if "darken" in draws:
        dark = darken.scale(sharp, recipe.darken, draws["darken"])
        images["high_sharp_scaled"] = dark[mid].clone()  # a clone, so that the other frames can go
        dark = darken.apply(dark, recipe.darken, draws["darken"])
    else:
        dark, images["high_sharp_scaled"] = sharp, sharp[mid]
    images["low_sharp"] = dark[mid]
    light, measured = expose(dark, sharp, mid, recipe, draws)
    measured["exposure"] = round(darken.exposure_of(dark[mid, None], images["high_sharp_scaled"][None]), 4)
    if "defocus" in draws:
        light = defocus.apply(light, recipe.defocus, draws["defocus"])
    blur = frames.to_display(light)
    images["low_blur"] = blur[0]
    if "noise" in draws:
        blur = noise.apply(blur, recipe.noise, draws["noise"])
    images["low_blur_noise"] = blur[0]
    return {folder: frames.to_uint8(image) for folder, image in images.items()}, measured


def _sharp(source: Tensor, mid: int, recipe: Recipe, draws: dict) -> tuple[Tensor, int]:
    """The denoised frames that the exposure needs, and where the ground truth is among them."""
    reach = average.reach(draws["average"].window) if "average" in draws else 0
    needed = slice(mid - reach, mid + reach + 1)
    if "denoise" in draws:
        return denoise.apply(source, recipe.denoise, draws["denoise"], keep=needed), reach
    return source[needed], reach


def expose(dark: Tensor, guide: Tensor, mid: int, recipe: Recipe, draws: dict) -> tuple[Tensor, dict]:
    """The exposure in linear light, (1, 3, H, W): interpolate, clip_reverse and average as one streaming pass.

    Motion is estimated on the bright `guide`, where there is more to see; the light comes from `dark`. Without
    `interpolate` the source frames of the window are averaged; without `average` the mid frame is all there is.
    """
    window = draws["average"].window if "average" in draws else 0
    reverse = draws.get("clip_reverse")
    rule = recipe.clip_reverse if reverse else None, reverse
    if "interpolate" in draws and window:
        # the plan has kept scene cuts out of the window: what looks like one here is a flash, and is held
        motion = interpolate.motion(guide, recipe.interpolate, refuse_cuts=False)
        instants = mid + average.times(window, interpolate.factor(motion, recipe.interpolate))
        light = exposure.expose(dark, motion, instants, *rule)
        return light[None], {"samples": len(instants), "confidence": _confidence(motion)}
    shown = dark[mid - window // 2 : mid + window // 2 + 1]
    return exposure.expose_given(shown, *rule)[None], {"samples": len(shown), "confidence": None}


def _confidence(motion: interpolate.Motion) -> float | None:
    """Of the frame pair that could be followed least: the mean trust there, 0..1; None where the method knows none."""
    least = float(motion.confidence.min())
    return None if math.isnan(least) else round(least, 4)


def windows(source: Iterator[np.ndarray], start: int, spans: list[tuple[int, int]], recipe: Recipe) -> Iterator[Tensor]:
    """Resized stacks (T, 3, H, W) for spans (first, last), from one pass over the frames `start`, start + 1, …

    Spans are in time order; a frame is resized once and forgotten when no later span needs it.
    """
    held: dict[int, Tensor] = {}
    following = start
    for number, (first, last) in enumerate(spans):
        while following <= last:
            frame = next(source)
            if following >= first:
                held[following] = prepare(frame, recipe)
            following += 1
        stack = torch.cat([held[i] for i in range(first, last + 1)])
        next_first = spans[number + 1][0] if number + 1 < len(spans) else following
        held = {i: frame for i, frame in held.items() if i >= next_first}
        yield stack
