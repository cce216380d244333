"""Does `darken` do what it says? Figures on real pictures: obedience, colour, lamps, flicker, statistics, cost.

    python benchmarks/darken.py held-out-photos/ held-out.mp4 ... [--weights NAME|FILE] [--frames 4] [--sheet sheet.png]

Give pictures and videos that the weights were not trained on (their card lists the others). Everything is cropped to
1120x640 first. Prints one Markdown table a question.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.optimize import brentq
from scipy.stats import spearmanr
from skimage.color import rgb2lab

from lolblur_synth import frames as fr
from lolblur_synth import weights
from lolblur_synth.images import read_image
from lolblur_synth.recipe import DarkenConfig, InputConfig, ResizeConfig
from lolblur_synth.stages import darken, resize
from lolblur_synth.video import IMAGE_SUFFIXES, find, probe, read
from lolblur_synth.video.inputs import image_files

REQUESTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
WINDOW = 9
# Smallest and largest of the sample frames of the LEDNet repository: 4 of LOL-Blur, 10 real ones at night.
PUBLISHED = {"mean level, 0..255": (13, 39), "median L*": (6.5, 16), "L* > 98, %": (0, 0.66)}


def table(title: str, *heads: str) -> None:
    print(f"\n### {title}\n\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def frame_of(pixels: np.ndarray) -> torch.Tensor:
    source = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].contiguous()
    return resize.apply(source, ResizeConfig(), resize.Draw())


def windows_of(paths: list[Path], count: int) -> dict[str, list[torch.Tensor]]:
    """name -> stacks (T, 3, 640, 1120): single pictures, or `count` windows spread over a video."""
    found = {file.name: [frame_of(read_image(file))] for file in paths if file.suffix.lower() in IMAGE_SUFFIXES}
    for source in find([file for file in paths if file.suffix.lower() not in IMAGE_SUFFIXES])[0]:
        if source.kind == "images":
            found |= {file.name: [frame_of(read_image(file))] for file in image_files(source.path)}
            continue
        video = probe(source, InputConfig(), fps=250.0)
        starts = np.linspace(0, video.frames - WINDOW, count).astype(int) if video.frames >= WINDOW else []
        stacks = {int(start): [] for start in starts}
        for index, pixels in enumerate(read(video, 0, max(stacks, default=-WINDOW) + WINDOW)):
            for start, stack in stacks.items():
                if start <= index < start + WINDOW:
                    stack.append(frame_of(pixels))
        found[source.name] = [torch.cat(stack) for stack in stacks.values()]
    return found


def obedience(material: dict, config: DarkenConfig) -> None:
    table("Exposure: asked and achieved", "input", "before", "mean error", "worst error", "monotone", "Spearman")
    everything = []
    for name, stacks in material.items():
        errors, orders, rising = [], [], True
        for stack in stacks:
            before = darken.exposure_of(stack)
            asked = [e for e in REQUESTS if e < before]
            got = [darken.exposure_of(darken.apply(stack, config, darken.Draw(e, 1)), stack) for e in asked]
            errors += np.abs(np.subtract(got, asked)).tolist()
            rising &= bool(np.all(np.diff(got) > 0))
            orders.append(spearmanr(asked, got).statistic if len(asked) > 2 else 1.0)
        everything += errors
        row(name, f"{before:.2f}", f"{np.mean(errors):.4f}", f"{max(errors):.4f}", "yes" if rising else "NO",
            f"{min(orders):.3f}")
    row("all", "", f"{np.mean(everything):.4f}", f"{max(everything):.4f}", "", "")


def gamma_darkened(frame: torch.Tensor, exposure: float) -> torch.Tensor:
    """frame^gamma, gamma solved for the same exposure: what the paper warns of."""
    power = brentq(lambda log: darken.exposure_of(frame ** np.exp(log), frame) - exposure, 0, 4, xtol=1e-3)
    return frame ** float(np.exp(power))


def colour_change(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float, float]:
    """Mean hue shift in degrees, mean |chroma ratio - 1| and mean b* shift of `after` against `before` as dark.

    On unsaturated pixels that show a colour (chroma of the reference above 2).
    """
    gain = fr.luminance(after) / fr.luminance(before).clamp_min(1e-6)
    reference = fr.light_to_srgb(fr.srgb_to_light(before) * gain)
    a, b = (rgb2lab(x[0].permute(1, 2, 0).numpy()).astype(np.float64) for x in (reference, after))
    chroma_a, chroma_b = np.hypot(a[..., 1], a[..., 2]), np.hypot(b[..., 1], b[..., 2])
    shown = (chroma_a > 2) & (fr.lightness(before)[0, 0].numpy() <= darken.SATURATED)
    if not shown.any():
        return 0.0, 0.0, 0.0
    turn = np.degrees(np.arctan2(b[..., 2], b[..., 1]) - np.arctan2(a[..., 2], a[..., 1]))
    turn = np.abs((turn + 180) % 360 - 180)[shown].mean()
    return turn, np.abs(chroma_b / chroma_a.clip(1e-6) - 1)[shown].mean(), (b[..., 2] - a[..., 2])[shown].mean()


def colour(material: dict, config: DarkenConfig) -> None:
    table("Colour, against the input at the same luminance", "exposure", "method", "hue", "chroma", "b* (warm above 0)")
    for exposure in (0.05, 0.1, 0.2):
        rows: dict[str, list] = {"darken": [], "darken, 8-bit": [], "gamma": []}
        for stacks in material.values():
            frame = stacks[0][:1]
            if not darken.achievable(frame, exposure):
                continue
            ours = darken.apply(frame, config, darken.Draw(exposure, 1))
            rows["darken"].append(colour_change(frame, ours))
            rows["darken, 8-bit"].append(colour_change(frame, ours.mul(255).round() / 255))
            rows["gamma"].append(colour_change(frame, gamma_darkened(frame, exposure)))
        for name, values in rows.items():
            turn, chroma, warm = np.mean(values, 0)
            row(str(exposure), name, f"{turn:.2f} deg", f"{100 * chroma:.1f} %", f"{warm:+.2f}")


def lights(material: dict, config: DarkenConfig) -> None:
    table("Lights: saturated pixels (L* > 98) that stay so at exposure 0.1", "input", "saturated", "kept, of lamps",
          "kept, of all", "kept, of all, with lamp_area = 1", "ring")
    keep_all = DarkenConfig(weights=config.weights, lamp_area=1.0)
    for name, stacks in material.items():
        frame = stacks[0][:1]
        before = fr.lightness(frame)
        saturated = before > darken.SATURATED
        if not saturated.any() or not darken.achievable(frame, 0.1):
            continue
        after, all_kept = (fr.lightness(darken.apply(frame, c, darken.Draw(0.1, 1))) for c in (config, keep_all))
        lamp = saturated & (darken.lamps(before, config.lamp_area) > 0.5)
        share = [100 * float((out[mask] > darken.SATURATED).float().mean()) if mask.any() else np.nan
                 for out, mask in ((after, lamp), (after, saturated), (all_kept, saturated))]
        around = ring(before, after, lamp)
        kept = ("no lamp" if np.isnan(x) else f"{x:.1f} %" for x in share)
        row(name, f"{100 * saturated.float().mean():.2f} %", *kept, "-" if np.isnan(around) else f"{around:.2f}")
    print("\nring: share of its lightness that a pixel keeps 2 to 12 px from a lamp, relative to pixels that were")
    print("as bright, 40 to 100 px from it. Below 1 is a dark ring, above 1 a glow.")


def ring(before: torch.Tensor, after: torch.Tensor, lamp: torch.Tensor) -> float:
    if not lamp.any():
        return np.nan
    far = cv2.distanceTransform((~lamp[0, 0]).numpy().astype(np.uint8), cv2.DIST_L2, 5)
    old, new = before[0, 0].numpy(), after[0, 0].numpy()
    near, away, ratios = (far >= 2) & (far <= 12), (far >= 40) & (far <= 100), []
    for low in np.arange(0.2, 0.9, 0.1):
        level = (old >= low) & (old < low + 0.1)
        if (near & level).sum() > 50 and (away & level).sum() > 50:
            kept = new / old.clip(1e-6)
            ratios.append(kept[near & level].mean() / kept[away & level].mean())
    return float(np.mean(ratios)) if ratios else np.nan


def flicker(material: dict, config: DarkenConfig) -> None:
    table("Flicker: deviation of the mean lightness over 30 frames of a still scene with noise of 2/255", "input",
          "before", "frame by frame", "windows of 9")
    for name, stacks in list(material.items())[:2]:
        rng = np.random.default_rng(0)
        still = stacks[0][:1]
        noise = (torch.from_numpy(rng.normal(0, 2 / 255, still.shape)).float() for _ in range(30))
        frames = [(still + grain).clamp(0, 1) for grain in noise]
        alone = [fr.lightness(darken.apply(frame, config, darken.Draw(0.1, 1))).mean() for frame in frames]
        windows = [torch.cat(frames[i : i + WINDOW]) for i in range(0, 30 - WINDOW + 1, 3)]
        middle = [fr.lightness(darken.apply(window, config, darken.Draw(0.1, 1))[4:5]).mean() for window in windows]
        shares = [100 * np.std(x) / np.mean(x) for x in ([fr.lightness(f).mean() for f in frames], alone, middle)]
        row(name, *(f"{share:.3f} %" for share in shares))


def statistics(material: dict, config: DarkenConfig) -> None:
    table("low_sharp with E ~ U(0.05, 0.3)", "quantile", "10 %", "50 %", "90 %", "published night frames")
    rng, rows = np.random.default_rng(0), []
    for stacks in material.values():
        for stack in stacks * max(1, 24 // len(stacks)):
            drawn = darken.draw(config, rng)
            out = darken.apply(darken.scale(stack[:1], config, drawn), config, drawn)
            lightness = 100 * fr.lightness(out)
            saturated = 100 * float((lightness > 98).float().mean())
            rows.append((255 * float(out.mean()), float(lightness.median()), saturated))
    for (name, (low, high)), values in zip(PUBLISHED.items(), np.transpose(rows), strict=True):
        row(name, *(f"{x:.2f}" for x in np.quantile(values, (0.1, 0.5, 0.9))), f"{low} to {high}")


def cost(material: dict, config: DarkenConfig) -> None:
    torch.set_num_threads(1)
    stack = max((stack for stacks in material.values() for stack in stacks), key=len)
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        darken.apply(stack, config, darken.Draw(0.1, 1))
        seconds.append((time.process_time() - begun) / len(stack))
    print(f"\n### Cost\n\n{min(seconds):.3f} CPU-seconds a frame on one core, in windows of {len(stack)}, best of 3")


def sheet(material: dict, config: DarkenConfig, path: Path) -> None:
    """One row an input: as it is, and darkened to 0.05, 0.1, 0.2, 0.3."""
    rows = []
    for stacks in material.values():
        frame = stacks[len(stacks) // 2][:1]
        shown = [frame] + [darken.apply(frame, config, darken.Draw(e, 1)) for e in (0.05, 0.1, 0.2, 0.3)]
        rows.append(np.hstack([cv2.resize(fr.to_uint8(x[0]), (448, 256), interpolation=cv2.INTER_AREA) for x in shown]))
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--weights", default="darken-slim")
    parser.add_argument("--frames", type=int, default=4, help="windows of each video")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet")
    options = parser.parse_args()
    config = DarkenConfig(weights=options.weights)
    material = windows_of(options.paths, options.frames)
    print(f"weights {options.weights} {weights.sha256(options.weights)[:12]}, torch {torch.__version__}")
    for question in (obedience, colour, lights, flicker, statistics, cost):
        question(material, config)
    if options.sheet:
        sheet(material, config, options.sheet)


if __name__ == "__main__":
    main()
