"""What light above white is worth: streaks of a whole pair, darkened, against the exposure of the true light.

    python benchmarks/light.py FOLDER_OF_HDR_PICTURES [--half chosen|confirmed|all]
    python benchmarks/light.py                       (moving lamps alone)

lamps     one lamp of 1.5 to 40 times white and of five colours on a textured ground, moving
pictures  flat HDR pictures, and views of 70 degrees into panoramas (width = 2 x height), moved straight: `.hdr` or
          `.exr`, exposed as night photographs are, to a mean L* of 31. Whole pixels a frame, so that frames are exact

Each is a clip of 240x160, built by the recipe `night` with all of its darkening, without denoising, noise and defocus;
its SDR frames have 8 bit. PSNR in display values over the streak, in dB: the pixels that differ by more than STREAK
between the exposure of the whole light and that of the clipped light.

The truth is the exposure integrated along the known path, at the instants of the build, from the picture's own light,
darkened as the build darkens it: source frame by source frame, light above white as the white below it, which keeps its
light in a lamp and loses some on a clipped wall. An instant has the light of the two nearest source frames, moved to
where it is: they are windows on one picture, at whole pixels. Beside a lamp darkening leaves a cliff in the frame. The
build interpolates it in display values, the truth in light: that limits `measured`, more so in small frames.

none, linear, code   no clip_reverse; the paper's, on darkened frames, mean over their draws
hdr LO..HI           gain log-uniform in that range, mean over its draws; the best single gain beside it
measured             the clip holds its light
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from harness import row, table

from lolblur_synth import frames as fr
from lolblur_synth import pipeline, recipes
from lolblur_synth.kernels import exposure
from lolblur_synth.stages import average, clip_reverse, darken, interpolate

SIZE = (240, 160)
VIEW = 70.0  # degrees across a frame
WINDOW, EXPOSURE = 7, 0.08
SPEEDS = ((3, 1), (8, -2))  # px a frame, across and down
YAWS = (0.0, 120.0, 240.0)  # degrees, of the views into a panorama
LIGHTNESS = 0.31  # mean L*/100 of SDR photographs of the night
STREAK = 4 / 255  # display values
LEAST = 40  # pixels of a streak
LAMPS = {"white": (1, 1, 1), "sodium": (1, 0.62, 0.16), "red": (1, 0.09, 0.06), "green": (0.1, 1, 0.15),
         "blue": (0.08, 0.12, 1)}  # fmt: skip
PEAKS = (1.5, 4, 10, 40)
R = (20.0, 40.0, 60.0, 80.0, 100.0)
GAINS = np.exp(np.linspace(np.log(0.1), np.log(10), 25))
RANGES = ((0.1, 1.0), (0.2, 2.0), (0.3, 3.0), (0.5, 5.0), (0.2, 8.0), (0.5, 2.0), (0.3, 10.0))


@dataclass(frozen=True)
class Clip:
    """frames: (T, H, W, 3) linear light, white = 1; speed: of the window over the picture, px a frame."""

    frames: np.ndarray
    speed: tuple[float, float]


def still(picture: np.ndarray, speed: tuple[float, float], size: tuple[int, int] = SIZE) -> Clip:
    """A window of `size` that moves straight over the middle of a picture (h, w, 3)."""
    count = 2 * average.reach(WINDOW) + 1
    x, y = ((picture.shape[1 - axis] - size[axis]) / 2 for axis in (0, 1))
    x, y = round(x - speed[0] * (count - 1) / 2), round(y - speed[1] * (count - 1) / 2)

    corners = [(x + speed[0] * time, y + speed[1] * time) for time in range(count)]
    return Clip(np.stack([shifted(picture, corner, 1, size) for corner in corners]), speed)


def shifted(image: np.ndarray, speed, time, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A window of an image (h, w, 3) whose corner is at speed * time, bilinear."""
    left, top = np.multiply(speed, time)
    to_frame = np.array([[1, 0, -left], [0, 1, -top]], np.float64)
    return cv2.warpAffine(image, to_frame, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def lamp(colour: tuple, peak: float) -> np.ndarray:
    """A picture with one soft round lamp in the middle of a textured ground."""
    rng, (width, height) = np.random.default_rng(0), (SIZE[0] + 140, SIZE[1] + 80)
    texture = cv2.GaussianBlur(rng.standard_normal((height, width, 3)).astype(np.float32), None, 2)
    ground = (0.22 + 0.06 * texture / texture.std()).clip(0.02, 1) ** fr.GAMMA
    y, x = np.mgrid[:height, :width].astype(np.float32)
    spot = 0.5 - 0.5 * np.tanh((np.hypot(x - width / 2, y - height / 2) - 6) / 1.2)
    return (ground + np.array(colour) * peak * spot[..., None]).astype(np.float32)


def pictures(folder: Path) -> Iterator[tuple[Path, list[np.ndarray]]]:
    """Pictures of linear light, exposed; of a panorama its views."""
    cv2.setNumThreads(1)
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in (".hdr", ".exr")):
        light = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if light is None:
            continue
        light = np.nan_to_num(light[..., 2::-1], posinf=0).clip(0)
        views = [view(light, yaw) for yaw in YAWS] if light.shape[1] == 2 * light.shape[0] else [flat(light)]
        yield path, [exposed(one) for one in views]


def flat(light: np.ndarray) -> np.ndarray:
    """As wide as a view, with a margin for the motion."""
    scale = 1.6 * SIZE[0] / light.shape[1]
    small = cv2.resize(light, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, None, 0.7)  # px; as sharp as a lens, and no sharper than linear resampling can move


def view(panorama: np.ndarray, yaw: float) -> np.ndarray:
    """A perspective view (h, w, 3), 1.6 times as large as a frame of VIEW degrees at the same scale."""
    width, height = round(1.6 * SIZE[0]), round(1.8 * SIZE[1])
    focal = SIZE[0] / 2 / np.tan(np.radians(VIEW / 2))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x - (width - 1) / 2) / focal, (y - (height - 1) / 2) / focal
    longitude = np.arctan2(x, 1) + np.radians(yaw)
    latitude = np.arctan2(-y, np.hypot(x, 1))
    rows, columns = panorama.shape[:2]
    at = (
        (longitude / (2 * np.pi) % 1 * columns).astype(np.float32),
        ((0.5 - latitude / np.pi) * rows).astype(np.float32),
    )
    return cv2.remap(panorama, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def exposed(light: np.ndarray) -> np.ndarray:
    """Scaled so that the clipped frame has the mean lightness of photographs of the night."""
    low, high = 1e-4, 1e6
    for _ in range(40):
        middle = np.sqrt(low * high)
        shown = display(light * middle / np.median(light).clip(1e-6))
        low, high = (middle, high) if fr.lightness(shown).mean() < LIGHTNESS else (low, middle)
    return (light * middle / np.median(light).clip(1e-6)).astype(np.float32)


def display(light: np.ndarray, extended: bool = False) -> torch.Tensor:
    """(…, H, W, 3) linear -> (T, 3, H, W) display; extended, or clipped and rounded to 8 bit."""
    stack = torch.from_numpy(np.ascontiguousarray(light if light.ndim == 4 else light[None])).permute(0, 3, 1, 2)
    shown = stack.clamp_min(0).pow(1 / fr.GAMMA)
    return shown.contiguous() if extended else shown.clamp(max=1).mul(255).round().div(255).contiguous()


class Pair:
    """A clip through the recipe `night`: its exposures by each way of restoring light, as display values (3, H, W)."""

    def __init__(self, clip: Clip):
        self.recipe, self.mid = recipes.load("night"), average.reach(WINDOW)
        dim = sum(self.recipe.darken.dim) / 2
        self.draws = {"darken": darken.Draw(EXPOSURE, dim), "interpolate": interpolate.Draw(),
                      "average": average.Draw(WINDOW)}  # fmt: skip
        self.instants = self.mid + average.times(WINDOW, self.recipe.interpolate.factor)
        self.extended = display(clip.frames, extended=True)
        self.true, clipped = self._true(clip)
        self.streak = (self.true - clipped).abs().amax(0) > STREAK

    def _darkened(self, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `pipeline.synthesise` darkens display frames; and the weight of lamps."""
        scaled = darken.scale(shown, self.recipe.darken, self.draws["darken"])
        return darken.with_lamps(scaled, self.recipe.darken, self.draws["darken"])

    def _true(self, clip: Clip) -> tuple[torch.Tensor, torch.Tensor]:
        """The exposure of the whole light and of the clipped light, darkened."""
        dark = fr.to_linear(self._darkened(self.extended.clamp(max=1))[0]).permute(0, 2, 3, 1).numpy()
        means = []
        for light in (dark * clip.frames.clip(min=1), dark):
            total = 0.0
            for time in self.instants:
                first, later = int(time), time % 1
                total += (1 - later) * shifted(light[first], clip.speed, later)
                total += later * shifted(light[first + 1], clip.speed, later - 1)
            means.append(fr.to_display(torch.from_numpy(total / len(self.instants)).permute(2, 0, 1).float()))
        return tuple(means)

    def measured(self) -> torch.Tensor:
        images, _ = pipeline.synthesise(self.extended, self.mid, self.recipe, self.draws)
        return fr.from_uint8(images["low_blur"])[0]

    def guesses(self) -> dict[str, list[torch.Tensor]]:
        """name -> the exposure for each draw."""
        sharp = self.extended.clamp(max=1).mul(255).round().div(255)
        dark, lamp = self._darkened(sharp)
        motion, config = interpolate.motion(sharp, self.recipe.interpolate, refuse_cuts=False), self.recipe.clip_reverse

        def exposed(space: str, r: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
            return exposure.integrate(dark, motion, self.instants, replace(config, space=space), r)

        light, mask = exposed("linear")
        above = clip_reverse.above(sharp, lamp, config, clip_reverse.Draw(0.0, 1.0))
        unit = exposure.integrate(dark, motion, self.instants, above=above)[0] - light  # affine in the gain
        found = {"none": [light], "linear": [light + mask * (r / 255) for r in R],
                 "code": [exposed("code", r)[0] for r in R],
                 "hdr": [light + unit * gain for gain in GAINS]}  # fmt: skip
        return {name: [fr.to_display(one) for one in exposures] for name, exposures in found.items()}

    def psnr(self, shown: torch.Tensor) -> float:
        error = (shown - self.true)[:, self.streak].square().mean().clamp_min(1e-8)
        return float(-10 * torch.log10(error))


def measure(clip: Clip) -> dict[str, np.ndarray] | None:
    """name -> PSNR of each draw; None where too little is a streak."""
    pair = Pair(clip)
    if pair.streak.sum() < LEAST:
        return None
    found = {name: np.array([pair.psnr(one) for one in shown]) for name, shown in pair.guesses().items()}
    return found | {"measured": np.array([pair.psnr(pair.measured())])}


def columns(found: dict[str, np.ndarray]) -> dict[str, float]:
    """The columns of a table from one clip: mean over the draws of each way; of hdr, for each range, and the best."""
    values = {name: float(found[name].mean()) for name in ("none", "linear", "code")}
    for low, high in RANGES:
        inside = (low / 1.001 <= GAINS) & (high * 1.001 >= GAINS)
        values[f"hdr {low:g}..{high:g}"] = float(found["hdr"][inside].mean())
    values["best gain"] = float(found["hdr"].max())
    values["(gain)"] = float(np.log(GAINS[found["hdr"].argmax()]))
    return values | {"measured": float(found["measured"][0])}


def show(name: str, rows: list[dict[str, float]]) -> None:
    means = {key: np.mean([one[key] for one in rows]) for key in rows[0]}
    row(name, *(f"{np.exp(value) if key == '(gain)' else value:.2f}" for key, value in means.items()))


def lamps() -> None:
    names, every = None, []
    for tint, colour in LAMPS.items():
        rows = []
        for peak in PEAKS:
            clips = [still(lamp(colour, peak), speed) for speed in SPEEDS]
            rows += [columns(found) for found in map(measure, clips) if found]
        if names is None:
            names = list(rows[0])
            table(f"Moving lamps, {min(PEAKS)} to {max(PEAKS)} times white, PSNR over the streak, dB", "lamp", *names)
        show(tint, rows)
        every += rows
    show("all", every)


def of_pictures(folder: Path, half: str) -> None:
    files, every = list(pictures(folder)), []
    names = None
    for number, (path, views) in enumerate(files):
        if half != "all" and (number % 3 == 2) != (half == "confirmed"):
            continue
        speeds = itertools.cycle(SPEEDS)
        clips = [still(one, next(speeds)) for one in views]
        rows = [columns(found) for found in map(measure, clips) if found]
        if not rows:
            continue
        if names is None:
            names = list(rows[0])
            table(f"Pictures ({half}), mean L* {100 * LIGHTNESS:.0f}, PSNR over the streak, dB", "picture", *names)
        show(f"{path.stem} ({len(rows)})", rows)
        every.append({key: float(np.mean([one[key] for one in rows])) for key in names})
    show("all, each file alike", every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="of .hdr or .exr pictures; without it: lamps alone")
    parser.add_argument("--half", choices=("chosen", "confirmed", "all"), default="all",
                        help="two thirds of the pictures (chosen) or the rest")  # fmt: skip
    words = parser.parse_args()
    lamps()
    if words.folder:
        of_pictures(words.folder, words.half)


if __name__ == "__main__":
    main()
