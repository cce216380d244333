"""How true and how costly an exposure is.

    python benchmarks/exposure.py truth | centroid | streaks
    python benchmarks/exposure.py cost [--ffmpeg PATH]
    python benchmarks/exposure.py heldout [VIDEO ...]

truth     the average of interpolated frames against the rendered exposure of a clipped two-layer scene, PSNR in dB
centroid  of a moving dot's blur against the ground truth frame, in source frames
streaks   clip_reverse against the HDR blur of moving lights, PSNR over the streak in dB
cost      CPU-seconds and PSNR of one blurry 1120x640 frame of 72 samples, beside FFmpeg's minterpolate and tmix
          (set NUMBA_NUM_THREADS=1)
heldout   the middle frame of real neighbours 2 and 4 frames apart, PSNR in dB; beside it OpenCV's DIS and Lanczos
          (without VIDEO: of the bundled sample)

Without a word: all of them, heldout left out.
"""

import argparse
import resource
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from harness import psnr
from layers import LARGE, MID, SMALL, WINDOW, Layers, shown

from lolblur_synth import frames as fr
from lolblur_synth.commands import options as opt
from lolblur_synth.kernels import exposure as fused
from lolblur_synth.kernels.exposure.splat import fields
from lolblur_synth.recipe.schema import ClipReverseConfig, InterpolateConfig
from lolblur_synth.stages import average, clip_reverse, interpolate

METHODS = {
    "blend": InterpolateConfig(method="blend"),
    "ultrafast": InterpolateConfig(preset="ultrafast"),
    "fast": InterpolateConfig(preset="fast"),
    "medium": InterpolateConfig(),
    "straight": InterpolateConfig(path="straight"),
    "fine": InterpolateConfig(preset="fine"),
    "medium adaptive": InterpolateConfig(factor="adaptive"),
    "net": InterpolateConfig(method="net"),
}
COMPARED = {name: config for name, config in METHODS.items() if "adaptive" not in name}
LAMPS = {"white": (1, 1, 1), "sodium": (1, 0.62, 0.16), "red": (1, 0.09, 0.06)}
PEAKS = (1.5, 4, 20, 100)
R = (20.0, 40.0, 60.0, 80.0, 100.0)
GAINS = tuple(0.2 * 40 ** (k / 12) for k in range(13))  # 0.2..8


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
    height, width = SMALL
    y, x = np.mgrid[:height, :width].astype(float)
    where = 0.5 * width + 0.3
    for speed in (2.0, 6.0, 16.0):
        dots = [np.exp(-((x - where - speed * t) ** 2 + (y - height / 2) ** 2) / 128) for t in range(-MID, MID + 1)]
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


def cost(ffmpeg: str | None) -> None:
    """All on one thread, from frames in memory to the exposure in memory; the best of two runs."""
    scene = Layers(6, 0, LARGE)
    stack, true = scene.frames(MID + 1), shown(scene.exposure(16 * WINDOW))
    ours, times = stack[1:-1].contiguous(), MID + average.times(WINDOW, 8)
    seconds, _ = _timed(lambda: fused.average([ours[k % len(ours)] for k in range(8 * WINDOW)], ClipReverseConfig()))
    print(f"72 given frames, linearised, thresholded and accumulated: {seconds:.2f} CPU-s")
    print(f"{'one blurry frame, 72 samples':34}{'motion':>9}{'exposure':>9}{'all':>9}{'PSNR':>9}")
    for name, config in COMPARED.items():
        before, motion = _timed(lambda: interpolate.motion(ours, config))  # noqa: B023
        seconds, light = _timed(lambda: fused.expose(ours, motion, times))  # noqa: B023
        print(f"{name:34}{before:9.2f}{seconds:9.2f}{before + seconds:9.2f}{psnr(shown(light), true):9.2f}", flush=True)
    if ffmpeg:
        _ffmpeg(ffmpeg, stack, true)


def _ffmpeg(ffmpeg: str, stack: torch.Tensor, true: np.ndarray) -> None:
    """minterpolate and tmix on the same frames, and one more at each end: without it the window would not be whole."""
    size, filters = f"{stack.shape[3]}x{stack.shape[2]}", "minterpolate=fps=2000,tmix=frames=72"
    pixels = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    words = [ffmpeg, "-v", "error", *pixels, "-s", size, "-r", "250", "-i", "-", "-vf", filters, *pixels, "-"]
    codes = (stack.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, input=codes.tobytes(), stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    blurred = np.frombuffer(done.stdout, np.uint8).reshape(-1, *codes.shape[1:])
    closest = max(psnr(frame.transpose(2, 0, 1) / 255, true) for frame in blurred)  # it says nothing of its delay
    version = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2]
    print(f"FFmpeg {version}, {filters}: {seconds:.1f} CPU-s for {len(blurred)} frames of 2000 fps, "
          f"{seconds * 72 / len(blurred):.1f} for 72 of them; PSNR {closest:.2f}")  # fmt: skip


def _timed(work: Callable):
    """CPU-seconds of the better of two runs, the first of which may compile; and the result."""
    best = np.inf
    for _ in range(2):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def heldout(videos: list[Path], count: int = 8) -> None:
    """Every second of 2 count + 1 frames from its neighbours; then the same with every second frame of the video."""
    for stride in (1, 2):
        rows = []
        names = [*COMPARED, "OpenCV, Lanczos"]
        print(f"{f'neighbours {2 * stride} frames apart':34}" + "".join(f"{name:>16}" for name in names))
        for video in videos:
            stack = _read(video, stride, 2 * count + 1)
            rows.append([_middle(stack, config) for config in COMPARED.values()] + [_lanczos(stack)])
            print(f"{video.name[:33]:34}" + "".join(f"{value:16.2f}" for value in rows[-1]), flush=True)
        print(f"{'mean':34}" + "".join(f"{value:16.2f}" for value in np.mean(rows, 0)))


def _middle(stack: torch.Tensor, config: InterpolateConfig) -> float:
    motion = interpolate.motion(stack[::2], replace(config, cut=1.0))
    got = interpolate.samples(stack[::2], motion, np.arange(len(stack[::2]) - 1) + 0.5)
    return float(np.mean([psnr(a, b) for a, b in zip(got, stack[1::2], strict=True)]))


def _lanczos(stack: torch.Tensor) -> float:
    """What ours is to be held against: OpenCV's DIS medium, splatted, both frames fetched by Lanczos and averaged."""
    given = stack[::2]
    return float(np.mean([psnr(opencv(*given[k : k + 2], [0.5])[0], stack[2 * k + 1]) for k in range(len(given) - 1)]))


def opencv(first: torch.Tensor, second: torch.Tensor, times) -> list[torch.Tensor]:
    """(3, H, W) each: OpenCV's DIS medium, splatted to `times`, both frames fetched by Lanczos and averaged."""
    height, width = first.shape[1:]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    a, b = interpolate.grey_codes(torch.stack((first, second))).numpy()
    both = _dis(a, b, grid), _dis(b, a, grid)
    straight, found = np.zeros((2, *both[0].shape[:2], 2), np.float32), []
    for t, cells in zip(times, fields(*both, straight, np.array(times, np.float32)), strict=True):
        v = cv2.resize(cells[:2].transpose(1, 2, 0), None, fx=2, fy=2)[:height, :width]
        fetched = [
            cv2.remap(
                frame.permute(1, 2, 0).numpy(),
                grid + step * v,
                None,
                cv2.INTER_LANCZOS4,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for frame, step in ((first, -t), (second, 1 - t))
        ]
        mixed = np.clip((1 - t) * fetched[0] + t * fetched[1], 0, 1)
        found.append(torch.from_numpy(mixed).permute(2, 0, 1))
    return found


def _dis(first: np.ndarray, second: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Motion and trust on cells of 2x2 pixels, as `interpolate.Motion` holds them, by OpenCV's DIS medium."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None)
    fetched = cv2.remap(second, grid + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found = np.dstack([flow, interpolate.TRUST[cv2.absdiff(first, fetched)]])
    found = cv2.copyMakeBorder(found, 0, len(found) % 2, 0, found.shape[1] % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(found, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _read(video: Path, stride: int, most: int) -> torch.Tensor:
    """An odd number of frames, 448 pixels wide."""
    stack = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % stride == 0:
                size = SMALL[1], round(frame.height * SMALL[1] / frame.width)
                stack.append(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA))
            if len(stack) == most:
                break
    return fr.from_uint8(np.stack(stack[: len(stack) - 1 + len(stack) % 2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("truth", "centroid", "streaks", "cost", "heldout"),
        help="without it: all but heldout",
    )
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--ffmpeg", help="cost: an ffmpeg to compare with")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    tables = {"truth": truth, "centroid": centroid, "streaks": streaks, "cost": lambda: cost(options.ffmpeg),
              "heldout": lambda: heldout(options.videos or [opt.sample_clip()])}  # fmt: skip
    for what in [options.what] if options.what else ["truth", "centroid", "streaks", "cost"]:
        tables[what]()


if __name__ == "__main__":
    main()
