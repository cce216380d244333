"""Is there a dark ring or a glow around the lights that darkening keeps? Radial profiles around each light.

    python benchmarks/darken_lights.py [night.mp4 dusk.png ...]

A halo or a shadow around a light may be in the input. It is taken out: from the far surroundings of a light is learnt
what the darkening makes of each lightness there, l -> T(l), as a gain of light; T(l) is what a pixel near the light
would have become away from it. The profile is the mean of l' over the mean of T(l) at each distance from the light. A
dark ring is a dip in it: a distance at which it is below 1, below a ring inside it and below one outside it. A glow is
what the profile has above 1. The same measure at places without a light says what the scenes alone give.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from harness import table, windows_of

from lolblur_synth import frames as fr
from lolblur_synth import recipes
from lolblur_synth.recipe.schema import DarkenConfig
from lolblur_synth.stages import darken
from lolblur_synth.stages.darken import lights

EDGES = np.array((1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48))  # of the rings, in pixels from the light
FAR = (64, 200)  # the surroundings that T is learnt from
JOINED = 9  # lights nearer than this are one
LEAST = 4, 60, 3000  # pixels of a light, of a ring, of the surroundings
MOST = 12  # lights of a frame, the largest
EXPOSURES = (0.05, 0.1, 0.2, 0.3)
SAMPLE = Path(__file__).parent.parent / "lolblur_synth" / "samples" / "night_street_250fps.mp4"


@dataclass(frozen=True)
class Profile:
    ratio: np.ndarray  # one a ring, from the light outwards; NaN where there are too few pixels
    row: int
    column: int

    def dip(self) -> float:
        """The dark ring, 0..1: how far a ring is below the surroundings (1), a ring inside it and one outside it."""
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
        cv2.dilate(lit.astype(np.uint8), np.ones((JOINED, JOINED), np.uint8)), connectivity=8
    )
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
        judged = old <= lights.SATURATED
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
    """T of `wanted`: the gain of light from `old` to `new`, a function of lightness; beyond it, as at its end."""
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


def elsewhere(lit: np.ndarray, before: torch.Tensor) -> np.ndarray:
    """The lights of the mask, each moved to where no saturated pixel is near, for comparison; fewer where none fits."""
    rng = np.random.default_rng(0)
    saturated = cv2.dilate((before[0, 0].numpy() > lights.SATURATED).astype(np.uint8), np.ones((97, 97), np.uint8)) > 0
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


def table_of(material: dict, config: DarkenConfig) -> None:
    """A Markdown row an input (name -> stacks of frames), over all exposures of it that are darker than it is."""
    for name, stacks in material.items():
        here, there, kept = [], [], []
        frame = max((stack[:1] for stack in stacks), key=lambda x: float((fr.lightness(x) > lights.SATURATED).sum()))
        before = fr.lightness(frame)
        saturated = before > lights.SATURATED
        lit = saturated & (lights.find(before, config.lamp_area)[0] > 0.5)
        moved = elsewhere(lit[0, 0].numpy(), before)
        for exposure in [e for e in EXPOSURES if saturated.sum() >= 20 and darken.achievable(frame, e)]:
            after = fr.lightness(darken.apply(frame, config, darken.Draw(exposure, 1)))
            kept.append([100 * float((after[mask] > lights.SATURATED).float().mean()) for mask in (saturated, lit)])
            here += profiles(before, after, lit[0, 0].numpy())
            there += profiles(before, after, moved)
        if not kept:
            continue
        least = [f"{x:.1f} %" if np.isfinite(x) else "none" for x in np.min(kept, axis=0)]
        cells = [name, f"{100 * saturated.float().mean():.2f} %", *least, str(len(here) // len(kept))]
        for group in (here, there):
            dips = [profile.dip() for profile in group]
            cells.append(f"{np.median(dips):.2f} / {np.quantile(dips, 0.9):.2f} / {max(dips):.2f}" if dips else "-")
        means = [[_mean(profile.ratio[2:5]), _mean(profile.ratio[5:8]), _mean(profile.ratio[8:])] for profile in here]
        for share in range(3):
            values = [row[share] for row in means if np.isfinite(row[share])]
            cells.append(f"{np.median(values):.2f}" if values else "-")
        print(f"| {' | '.join(cells)} |")


def _mean(values: np.ndarray) -> float:
    found = values[np.isfinite(values)]
    return float(found.mean()) if found.size else np.nan


HEADS = (
    "input",
    "saturated",
    "kept",
    "kept, of lamps",
    "lights",
    "dark ring: median / 90 % / worst",
    "the same without a light",
    "3 to 8 px",
    "8 to 24 px",
    "24 to 48 px",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, default=[SAMPLE])
    parser.add_argument("--frames", type=int, default=4)
    options = parser.parse_args()
    material = windows_of(options.paths, options.frames)
    for recipe in ("lolblur", "night"):
        table(f"Lights, recipe {recipe}, exposures 0.05 to 0.3", *HEADS)
        table_of(material, recipes.load(recipe).darken)


if __name__ == "__main__":
    main()
