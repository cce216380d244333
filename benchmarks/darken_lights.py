"""Is there a dark ring or a glow around the lights that darkening keeps? Radial profiles around each light.

    python benchmarks/darken_lights.py [night.mp4 dusk.png ...] [--recipe lolblur|night] [--sheet FOLDER]

A halo or a shadow around a light may be in the input. It is taken out: from the far surroundings of a light is learnt
what the darkening makes of each lightness there, l -> T(l), as a gain of light; T(l) is what a pixel near the light would
have become away from it. The profile is the mean of l' over the mean of T(l) at each distance from the
light. A dark ring is a dip in it: a distance at which it is lower than somewhere nearer and somewhere farther. A glow is
what it has above 1. The same measure at places without a light, where nothing was kept, says what the scenes alone give.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from lolblur_synth import frames as fr
from lolblur_synth import lamps, recipes
from lolblur_synth.recipe import DarkenConfig
from lolblur_synth.stages import darken

EDGES = np.array((1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48))  # of the rings, in pixels from the light
FAR = (64, 200)  # the surroundings that T is learnt from
JOINED = 9  # lights nearer than this are one
LEAST = 4, 60, 3000  # pixels of a light, of a ring, of the surroundings
MOST = 12  # lights of a frame, the largest


@dataclass(frozen=True)
class Profile:
    ratio: np.ndarray  # one a ring, from the light outwards; NaN where there are too few pixels
    row: int
    column: int

    def dip(self) -> float:
        """The dark ring, 0..1: how much lower a ring is than the far surroundings (1), a ring inside and one outside."""
        deepest = 0.0
        for k in range(1, len(self.ratio) - 1):
            walls = [np.nanmax(part) for part in (self.ratio[:k], self.ratio[k + 1 :]) if np.isfinite(part).any()]
            if len(walls) == 2 and np.isfinite(self.ratio[k]):
                deepest = max(deepest, 1 - self.ratio[k] / min(*walls, 1.0))
        return deepest


def profiles(before: torch.Tensor, after: torch.Tensor, lit: np.ndarray) -> list[Profile]:
    """Of each light in the boolean mask `lit` (H, W); before, after: lightness (1, 1, H, W) of one frame."""
    old, new = before[0, 0].numpy(), after[0, 0].numpy()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        cv2.dilate(lit.astype(np.uint8), np.ones((JOINED, JOINED), np.uint8)), connectivity=8)
    labels = np.where(lit, labels, 0)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sizes[0] = 0
    to_any = cv2.distanceTransform((~lit).astype(np.uint8), cv2.DIST_L2, 5)
    found = []
    for label in np.argsort(-sizes)[:MOST]:
        if sizes[label] < LEAST[0]:
            break
        mine = labels == label
        distance = cv2.distanceTransform((~mine).astype(np.uint8), cv2.DIST_L2, 5)
        judged = old <= lamps.SATURATED
        away = judged & (to_any >= FAR[0])
        if (away & (distance <= FAR[1])).sum() >= LEAST[2]:
            away &= distance <= FAR[1]
        if away.sum() < LEAST[2]:
            continue
        nearest = judged & (distance <= to_any + 0.5)
        expected = _learnt(old[away], new[away], old)
        ratio = np.full(len(EDGES) - 1, np.nan)
        for k, (low, high) in enumerate(zip(EDGES[:-1], EDGES[1:], strict=True)):
            ring = nearest & (distance >= low) & (distance < high)
            if ring.sum() >= LEAST[1]:
                ratio[k] = new[ring].mean() / expected[ring].mean().clip(1e-4)
        rows, columns = np.nonzero(mine)
        found.append(Profile(ratio, int(rows.mean()), int(columns.mean())))
    return found


def _learnt(old: np.ndarray, new: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """T of `wanted`: the gain of light from `old` to `new`, as a function of lightness; beyond them, as at their end."""
    edges = np.unique(np.quantile(old, np.linspace(0, 1, 25)))
    which = np.digitize(old, edges[1:-1])
    centres, gains = [], []
    for k in range(len(edges) - 1):
        here = which == k
        if here.sum() >= 50:
            x, y = (plane[here].mean(dtype=np.float64) for plane in (old, new))
            centres.append(x)
            gains.append(np.log(_light(y) / _light(x)))
    light = _light(wanted) * np.exp(np.interp(wanted, centres, gains)).astype(np.float32)
    return fr.luminance_to_lightness(torch.from_numpy(light)).numpy()


def _light(lightness: np.ndarray | float) -> np.ndarray:
    return fr.lightness_to_luminance(torch.as_tensor(lightness)).clamp_min(1e-7).numpy()


def elsewhere(lit: np.ndarray, before: torch.Tensor, seed: int) -> np.ndarray:
    """The mask moved to where it covers and neighbours no saturated pixel, for comparison; empty where there is none."""
    rng = np.random.default_rng(seed)
    saturated = cv2.dilate((before[0, 0].numpy() > lamps.SATURATED).astype(np.uint8), np.ones((97, 97), np.uint8)) > 0
    count, labels = cv2.connectedComponents(lit.astype(np.uint8), connectivity=8)
    moved = np.zeros_like(lit)
    for label in range(1, count):
        rows, columns = np.nonzero(labels == label)
        for _ in range(50):
            r = rows - rows.min() + rng.integers(lit.shape[0])
            c = columns - columns.min() + rng.integers(lit.shape[1])
            if r.max() < lit.shape[0] and c.max() < lit.shape[1] and not saturated[r, c].any():
                moved[r, c] = True
                break
    return moved


def judge(frame: torch.Tensor, config: DarkenConfig, exposure: float) -> tuple[list[Profile], list[Profile]]:
    """Profiles around the lights of a display frame (1, 3, H, W), and at places without a light."""
    before = fr.lightness(frame)
    after = fr.lightness(darken.apply(frame, config, darken.Draw(exposure, 1)))
    lit = ((before > lamps.SATURATED) & (lamps.find(before, config.lamp_area)[0] > 0.5))[0, 0].numpy()
    return profiles(before, after, lit), profiles(before, after, elsewhere(lit, before, 0))


def main() -> None:
    from darken import frame_of, windows_of  # beside this file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--recipe", default="lolblur")
    parser.add_argument("--frames", type=int, default=4)
    options = parser.parse_args()
    config = recipes.load(options.recipe).darken
    for name, stacks in windows_of(options.paths, options.frames).items():
        for exposure in (0.05, 0.1, 0.2, 0.3):
            here, there = [], []
            for stack in stacks:
                if darken.achievable(stack[:1], exposure):
                    a, b = judge(stack[:1], config, exposure)
                    here += a
                    there += b
            if here:
                rows = np.array([p.ratio for p in here])
                other = np.array([p.ratio for p in there]) if there else np.full((1, len(EDGES) - 1), np.nan)
                dips, dips0 = [p.dip() for p in here], [p.dip() for p in there] or [np.nan]
                print(f"{name[:24]:24} E {exposure:4} n {len(here):3} {len(there):3} dip med {np.median(dips):.3f} max {max(dips):.3f} "
                      f"ctl {np.median(dips0):.3f} {max(dips0):.3f} |", " ".join(f"{x:5.2f}" for x in np.nanmean(rows, 0)), "| ctl",
                      " ".join(f"{x:5.2f}" for x in np.nanmean(other, 0)))


if __name__ == "__main__":
    main()
