"""How true and how costly an exposure is.

    python benchmarks/exposure.py truth | centroid | streaks | cost
    python benchmarks/exposure.py heldout VIDEO ...

truth     the average of interpolated frames against the rendered exposure of a clipped two-layer scene, PSNR in dB
centroid  of a moving dot's blur against the ground truth frame, in source frames
streaks   clip_reverse against the HDR blur of moving lights, PSNR over the streak in dB
cost      CPU-seconds of one blurry 1120x640 frame (set NUMBA_NUM_THREADS=1)
heldout   every second frame of a real video, from its neighbours, PSNR in dB
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
import torch
from scipy.ndimage import gaussian_filter, spline_filter

from lolblur_synth import frames as fr
from lolblur_synth.kernels import exposure as fused
from lolblur_synth.recipe import ClipReverseConfig, InterpolateConfig
from lolblur_synth.stages import average, clip_reverse, interpolate

HEIGHT, WIDTH, WINDOW, MID = 256, 448, 9, 5  # the scene, px; the window; index of its mid frame
PHOTOS = ("coffee", "astronaut", "chelsea", "rocket")
METHODS = {
    "blend": InterpolateConfig(method="blend"),
    "ultrafast": InterpolateConfig(preset="ultrafast"),
    "fast": InterpolateConfig(preset="fast"),
    "medium": InterpolateConfig(),
    "fine": InterpolateConfig(preset="fine"),
    "medium adaptive": InterpolateConfig(factor="adaptive"),
    "net": InterpolateConfig(method="net"),
}
LAMPS = {"white": (1, 1, 1), "sodium": (1, 0.62, 0.16), "red": (1, 0.09, 0.06)}
PEAKS = (1.5, 4, 20, 100)
R = (20.0, 40.0, 60.0, 80.0, 100.0)
GAINS = tuple(0.2 * 40 ** (k / 12) for k in range(13))  # 0.2..8


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))


def shown(light: np.ndarray) -> np.ndarray:
    return np.clip(light, 0, 1) ** (1 / fr.GAMMA)


class Layers:
    """A photograph behind rotated boxes of another one, with small lights in both, that move along an arc.

    Both layers are cubic splines of light, moved exactly; the boxes are 1.3 times as fast.
    """

    def __init__(self, speed: float, seed: int):
        rng = np.random.default_rng(seed)
        self.speed, self.turn = speed, 0.02 * (-1) ** seed
        self.angle = rng.uniform(0, 2 * np.pi)
        self.margin = int(1.3 * speed * 12) + 40
        size = HEIGHT + 2 * self.margin, WIDTH + 2 * self.margin
        behind, front = (self._photo(PHOTOS[(seed + i) % 4], size, rng) for i in (0, 1))
        alpha = gaussian_filter(self._boxes(size, rng), 0.8)
        for layer in (behind, front):
            self._add_lights(layer, rng)
        self.behind = self._spline(gaussian_filter(behind, (0, 0.5, 0.5)))
        self.front = self._spline(np.concatenate([front * alpha, alpha[None]]))

    @staticmethod
    def _photo(name, size, rng):
        photo = getattr(skimage.data, name)()[..., :3] / np.float32(255)
        photo = np.concatenate([photo, photo[:, ::-1]], 1)
        photo = np.concatenate([photo, photo[::-1]], 0)
        y, x = rng.integers(0, photo.shape[0]), rng.integers(0, photo.shape[1])
        tiles = [-(-s // p) + 1 for s, p in zip(size, photo.shape, strict=False)]
        return np.tile(photo, (*tiles, 1))[y : y + size[0], x : x + size[1]].transpose(2, 0, 1) ** fr.GAMMA

    def _place(self, rng):
        return self.margin + rng.uniform(0.1, 0.9) * HEIGHT, self.margin + rng.uniform(0.1, 0.9) * WIDTH

    def _boxes(self, size, rng):
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        alpha = np.zeros(size, np.float32)
        for _ in range(3):
            (cy, cx), (a, b), turn = self._place(rng), rng.uniform(25, 60, 2), rng.uniform(0, np.pi)
            u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / a
            v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / b
            alpha[np.maximum(np.abs(u), np.abs(v)) < 1] = 1
        return alpha

    def _add_lights(self, layer, rng):
        y, x = np.mgrid[: layer.shape[1], : layer.shape[2]].astype(np.float32)
        for _ in range(6):
            (cy, cx), radius = self._place(rng), rng.uniform(2, 6)
            spot = 0.5 - 0.5 * np.tanh((np.hypot(y - cy, x - cx) - radius) * 1.25)
            layer += 4 * spot * rng.uniform(0.4, 1, 3)[:, None, None]

    @staticmethod
    def _spline(layer):
        return np.stack([spline_filter(channel, 3) for channel in layer]).astype(np.float32)

    def _view(self, layer, y, x):
        (top, down), (left, right) = (self._taps(self.margin + offset) for offset in (y, x))
        rows = sum(down[i] * layer[:, top + i : top + i + HEIGHT] for i in range(4))
        return sum(right[i] * rows[:, :, left + i : left + i + WIDTH] for i in range(4))

    @staticmethod
    def _taps(position):
        start = int(np.floor(position))
        f = np.float32(position - start)
        return start - 1, ((1 - f) ** 3 / 6, f**3 / 2 - f**2 + 2 / 3, (1 + 3 * f + 3 * f**2 - 3 * f**3) / 6, f**3 / 6)

    def radiance(self, t: float) -> np.ndarray:
        """(3, H, W) linear light at t, source frames from the mid frame; above 1 in the lights."""
        radius, angle = self.speed / self.turn, self.angle + self.turn * t
        x, y = radius * (np.sin(angle) - np.sin(self.angle)), radius * (np.cos(self.angle) - np.cos(angle))
        front = self._view(self.front, 1.3 * y, 1.3 * x)
        return np.maximum(front[:3] + (1 - front[3:]) * self._view(self.behind, y, x), 0)

    def frames(self) -> torch.Tensor:
        """The 8-bit camera frames around the mid frame."""
        light = np.stack([self.radiance(t) for t in range(-MID, MID + 1)])
        return torch.from_numpy((np.round(shown(light) * 255) / 255).astype(np.float32))

    def exposure(self, samples: int = 64 * WINDOW) -> np.ndarray:
        """What a shutter open for WINDOW frames sees of the clipped scene."""
        return sum(np.minimum(self.radiance(t), 1) for t in average.times(1, samples) * WINDOW) / samples


def expose(stack: torch.Tensor, config: InterpolateConfig) -> np.ndarray:
    motion = interpolate.motion(stack, config)
    times = MID + average.times(WINDOW, interpolate.factor(motion, config))
    return fused.expose(stack, motion, times).numpy()


def truth() -> None:
    speeds = (2, 6, 16)
    scenes = [(speed, Layers(speed, seed)) for speed in speeds for seed in (0, 1)]
    known = [(speed, scene.frames(), scene.exposure()) for speed, scene in scenes]
    print("PSNR of the average, display (linear light), mean of 2 scenes, by px a source frame")
    print(f"{'':18}" + "".join(f"{speed:>16}" for speed in speeds))
    for name, config in METHODS.items():
        found = [(speed, expose(stack, config), light) for speed, stack, light in known]
        row = ""
        for speed in speeds:
            display = np.mean([psnr(shown(got), shown(light)) for v, got, light in found if v == speed])
            linear = np.mean([psnr(got, light) for v, got, light in found if v == speed])
            row += f"{display:8.2f} ({linear:5.2f})"
        print(f"{name:18}{row}", flush=True)


def centroid() -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    where = 0.5 * WIDTH + 0.3
    for speed in (2.0, 6.0, 16.0):
        dots = [np.exp(-((x - where - speed * t) ** 2 + (y - HEIGHT / 2) ** 2) / 128) for t in range(-MID, MID + 1)]
        stack = torch.from_numpy(np.stack(dots, dtype=np.float32))[:, None].expand(-1, 3, -1, -1) * 0.8 + 0.1
        light = expose(stack.contiguous(), METHODS["medium"])[0].astype(float) - 0.1**fr.GAMMA
        late = ((light * x).sum() / light.sum() - where) / speed
        print(f"{speed:4.0f} px a frame: centroid {late:+.5f} source frames from the mid frame")


def lamp(colour, peak: float, radius: float, path: float) -> Callable[[float], np.ndarray]:
    """t, 0..1 of the exposure -> (3, 96, 160) light of a soft round lamp on an arc of `path` px over a dark ground."""
    y, x = np.mgrid[:96, :160].astype(np.float32)
    tint = np.array(colour, np.float32)[:, None, None]
    ground = 0.02 + 0.01 * np.sin(x / 9) * np.cos(y / 7)

    def at(t: float) -> np.ndarray:
        u = (t - 0.5) * path
        distance = np.hypot(x - 80 - u, y - 48 - 0.002 * u * u)
        spot = 0.5 - 0.5 * np.tanh((distance - radius) / 1.2)
        return ground + tint * peak * spot

    return at


def streaks() -> None:
    print("best draw of each space, mean over radius 2, 5, 12 px and path 8, 30, 90 px")
    print(f"{'':22}" + "".join(f"{peak:>8}x" for peak in PEAKS) + "     mean")
    means: dict[str, list[float]] = {}
    for tint, colour in LAMPS.items():
        rows = {space: [_streak(colour, peak, space) for peak in PEAKS] for space in ("none", "linear", "code", "hdr")}
        for space, row in rows.items():
            means.setdefault(space, []).append(np.mean(row))
            print(f"{tint:8}{space:14}" + "".join(f"{value:9.2f}" for value in row) + f"{np.mean(row):9.2f}")
    print("all     " + "  ".join(f"{space} {np.mean(values):.2f}" for space, values in means.items()))


def _streak(colour, peak: float, space: str) -> float:
    """Mean PSNR over the streak, for the one draw that fits a lamp of this colour and peak best on the mean."""
    instants, results = average.times(1, 36) + 0.5, []
    for radius in (2, 5, 12):
        for path in (8, 30, 90):
            light = np.stack([lamp(colour, peak, radius, path)(t) for t in instants])
            stack = torch.from_numpy((np.round(shown(light) * 255) / 255).astype(np.float32))
            streak = light.max((0, 1)) > 0.1
            true = shown(light.mean(0))[:, streak]
            results.append([psnr(shown(got)[:, streak], true) for got in _restore(stack, space)])
    return float(np.max(np.mean(results, 0)))


def _restore(stack: torch.Tensor, space: str) -> list[np.ndarray]:
    """The exposure of ready samples, for each draw of `space`."""
    config = ClipReverseConfig(space="linear" if space == "none" else space)

    def exposed(r: float, gain: float = 0.0) -> np.ndarray:
        return average.mean(clip_reverse.apply(stack, config, clip_reverse.Draw(r, gain))).numpy()

    plain = exposed(0.0)
    if space == "none":
        return [plain]
    if space == "code":
        return [exposed(r) for r in R]
    full = exposed(255.0, 1.0) - plain  # linear and hdr are affine in their draw
    return [plain + full * amount for amount in (GAINS if space == "hdr" else np.array(R) / 255)]


def cost() -> None:
    scene = Layers(6, 0)
    stack = torch.nn.functional.interpolate(scene.frames(), (640, 1120), mode="bilinear")
    times = MID + average.times(WINDOW, 8)
    still = interpolate.motion(stack, METHODS["blend"])
    for name in ("ultrafast", "fast", "medium", "fine"):
        motion = _timed(f"motion, {name}", lambda: interpolate.motion(stack, METHODS[name]))  # noqa: B023
    _timed("expose, 72 samples, cross-fade", lambda: fused.expose(stack, still, times))
    _timed("expose, 72 samples, warped", lambda: fused.expose(stack, motion, times))


def _timed(name: str, work: Callable):
    best, result = np.inf, work()
    for _ in range(2):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    print(f"{name:34}{best:7.2f} CPU-s", flush=True)
    return result


def heldout(videos: list[Path], stride: int = 1, count: int = 24) -> None:
    print(f"{'':34}" + "".join(f"{name:>17}" for name in METHODS if "adaptive" not in name))
    for video in videos:
        stack = _read(video, stride, 2 * count + 1)
        row = ""
        for name, config in METHODS.items():
            if "adaptive" not in name:
                motion = interpolate.motion(stack[::2], replace(config, cut=1.0))
                got = interpolate.samples(stack[::2], motion, np.arange(len(stack[::2]) - 1) + 0.5)
                row += f"{np.mean([psnr(a, b) for a, b in zip(got, stack[1::2], strict=True)]):17.2f}"
        print(f"{video.name[:33]:34}{row}", flush=True)


def _read(video: Path, stride: int, most: int) -> torch.Tensor:
    """An odd number of frames, 448 pixels wide."""
    stack = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % stride == 0:
                size = WIDTH, round(frame.height * WIDTH / frame.width)
                stack.append(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA))
            if len(stack) == most:
                break
    return fr.from_uint8(np.stack(stack[: len(stack) - 1 + len(stack) % 2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("truth", "centroid", "streaks", "cost", "heldout"))
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--stride", type=int, default=1, help="heldout: use every n-th frame")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.what == "heldout":
        heldout(options.videos, options.stride)
    else:
        {"truth": truth, "centroid": centroid, "streaks": streaks, "cost": cost}[options.what]()


if __name__ == "__main__":
    main()
