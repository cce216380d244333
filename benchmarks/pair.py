"""Cost of each step of one pair: python benchmarks/pair.py [VIDEO] [--device cuda] [--recipe fast]
(set NUMBA_NUM_THREADS=1)

Recipe `lolblur` at 1120x640, or another at its own size; window 7. The last line of a recipe that interpolates in
another way than `lolblur`: PSNR of its low_blur against that of `lolblur`'s interpolation, all else equal.
On the CPU: CPU-seconds of one thread; every step twice, the second run counts.
On a GPU: wall-clock milliseconds, the median of 7 after one run; the last line has the way to the device and back.
Without VIDEO: the sample.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from lolblur_synth import frames, pipeline, recipes
from lolblur_synth.commands import options
from lolblur_synth.dataset import layout
from lolblur_synth.files import video
from lolblur_synth.kernels import exposure
from lolblur_synth.metrics import image_quality
from lolblur_synth.stages import average, darken, defocus, denoise, interpolate, noise

WINDOW, CONTEXT = 7, 4  # source frames of the exposure; more of them on each side, which denoising looks at
SETTINGS = ["defocus.probability=1", "noise.probability=1", "denoise.sigma=3"]


def timed(name: str, work: Callable, device: str = "cpu"):
    """The result of the last run of `work`; prints what it takes."""
    clock, runs = (time.process_time, 2) if device == "cpu" else (time.perf_counter, 8)
    seconds = []
    for _ in range(runs):
        start = clock()
        result = work()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(clock() - start)
    print(f"{name:32}{seconds[1]:8.2f}" if device == "cpu" else
          f"{name:32}{1e3 * statistics.median(seconds[1:]):8.1f} ms", flush=True)  # fmt: skip
    return result


def main(path: Path, device: str, name: str) -> None:
    cv2.setNumThreads(1)
    if device == "cpu":
        torch.set_num_threads(1)
    recipe = recipes.override(recipes.load(name), SETTINGS)
    draws = pipeline.draw_all(recipe, "0" * 64, 0, "0000", WINDOW, recipe.denoise.sigma)
    reach = average.reach(WINDOW)
    clip = video.probe(video.find([path])[0][0], recipe.input)
    wanted, keep = 2 * (reach + CONTEXT) + 1, slice(CONTEXT, CONTEXT + 2 * reach + 1)

    def read(start: int, stop: int) -> torch.Tensor:
        return torch.cat([pipeline.prepare(frame, recipe) for frame in video.read(clip, start, stop)])

    timed(f"read and resize {2 * reach + 1} frames", lambda: read(0, 2 * reach + 1))
    source = read(0, wanted)
    on_device = source.to(device)
    sharp = on_device[keep]
    if "denoise" in draws:
        sharp = timed("denoise", lambda: denoise.apply(on_device, recipe.denoise, draws["denoise"], keep=keep), device)
    scaled = timed("dim", lambda: darken.scale(sharp, recipe.darken, draws["darken"]), device)
    dark = timed("darken", lambda: darken.apply(scaled, recipe.darken, draws["darken"]), device)
    motion = timed("motion", lambda: interpolate.motion(sharp, recipe.interpolate), device)
    times = reach + average.times(WINDOW, interpolate.factor(motion, recipe.interpolate))
    reverse = recipe.clip_reverse, draws["clip_reverse"]
    light = timed(f"exposure of {len(times)} samples", lambda: exposure.expose(dark, motion, times, *reverse), device)
    light = timed("defocus", lambda: defocus.apply(light[None], recipe.defocus, draws["defocus"]), device)
    blur = timed("to display", lambda: frames.to_display(light), device)
    noisy = timed("noise", lambda: noise.apply(blur, recipe.noise, draws["noise"]), device)
    five = [frames.to_uint8(image) for image in (noisy[0], blur[0], dark[reach], scaled[reach], sharp[reach])]
    timed("five PNGs", lambda: [layout.encode_png(image, recipe.dataset.png_level) for image in five])
    timed("all of it, but files", lambda: pipeline.synthesise(source, reach + CONTEXT, recipe, draws, device), device)
    usual = recipes.load("lolblur").interpolate
    if recipe.interpolate != usual:
        motion = interpolate.motion(sharp, usual)
        times = reach + average.times(WINDOW, interpolate.factor(motion, usual))
        light = exposure.expose(dark, motion, times, *reverse)[None]
        other = frames.to_display(defocus.apply(light, recipe.defocus, draws["defocus"]))
        print(f"low_blur against lolblur's interpolation: {image_quality.psnr_rgb(blur, other).item():.1f} dB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=options.sample_clip())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--recipe", default="lolblur")
    words = parser.parse_args()
    main(words.video, words.device, words.recipe)
