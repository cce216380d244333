"""CPU-seconds of each step of one pair: python benchmarks/pair.py [VIDEO] (set NUMBA_NUM_THREADS=1)

Recipe `lolblur` at 1120x640, window 7, one thread; every step twice, the second run counts. Without VIDEO: the sample.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

from lolblur_synth import dataset, frames, options, pipeline, recipes, video
from lolblur_synth.kernels import exposure
from lolblur_synth.stages import average, darken, defocus, denoise, interpolate, noise

WINDOW, CONTEXT = 7, 4  # source frames of the exposure; more of them on each side, which denoising looks at
SETTINGS = ["defocus.probability=1", "noise.probability=1", "denoise.sigma=3"]


def timed(name: str, work: Callable):
    for _ in range(2):
        start = time.process_time()
        result = work()
        seconds = time.process_time() - start
    print(f"{name:32}{seconds:8.2f}", flush=True)
    return result


def main(path: Path) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    recipe = recipes.override(recipes.load("lolblur"), SETTINGS)
    draws = pipeline.draw_all(recipe, "0" * 64, 0, "0000", WINDOW, recipe.denoise.sigma)
    reach = average.reach(WINDOW)
    clip = video.probe(video.find([path])[0][0], recipe.input)
    wanted, keep = 2 * (reach + CONTEXT) + 1, slice(CONTEXT, CONTEXT + 2 * reach + 1)

    def read(start: int, stop: int) -> torch.Tensor:
        return torch.cat([pipeline.prepare(frame, recipe) for frame in video.read(clip, start, stop)])

    timed(f"read and resize {2 * reach + 1} frames", lambda: read(0, 2 * reach + 1))
    source = read(0, wanted)
    sharp = timed("denoise", lambda: denoise.apply(source, recipe.denoise, draws["denoise"], keep=keep))
    scaled = timed("dim", lambda: darken.scale(sharp, recipe.darken, draws["darken"]))
    dark = timed("darken", lambda: darken.apply(scaled, recipe.darken, draws["darken"]))
    motion = timed("motion", lambda: interpolate.motion(sharp, recipe.interpolate))
    times = reach + average.times(WINDOW, interpolate.factor(motion, recipe.interpolate))
    reverse = recipe.clip_reverse, draws["clip_reverse"]
    light = timed(f"exposure of {len(times)} samples", lambda: exposure.expose(dark, motion, times, *reverse))[None]
    light = timed("defocus", lambda: defocus.apply(light, recipe.defocus, draws["defocus"]))
    blur = timed("to display", lambda: frames.to_display(light))
    noisy = timed("noise", lambda: noise.apply(blur, recipe.noise, draws["noise"]))
    five = [frames.to_uint8(image) for image in (noisy[0], blur[0], dark[reach], scaled[reach], sharp[reach])]
    timed("five PNGs", lambda: [dataset.encode_png(image, recipe.dataset.png_level) for image in five])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else options.sample_clip())
