"""Clips from photographs: a camera in a hand pans over each of them, 250 frames a second.

    python examples/pan_photos.py PHOTOS... OUT_FOLDER [--size 560x320] [--frames 140] [--seed 0]

For those who have photographs and no high-speed camera: `build` takes the clips like any other. What they lack is
depth and things that move by themselves. The path is a sum of slow sines, so that speeds range from rest to about
SPEED, with a little turning and zoom; a frame is a cubic resampling of the photograph, mirrored beyond its borders.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from lolblur_synth import draw
from lolblur_synth.files.images import read_image
from lolblur_synth.files.video import write_video

FPS = 250
SPEED = 8.0  # px a frame, at most
SPAN = 0.8  # of the photograph's width or height is seen at once
PERIODS = (0.3, 1.2)  # s, of the sines
TURN, ZOOM = 0.03, 0.05  # rad, share: amplitudes


def sines(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Two sines whose fastest change is about 1 a frame."""
    periods, phases = rng.uniform(*PERIODS, 2) * FPS, rng.uniform(0, 2 * np.pi, 2)
    return sum(np.sin(2 * np.pi * times / p + q) * p for p, q in zip(periods, phases, strict=True)) / (4 * np.pi)


def pan(photo: np.ndarray, size: tuple[int, int], frames: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """(h, w, 3) float32 display RGB -> `frames` frames of `size` = (width, height)."""
    times, (width, height) = np.arange(frames), size
    rows, columns = photo.shape[:2]
    scale = max(width / columns, height / rows) / SPAN
    speed = SPEED * rng.uniform(0.2, 1, 2)
    x, y = speed[0] * sines(rng, times), speed[1] * sines(rng, times)
    turn, zoom = TURN * np.sin(times / 40 + rng.uniform(0, 6)), np.exp(ZOOM * np.sin(times / 50 + rng.uniform(0, 6)))
    blurred = photo if scale >= 1 else cv2.GaussianBlur(photo, None, 0.5 / scale)
    for t in times:
        centre = (columns - 1) / 2, (rows - 1) / 2
        to_frame = cv2.getRotationMatrix2D(centre, -np.degrees(turn[t]), scale * zoom[t])
        to_frame[:, 2] += (width - columns) / 2 + x[t], (height - rows) / 2 + y[t]
        frame = cv2.warpAffine(blurred, to_frame, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        yield frame.clip(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="560x320", metavar="WxH")
    parser.add_argument("--frames", type=int, default=140)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, words.size.split("x"))
    for file in words.photos:
        rng = draw.rng(words.seed, "pan_photos", file.name, "path")
        frames = pan(np.ascontiguousarray(read_image(file)), (width, height), words.frames, rng)
        write_video(words.out / f"pan_{file.stem}.mp4", frames, FPS)


if __name__ == "__main__":
    main()
