"""Figures 2a and 3b: lamps with and without clipping reverse, beside the exposure of their measured light.

The clips, their truth and the ways of restoring light are those of benchmarks/light.py: recipe `night`, 240x160."""

import itertools

import cv2
import light
import numpy as np
import torch

from experiments.place import Place
from lolblur_synth.frames import to_uint8

WAYS = ("none", "linear", "code", "hdr", "measured")
R = light.R.index(60.0)  # the middle of U(20, 100)
NIGHT = (light.GAINS >= 0.5 / 1.001) & (light.GAINS <= 2 * 1.001)  # the range of recipe night
GAIN = int(NIGHT.sum()) // 2  # the middle of it, 1
CROP = (80, 56)  # px, around the brightest part of a streak
ENLARGED = 3
EVERY = 3  # picture of the folder, in the order of their names
ROWS = 4  # pictures shown
UNSHOWN = "openexr"  # in the names of pictures whose licence would have to lie beside each crop
GAP = 6  # px


def fig2(place: Place, part: str, seed: int) -> dict:
    """PSNR over the streaks of HDR pictures, one view each, and a picture with crops of streaks."""
    speeds, figures, crops = itertools.cycle(light.SPEEDS), {}, []
    for path, views in itertools.islice(light.pictures(place.material / "hdr"), 0, place.scale.files or None, EVERY):
        pair = light.Pair(light.still(views[0], next(speeds)))
        if pair.streak.sum() < light.LEAST:
            continue
        frames = pair.guesses() | {"measured": [pair.measured()]}
        frames["hdr"] = [shown for shown, inside in zip(frames["hdr"], NIGHT, strict=True) if inside]
        figures[path.stem] = {name: float(np.mean([pair.psnr(one) for one in frames[name]])) for name in WAYS}
        middle = {"linear": R, "code": R, "hdr": GAIN}
        shown = [pair.true, *(frames[name][middle.get(name, 0)] for name in WAYS)]
        if UNSHOWN not in path.stem:
            crops.append((float(pair.true[:, pair.streak].mean()), _row(shown, pair)))
    best = [row for _, row in sorted(crops, key=lambda item: -item[0])[:ROWS]]
    if best:
        gap = np.full((GAP, best[0].shape[1], 3), 255, np.uint8)
        rows = itertools.chain.from_iterable((row, gap) for row in best)
        place.save_picture("fig2", np.concatenate([*rows][:-1]))
    means = {name: float(np.mean([row[name] for row in figures.values()])) for name in WAYS}
    return {"data": {"pictures": len(figures)}, "figures": {"mean": means, "clips": figures}}


def _row(shown: list[torch.Tensor], pair: light.Pair) -> np.ndarray:
    """The same crop of each frame, brightened by one gain, side by side: (h, w, 3) uint8 RGB."""
    _, top, left = most_light((pair.true.amax(0) * pair.streak).numpy(), CROP)
    gain = 1 / float(torch.stack([frame[:, top : top + CROP[1], left : left + CROP[0]] for frame in shown]).max())
    parts = []
    for frame in shown:
        crop = to_uint8((frame[:, top : top + CROP[1], left : left + CROP[0]] * gain).clamp(0, 1))
        large = enlarged(crop)
        parts += [large, np.full((large.shape[0], GAP, 3), 255, np.uint8)]
    return np.concatenate(parts[:-1], 1)


def most_light(values: np.ndarray, size: tuple[int, int]) -> tuple[float, int, int]:
    """The window of `size`, width and height in px, with most of `values`, (H, W) float32: how much, top, left."""
    sums = cv2.boxFilter(values, -1, size, normalize=False, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    inside = sums[: values.shape[0] - size[1] + 1, : values.shape[1] - size[0] + 1]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return float(inside.max()), int(top), int(left)


def enlarged(crop: np.ndarray) -> np.ndarray:
    return cv2.resize(crop, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
