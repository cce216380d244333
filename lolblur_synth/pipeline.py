"""One pair, as in Figure 3 of the paper: source frames in, the five images and their draws out. No files here.

sharp  = denoise(resize(source))
scaled = dim(sharp)                      high_sharp_scaled, the ground truth
dark   = darken(scaled)                  low_sharp
blur   = average(clip_reverse(interpolate(dark)))
blur   = g(clip(defocus(blur)))          low_blur
noisy  = noise(blur)                     low_blur_noise

Light above white goes beside the dark frames, as linear light that the exposure carries along the same motion:

measured  what the source holds, darkened with the display frame; clip_reverse then has nothing to add
guessed   space "hdr" of clip_reverse, judged on the sharp frame, where a lamp of any colour is still clipped, and only
          on what darkening keeps lit. The spaces of the paper are judged on the dark frames, sample by sample

After each stage come those of the user that stand there, in the order of the recipe (`user.after`).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lolblur_synth import draw
from lolblur_synth import frames as fr
from lolblur_synth.kernels import exposure
from lolblur_synth.recipe import user_stages
from lolblur_synth.recipe.schema import STAGE_NAMES, Recipe
from lolblur_synth.stages import average, clip_reverse, darken, defocus, denoise, interpolate, noise, resize, user

STAGES = dict(
    zip(STAGE_NAMES, (resize, denoise, darken, interpolate, clip_reverse, average, defocus, noise), strict=True)
)


Span = tuple[int, int]  # first and last frame


def draw_all(recipe: Recipe, sha256: str, segment: int, pair: str, window: int, sigma: float,
             curve: tuple = (), moments: darken.Moments | None = None) -> dict:  # fmt: skip
    """Every draw of one pair, by stage.

    What a viewer would see flicker (darkness, r, kernel, noise level) is drawn once a segment; only the noise field
    is drawn for each pair. The window was drawn by the plan, sigma and curve were estimated from the clip.
    moments: of the lightness of the segment's frames, which decide its exposure with the draw; None: the draw alone.
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
        draws["darken"] = darken.asked_of(draws["darken"], recipe.darken, moments)
    if "noise" in draws:
        draws["noise"] = noise.reseed(draws["noise"], draw.rng(seed, sha256, f"pair-{pair}", "noise"))
    return draws | user.draw_all(recipe, sha256, segment, pair)


def plain(draws: dict) -> dict:
    """The draws as JSON-able values, for the manifest."""
    return {name: user.values(value) for name, value in draws.items()}


def stage_called(recipe: Recipe, name: str) -> Any:
    """A stage by its name: a module of ours, or an imported stage of the user; both have `draw` and `apply`."""
    stage = user_stages.named(recipe, name)
    return STAGES[name] if stage is None else user.Module(stage)


def prepare(frame: np.ndarray, recipe: Recipe) -> Tensor:
    """One source frame, (h, w, 3) float32 display RGB, extended where its light is measured, resized: (1, 3, H, W)."""
    source = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).unsqueeze(0).contiguous()
    return resize.apply(source, recipe.resize, resize.Draw())


def synthesise(
    source: Tensor, mid: int, recipe: Recipe, draws: dict, device: str = "cpu"
) -> tuple[dict[str, np.ndarray], dict]:
    """The five images of one pair, folder -> (H, W, 3) uint8 RGB; and what was measured: samples, confidence, and
    exposure, the mean L*/100 of low_sharp where high_sharp_scaled is not saturated: the one asked for, but below it
    where the source is darker than that.

    source: (T, 3, H, W) float32 display RGB, extended where its light is measured (frames.py), resized; mid: index of
    the ground truth in it. With "denoise" in `draws` it has the denoising context, else it is denoised already, as
    `denoised` streams it. All of it runs on `device`.
    """
    sharp, above, mid = _sharp(source.to(device), mid, recipe, draws)
    images, lamp = {"high_sharp_original": sharp[mid]}, None
    if "darken" in draws:
        dark = darken.scale(sharp, recipe.darken, draws["darken"])
        images["high_sharp_scaled"] = dark[mid].clone()  # a clone, so that the other frames can go
        dark, lamp = darken.with_lamps(dark, recipe.darken, draws["darken"])
    else:
        dark, images["high_sharp_scaled"] = sharp, sharp[mid]
    if above is not None:
        dark, above = _darkened(dark, above)
        draws = {name: drawn for name, drawn in draws.items() if name != "clip_reverse"}
    elif "clip_reverse" in draws and recipe.clip_reverse.space == "hdr":
        above = clip_reverse.above(sharp, lamp, recipe.clip_reverse, draws["clip_reverse"])
        draws = {name: drawn for name, drawn in draws.items() if name != "clip_reverse"}
    dark = user.after("darken", dark, recipe, draws)
    images["low_sharp"] = dark[mid]
    light, measured = expose(dark, sharp, mid, recipe, draws, above)
    light = user.after("average", light, recipe, draws)
    measured["exposure"] = round(darken.exposure_of(dark[mid, None], images["high_sharp_scaled"][None]), 4)
    blur = blurred(light, recipe, draws)
    images["low_blur"] = blur[0]
    images["low_blur_noise"] = noisy(blur, recipe, draws)[0]
    return {folder: fr.to_uint8(image) for folder, image in images.items()}, measured


def _sharp(source: Tensor, mid: int, recipe: Recipe, draws: dict) -> tuple[Tensor, Tensor | None, int]:
    """The denoised frames that the exposure needs, their measured light above white, and the ground truth's index."""
    reach = average.reach(draws["average"].window) if "average" in draws else 0
    needed = slice(mid - reach, mid + reach + 1)
    source, above = fr.split(source)
    source = user.after("resize", source, recipe, draws)
    if "denoise" in draws:
        sharp = denoise.apply(source, recipe.denoise, draws["denoise"], keep=needed)
    else:
        sharp = source[needed]
    if above is not None:
        above = above[needed].clone()
        sharp = torch.where(above > 0, 1, sharp)  # what is above white is white in the display frame
    return user.after("denoise", sharp, recipe, draws), above, reach


def _darkened(dark: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
    """Darkened display frames and the light above white of the frames before, both (T, 3, H, W): the light that is
    left, below white and above it.

    A value that has light above it was 1 before: dark^2.2 is the gain that darkening gave its light.
    """
    light = fr.to_linear(dark) * (1 + above)
    dark = torch.where(above > 0, fr.to_display(light), dark)
    return dark, torch.where(above > 0, light - 1, 0).clamp_(min=0)


def expose(
    dark: Tensor, guide: Tensor, mid: int, recipe: Recipe, draws: dict, above: Tensor | None = None
) -> tuple[Tensor, dict]:
    """The exposure in linear light, (1, 3, H, W): interpolate, clip_reverse and average as one streaming pass.

    Motion is estimated on the bright `guide`, where there is more to see; the light comes from `dark`. Without
    `interpolate` the source frames of the window are averaged; without `average` the mid frame is all there is.
    above: light above white of the dark frames, (T, 3, H, W) linear, which is carried along.
    """
    window = draws["average"].window if "average" in draws else 0
    if "interpolate" in draws and window:
        # the plan has kept scene cuts out of the window: what looks like one here is a flash, and is held
        motion = interpolate.motion(guide, recipe.interpolate, refuse_cuts=False)
        instants = mid + average.times(window, interpolate.factor(motion, recipe.interpolate))

        def moving(part: slice, *rule: Any, above: Tensor | None = above) -> Tensor:
            return exposure.expose(dark, motion, instants[part], *rule, above=above)

        light = _mean(moving, len(instants), recipe, draws, above)
        return light[None], {"samples": len(instants), "confidence": _confidence(motion)}
    window_frames = slice(mid - window // 2, mid + window // 2 + 1)
    shown = dark[window_frames]
    shown_above = None if above is None else above[window_frames]

    def still(part: slice, *rule: Any, above: Tensor | None = shown_above) -> Tensor:
        return exposure.expose_given(shown[part], *rule, above=None if above is None else above[part])

    return _mean(still, len(shown), recipe, draws, shown_above)[None], {"samples": len(shown), "confidence": None}


def _mean(expose_part: Callable[..., Tensor], count: int, recipe: Recipe, draws: dict, above: Tensor | None) -> Tensor:
    """The mean of the linear light of `count` samples, (3, H, W): as one pass, or sample by sample where stages of the
    user stand before the average.

    expose_part(part, config, draw, above=…): of the samples of a slice, clip-reversed by config and draw.
    """
    reverse = draws.get("clip_reverse")
    rule = (recipe.clip_reverse if reverse else None, reverse)
    places = {stage.after for stage in recipe.stages} & {"interpolate", "clip_reverse"}
    if not places:
        return expose_part(slice(None), *rule)
    total: Tensor | float = 0.0
    for number in range(count):
        part = slice(number, number + 1)
        if "interpolate" in places:
            plain = expose_part(part, above=None)
            shown = user.after("interpolate", fr.to_display(plain)[None], recipe, draws)
            light = exposure.expose_given(shown, *rule)
            light = light if above is None else light + (expose_part(part) - plain)
        else:
            light = expose_part(part, *rule)
        total = total + user.after("clip_reverse", light[None], recipe, draws)[0]
    return total / count


def blurred(light: Tensor, recipe: Recipe, draws: dict) -> Tensor:
    """The linear light of an exposure, (T, 3, H, W), defocused as far as it is drawn, clipped, as display values."""
    if "defocus" in draws:
        light = defocus.apply(light, recipe.defocus, draws["defocus"])
    return fr.to_display(user.after("defocus", light, recipe, draws))


def noisy(blur: Tensor, recipe: Recipe, draws: dict) -> Tensor:
    """Display frames (T, 3, H, W) with the noise that is drawn."""
    if "noise" in draws:
        blur = noise.apply(blur, recipe.noise, draws["noise"])
    return user.after("noise", blur, recipe, draws)


def _confidence(motion: interpolate.Motion) -> float | None:
    """Of the frame pair that could be followed least: the mean trust there, 0..1; None where the method knows none."""
    least = float(motion.confidence.min())
    return None if math.isnan(least) else round(least, 4)


def spans(
    source: Iterator[np.ndarray], start: int, wanted: list[tuple[int, int]], recipe: Recipe
) -> Iterator[Iterator]:
    """For each of `wanted` (first, last), in time order, its frames (1, 3, H, W), resized; one pass over the frames
    `start`, start + 1, … of the source.

    Spans may overlap. Each is read only as far as it is iterated, and ends when the next one is asked for.
    """
    held: dict[int, Tensor] = {}
    following = start

    def frames(first: int, last: int, kept_from: float) -> Iterator[Tensor]:
        nonlocal following
        for number in range(first, last + 1):
            while following < number:
                next(source)
                following += 1
            if number == following:
                frame = prepare(next(source), recipe)
                following += 1
            else:
                frame = held[number]
            if number >= kept_from:
                held[number] = frame
            yield frame

    for number, (first, last) in enumerate(wanted):
        kept_from = wanted[number + 1][0] if number + 1 < len(wanted) else math.inf
        yield frames(first, last, kept_from)
        held = {i: frame for i, frame in held.items() if i >= kept_from}


def denoised(frames: Iterator[Tensor], first: int, unit: tuple[int, int], recipe: Recipe, draw: denoise.Draw,
             device: str) -> Iterator[Tensor]:  # fmt: skip
    """The frames `unit` (first, last) of a stream that begins with frame `first`, denoised: (1, 3, H, W) each.

    Light above white is not denoised; it is carried on. `device`: where it is computed.
    """
    light: dict[int, Tensor] = {}  # above white, by frame

    def display() -> Iterator[Tensor]:
        for number, frame in enumerate(frames, first):
            shown, above = fr.split(frame.to(device))
            if above is not None and unit[0] <= number <= unit[1]:
                light[number] = above
            yield shown

    kept = range(unit[0] - first, unit[1] - first + 1)
    for number, frame in enumerate(denoise.stream(display(), recipe.denoise, draw, kept), unit[0]):
        above = light.pop(number, None)
        frame = frame.to(device)
        yield frame if above is None else fr.join(torch.where(above > 0, 1, frame), above)


def windows(frames: Iterator[Tensor], first: int, wanted: list[Span]) -> Iterator[Tensor]:
    """Stacks (T, 3, H, W) for `wanted` (first, last), in time order, from a stream that begins with frame `first`.

    A frame is forgotten when no later span needs it.
    """
    held: dict[int, Tensor] = {}
    following = first
    for number, (start, last) in enumerate(wanted):
        while following <= last:
            frame = next(frames)
            if following >= start:
                held[following] = frame
            following += 1
        stack = torch.cat([held[i] for i in range(start, last + 1)])
        next_start = wanted[number + 1][0] if number + 1 < len(wanted) else following
        held = {i: frame for i, frame in held.items() if i >= next_start}
        yield stack
