"""Cost of each step of one pair: python benchmarks/pair.py [VIDEO] [--device cuda] [--recipe fast] [--pairs 10]
(set NUMBA_NUM_THREADS=1)

With --pairs N: CPU-seconds a pair in a run of N consecutive pairs, as a worker builds them: the frames of `plan.UNIT`
neighbours are denoised as one stream. The clip runs forward and backward as often as needed; the first pair, in which
kernels are loaded, is made once before and does not count.

Recipe `lolblur` at 1120x640, or another at its own size; window 7. The last line of a recipe that interpolates in
another way than `lolblur`: PSNR of its low_blur against that of `lolblur`'s interpolation, all else equal.
On the CPU: CPU-seconds of one thread; every step twice, the second run counts.
On a GPU: wall-clock milliseconds, the median of 7 after one run; the last line has the way to the device and back.
Without VIDEO: the sample.
"""

import argparse
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from lolblur_synth import frames, pipeline, recipes
from lolblur_synth.commands import options
from lolblur_synth.dataset import layout, plan
from lolblur_synth.files import video
from lolblur_synth.kernels import exposure
from lolblur_synth.metrics import image_quality
from lolblur_synth.recipe.schema import Recipe
from lolblur_synth.stages import average, darken, defocus, denoise, interpolate, noise

WINDOW, CONTEXT = 7, 4  # source frames of the exposure; more of them on each side, which denoising looks at
PNGS = "five PNGs"  # the step that is always computed on the CPU
Step = Callable[[str, Callable], Any]  # (name, work) -> the result of work
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


class Clock:
    """CPU-seconds of this process by step."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, work: Callable) -> Any:
        """The result of `work`, whose time counts for the step."""
        start = time.process_time()
        result = work()
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start
        return result

    def each(self, step: str, items: Iterator) -> Iterator:
        """The items of an iterator; making them counts for the step, less what steps within it count themselves."""
        while True:
            others, start = sum(self.seconds.values()), time.process_time()
            item = next(items, None)
            inner = sum(self.seconds.values()) - others
            self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start - inner
            if item is None:
                return
            yield item


def steps_of(count: int, path: Path, name: str) -> dict[str, float]:
    """CPU-seconds a pair of each step, and their sum, in a run of `count` consecutive pairs."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    recipe = recipes.override(recipes.load(name), SETTINGS)
    clip = video.probe(video.find([path])[0][0], recipe.input)
    reach = average.reach(WINDOW)
    stride = max(clip.fps / recipe.dataset.rate, WINDOW)
    mids = [round(reach + number * stride) for number in range(count)]
    build_run(mids[:1], clip, recipe, Clock())
    clock = Clock()
    build_run(mids, clip, recipe, clock)
    steps = {step: seconds / count for step, seconds in clock.seconds.items()}
    return steps | {"sum": sum(steps.values())}


def build_run(mids: list[int], clip: video.Video, recipe: Recipe, clock: Clock) -> None:
    reach, context = average.reach(WINDOW), denoise.CONTEXT
    last = mids[-1] + reach + context
    source = clock.each("read", itertools.islice(there_and_back(clip), last + 1))
    shared = plan.UNIT if "denoise" not in recipe.skip else 1
    units = [mids[start : start + shared] for start in range(0, len(mids), shared)]
    wanted = [(max(0, unit[0] - reach - context), min(last, unit[-1] + reach + context)) for unit in units]
    draws = pipeline.draw_all(recipe, "0" * 64, 0, "0000", WINDOW, recipe.denoise.sigma)
    for unit, (first, _), span in zip(units, wanted, pipeline.spans(source, 0, wanted, recipe), strict=True):
        span, kept = clock.each("resize", span), (unit[0] - reach, unit[-1] + reach)
        if "denoise" in draws:
            span = pipeline.denoised(span, first, kept, recipe, draws["denoise"], "cpu")
            span, first = clock.each("denoise", span), kept[0]
        for stack in list(pipeline.windows(span, first, [(mid - reach, mid + reach) for mid in unit])):
            one_pair(stack, reach, recipe, draws, clock)


def there_and_back(clip: video.Video) -> Iterator[np.ndarray]:
    """The frames of a clip forward, backward, forward, …; the frame at which it turns comes once."""
    shown = [np.float16(frame) for frame in video.read(clip, 0, clip.frames)]  # half of the memory; 11 bits are enough
    while True:
        yield from map(np.float32, shown[:-1])
        shown.reverse()


def one_pair(sharp: torch.Tensor, mid: int, recipe: Recipe, draws: dict, step: Step) -> torch.Tensor:
    """Every step of a pair after denoising, each through `step`. Returns low_blur. mid: of the ground truth."""
    scaled = step("dim", lambda: darken.scale(sharp, recipe.darken, draws["darken"]))
    dark = step("darken", lambda: darken.apply(scaled, recipe.darken, draws["darken"]))
    motion = step("motion", lambda: interpolate.motion(sharp, recipe.interpolate))
    times = mid + average.times(WINDOW, interpolate.factor(motion, recipe.interpolate))
    reverse = recipe.clip_reverse, draws["clip_reverse"]
    light = step(f"exposure of {len(times)} samples", lambda: exposure.expose(dark, motion, times, *reverse))
    light = step("defocus", lambda: defocus.apply(light[None], recipe.defocus, draws["defocus"]))
    blur = step("to display", lambda: frames.to_display(light))
    noisy = step("noise", lambda: noise.apply(blur, recipe.noise, draws["noise"]))
    five = [frames.to_uint8(image) for image in (noisy[0], blur[0], dark[mid], scaled[mid], sharp[mid])]
    step(PNGS, lambda: [layout.encode_png(image, recipe.dataset.png_level) for image in five])
    return blur


def main(path: Path, device: str, name: str, count: int) -> None:
    cv2.setNumThreads(1)
    if device == "cpu":
        torch.set_num_threads(1)
    if count:
        for step, seconds in steps_of(count, path, name).items():
            print(f"{step:32}{seconds:8.2f}")
        return
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

    def step(name: str, work: Callable) -> Any:
        return timed(name, work, "cpu" if name == PNGS else device)

    blur = one_pair(sharp, reach, recipe, draws, step)
    timed("all of it, but files", lambda: pipeline.synthesise(source, reach + CONTEXT, recipe, draws, device), device)
    usual = recipes.load("lolblur").interpolate
    if recipe.interpolate != usual:
        other = one_pair(sharp, reach, dataclasses.replace(recipe, interpolate=usual), draws, lambda _, work: work())
        print(f"low_blur against lolblur's interpolation: {image_quality.psnr_rgb(blur, other).item():.1f} dB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=options.sample_clip())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--recipe", default="lolblur")
    parser.add_argument("--pairs", type=int, default=0, help="a run of so many consecutive pairs, on the CPU")
    words = parser.parse_args()
    main(words.video, words.device, words.recipe, words.pairs)
