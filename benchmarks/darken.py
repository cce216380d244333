"""Does `darken` do what it says? Figures on real pictures: exposure_error, colour, lamps, flicker, statistics, cost.

    python benchmarks/darken.py held-out-photos/ held-out.mp4 ... [--also seen.mp4 ...] [--weights NAME|FILE]

Give pictures and videos that the weights were not trained on (their card lists those that they were); --also those,
for the questions about lights and statistics, which training does not answer. Everything is cropped to 1120x640 first.
Prints one Markdown table a question.
"""

import argparse
import functools
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import darken_lights
import numpy as np
import torch
from harness import WINDOW, frame_of, row, table, windows_of
from scipy.optimize import brentq
from scipy.stats import spearmanr
from skimage.color import rgb2lab

from lolblur_synth import frames as fr
from lolblur_synth import recipes
from lolblur_synth.files import weights
from lolblur_synth.files.video import find, probe, read, write_video
from lolblur_synth.recipe.schema import DarkenConfig, InputConfig
from lolblur_synth.stages import darken
from lolblur_synth.stages.darken import lights as lamps

REQUESTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
LEAST = 8 / 255  # brightest channel of a pixel whose colour is judged
DRAWS = 24  # exposures drawn for the frames of an input
NIGHT = recipes.load("night").darken
# Smallest and largest of the sample frames in the LEDNet repository, 4 of LOL-Blur and 10 real ones at night.
PUBLISHED = {"mean level, 0..255": (13, 39), "median L*": (6.5, 16), "L* > 98, %": (0, 0.66)}


def exposure_error(material: dict, config: DarkenConfig) -> None:
    table(
        "Exposure: asked and achieved, 0.05 to 0.5 where the input is brighter; single frames and windows of 9",
        "input",
        "before",
        "mean error",
        "worst error",
        "monotone",
        "least Spearman",
    )
    everything = []
    for name, stacks in material.items():
        errors, orders, rising = [], [], True
        for stack in stacks:
            before = darken.exposure_of(stack[:1])
            asked = [e for e in REQUESTS if e < before]
            got = [achieved(stack[:1], config, exposure) for exposure in asked]
            errors += np.abs(np.subtract(got, asked)).tolist()
            rising &= bool(np.all(np.diff(got) > 0))
            orders += [spearmanr(asked, got).statistic] if len(asked) > 2 else []
            if len(stack) > 1 and darken.achievable(stack, 0.1):
                errors.append(abs(achieved(stack, config, 0.1) - 0.1))
        everything += errors
        if errors:
            row(
                name,
                f"{before:.2f}",
                f"{np.mean(errors):.4f}",
                f"{max(errors):.4f}",
                "yes" if rising else "NO",
                f"{min(orders):.3f}" if orders else "-",
            )
    row("all", "", f"{np.mean(everything):.4f}", f"{max(everything):.4f}", "", "")


def achieved(frames: torch.Tensor, config: DarkenConfig, exposure: float) -> float:
    """Mean L*/100 of the darkened frames over the pixels that were not saturated."""
    return darken.exposure_of(darken.apply(frames, config, darken.Draw(exposure, 1)), frames)


def gamma_darkened(frame: torch.Tensor, exposure: float) -> torch.Tensor:
    """frame^gamma, gamma solved for the same exposure: what the paper warns of."""
    few = frame[..., ::4, ::4]
    power = brentq(lambda log: darken.exposure_of(few ** np.exp(log), few) - exposure, 0, 4, xtol=1e-3)
    return frame ** float(np.exp(power))


def colour_change(before: torch.Tensor, after: torch.Tensor, levels: int) -> np.ndarray:
    """Hue shift in degrees, |chroma ratio - 1|, b* shift of `after` against `before` scaled to its luminance; and 1.

    levels: `after` is rounded to so many, 0 for float. Sums over unsaturated pixels, weighted by the chroma of the
    reference, for the hue of a grey pixel means nothing; those below LEAST in every channel are left out, for at two
    or three code values rounding alone decides the hue.
    """
    gain = fr.luminance(after) / fr.luminance(before).clamp_min(1e-6)
    reference = fr.light_to_srgb(fr.srgb_to_light(before) * gain)
    shown = after.mul(levels).round().div(levels) if levels else after
    a, b = (rgb2lab(x[0].permute(1, 2, 0).numpy()).astype(np.float64) for x in (reference, shown))
    chroma_a, chroma_b = np.hypot(a[..., 1], a[..., 2]), np.hypot(b[..., 1], b[..., 2])
    judged = (fr.lightness(before)[0, 0] <= lamps.SATURATED) & (reference[0].amax(0) >= LEAST)
    weight = chroma_a * judged.numpy()
    turn = np.degrees(np.arctan2(b[..., 2], b[..., 1]) - np.arctan2(a[..., 2], a[..., 1]))
    turn = np.abs((turn + 180) % 360 - 180)
    change = np.abs(chroma_b - chroma_a) / chroma_a.clip(1e-6)
    return np.array([(weight * x).sum() for x in (turn, change, b[..., 2] - a[..., 2], np.ones_like(turn))])


def colour(material: dict, config: DarkenConfig) -> None:
    table(
        "Colour, against the input at the same luminance; all inputs together, weighted by chroma",
        "exposure",
        "precision",
        "hue, darken",
        "hue, gamma",
        "chroma, darken",
        "chroma, gamma",
        "b* (warm > 0), darken",
        "gamma",
    )
    frames = [stacks[len(stacks) // 2][:1] for stacks in material.values()]
    for exposure in (0.05, 0.1, 0.2, 0.3):
        sums = np.zeros((2, 2, 4))  # precision, method, figure
        for frame in frames:
            if darken.achievable(frame, exposure):
                both = darken.apply(frame, config, darken.Draw(exposure, 1)), gamma_darkened(frame, exposure)
                sums += [
                    [colour_change(frame[..., ::2, ::2], out[..., ::2, ::2], levels) for out in both]
                    for levels in (0, 255)
                ]
        for precision, (ours, gamma) in zip(("float32", "8 bit"), sums / sums[..., 3:], strict=True):
            row(
                str(exposure),
                precision,
                f"{ours[0]:.2f} deg",
                f"{gamma[0]:.2f} deg",
                f"{100 * ours[1]:.1f} %",
                f"{100 * gamma[1]:.0f} %",
                f"{ours[2]:+.2f}",
                f"{gamma[2]:+.2f}",
            )


def lights(material: dict, config: DarkenConfig) -> None:
    for name, settings in (("lolblur", config), ("night", replace(NIGHT, weights=config.weights))):
        table(f"Lights, recipe {name}, exposures 0.05 to 0.3 (see darken_lights.py)", *darken_lights.HEADS)
        darken_lights.table_of(material, settings)


def flicker(material: dict, config: DarkenConfig) -> None:
    table(
        "Flicker: deviation of the mean lightness over 30 frames of a still scene, noise of 2/255, E = 0.1",
        "input",
        "before",
        "frame by frame",
        "windows of 9",
        "through H.264: before",
        "frame by frame",
        "windows of 9",
    )
    for name, stacks in [(n, s) for n, s in material.items() if darken.achievable(s[0][:1], 0.1)][:4]:
        rng, still = np.random.default_rng(0), stacks[0][:1]
        noise = (torch.from_numpy(rng.normal(0, 2 / 255, still.shape)).float() for _ in range(30))
        frames = [(still + grain).clamp(0, 1) for grain in noise]
        with tempfile.TemporaryDirectory() as folder:
            write_video(Path(folder) / "still.mp4", (fr.to_uint8(x[0]) for x in frames), 30.0)
            coded = [frame_of(x) for x in read(probe(find([Path(folder)])[0][0], InputConfig()))]
        row(name, *(f"{share:.3f} %" for clip in (frames, coded) for share in unsteadiness(clip, config)))


def unsteadiness(frames: list[torch.Tensor], config: DarkenConfig) -> list[float]:
    """Deviation over mean, in percent, of the mean lightness: before, darkened one by one, in the middle of windows."""
    alone = [darken.apply(frame, config, darken.Draw(0.1, 1)) for frame in frames]
    windows = [torch.cat(frames[i : i + WINDOW]) for i in range(0, len(frames) - WINDOW + 1, 3)]
    middle = [darken.apply(window, config, darken.Draw(0.1, 1))[WINDOW // 2, None] for window in windows]
    levels = ([float(fr.lightness(frame).mean()) for frame in clip] for clip in (frames, alone, middle))
    return [100 * np.std(x) / np.mean(x) for x in levels]


def statistics(material: dict, config: DarkenConfig) -> None:
    table(
        "low_sharp beside the published night frames, at half size",
        "recipe",
        "figure",
        "10 %",
        "50 %",
        "90 %",
        "published",
        "below",
        "within",
        "above",
    )
    for name, settings in (("lolblur", config), ("night", replace(NIGHT, weights=config.weights))):
        rng, rows, greys = np.random.default_rng(0), [], []
        for stacks in material.values():
            for stack in stacks * max(1, DRAWS // max(1, len(stacks))):
                drawn = darken.asked_of(darken.draw(settings, rng), settings, moments_of(stack[:1]))
                frame = torch.nn.functional.avg_pool2d(stack[:1], 2)
                out = darken.apply(darken.scale(frame, settings, drawn), settings, drawn)
                lightness = 100 * fr.lightness(out)
                saturated = 100 * float((lightness > 98).float().mean())
                rows.append((255 * float(out.mean()), float(lightness.median()), saturated))
                greys.append(rows[-1][0] / np.interp(float(lightness.mean()) / 100, *least_levels()))
        print(
            f"{name}: mean level over the least that a grey frame of the same mean L* can have, 5, 50, 95 %: "
            + ", ".join(f"{x:.2f}" for x in np.quantile(greys, (0.05, 0.5, 0.95)))
        )
        for (figure, (low, high)), values in zip(PUBLISHED.items(), np.transpose(rows), strict=True):
            shares = [np.mean(values < low), np.mean((values >= low) & (values <= high)), np.mean(values > high)]
            row(
                f"{name}, E {settings.exposure[0]:g} to {settings.exposure[1]:g}",
                figure,
                *(f"{x:.2f}" for x in np.quantile(values, (0.1, 0.5, 0.9))),
                f"{low:g} to {high:g}",
                *(f"{100 * share:.0f} %" for share in shares),
            )


def moments_of(frames: torch.Tensor) -> darken.Moments:
    lightness = fr.lightness(frames).double()
    unsaturated = lightness[lightness <= lamps.SATURATED]
    return float(unsaturated.mean()), float((unsaturated**2).mean())


@functools.cache
def least_levels() -> tuple[np.ndarray, np.ndarray]:
    """Mean L* / 100, and the least mean code value, 0..255, of grey frames that have it.

    A frame is a mixture of greys, so that this is the lower convex hull of the code value as a function of L*.
    """
    lightness = np.linspace(0, 1, 1001)
    code = fr.light_to_srgb(fr.lightness_to_luminance(torch.from_numpy(lightness))).numpy() * 255
    hull = []
    for point in zip(lightness, code, strict=True):
        while len(hull) > 1 and slope(hull[-2], hull[-1]) >= slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    return tuple(np.transpose(hull))


def slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def cost(material: dict, config: DarkenConfig) -> None:
    torch.set_num_threads(1)
    stack = max((s for stacks in material.values() for s in stacks if darken.achievable(s, 0.1)), key=len)
    table("Cost: CPU-seconds a frame on one core, best of 5", "frames together", "seconds a frame")
    for count in (1, len(stack)):
        seconds = []
        for _ in range(6):  # the first one loads the network
            begun = time.process_time()
            darken.apply(stack[:count], config, darken.Draw(0.1, 1))
            seconds.append((time.process_time() - begun) / count)
        row(str(count), f"{min(seconds[1:]):.3f}")


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
    parser.add_argument("paths", nargs="*", type=Path, default=[darken_lights.SAMPLE])
    parser.add_argument("--also", nargs="*", default=[], type=Path, help="footage that may have been trained on")
    parser.add_argument("--weights", default="darken-slim")
    parser.add_argument("--frames", type=int, default=4, help="windows of each video")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet")
    options = parser.parse_args()
    config = DarkenConfig(weights=options.weights)
    material = windows_of(options.paths, options.frames)
    print(f"weights {options.weights} {weights.sha256(options.weights)[:12]}, torch {torch.__version__}")
    for question in (exposure_error, colour, flicker, cost):
        question(material, config)
    material |= windows_of(options.also, options.frames)
    for question in (lights, statistics):
        question(material, config)
    if options.sheet:
        sheet(material, config, options.sheet)


if __name__ == "__main__":
    main()
