"""The paper's Eq. 2 as one writes it in an afternoon: python benchmarks/naive.py [VIDEO] [OUT.png]

The window's frames, seven between each two of them by optical flow, light added where L* > 98, the mean in linear
light. Prints the CPU-seconds of one blur; also a page of documentation: it is all that the average of a pair is. What
`lolblur-synth` does beside it (motion in both directions, curved paths, one pass without intermediate frames, no blur
of its own) is in docs/notes/exposure.md.
"""

import sys
import time

import cv2
import numpy as np

from lolblur_synth.commands import options

WIDTH, HEIGHT = 1120, 640
WINDOW, FACTOR = 9, 8  # source frames, samples for each of them: 72 samples, section 3.2
GAMMA = 2.2  # g of Eq. 1
CLIPPED = 98  # L* above which light is added, section 3.2
REVERSE = 60  # r ~ U(20, 100), in code values; here its mean


def frames_of(path: str, count: int) -> list[np.ndarray]:
    """The first frames, (HEIGHT, WIDTH, 3) uint8 BGR."""
    video = cv2.VideoCapture(path)
    return [cv2.resize(video.read()[1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for _ in range(count)]


def between(a: np.ndarray, b: np.ndarray, flow: np.ndarray, t: float) -> np.ndarray:
    """The frame at t, 0..1, between a and b: both are moved along the flow from a to b, and mixed."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    from_a = cv2.remap(a, x - t * flow[..., 0], y - t * flow[..., 1], cv2.INTER_LINEAR)
    from_b = cv2.remap(b, x + (1 - t) * flow[..., 0], y + (1 - t) * flow[..., 1], cv2.INTER_LINEAR)
    return cv2.addWeighted(from_a, 1 - t, from_b, t, 0)


def light_of(frame: np.ndarray) -> np.ndarray:
    """Linear light of a frame, with light added where it is clipped."""
    lightness = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)[..., :1]
    return (frame / 255.0) ** GAMMA + np.where(lightness > CLIPPED, REVERSE / 255.0, 0)


def blurred(frames: list[np.ndarray]) -> np.ndarray:
    """The mean of WINDOW * FACTOR samples, uint8: WINDOW + 1 frames in."""
    flows = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    total = np.zeros((HEIGHT, WIDTH, 3))
    for a, b in zip(frames[:-1], frames[1:], strict=True):
        flow = flows.calc(cv2.cvtColor(a, cv2.COLOR_BGR2GRAY), cv2.cvtColor(b, cv2.COLOR_BGR2GRAY), None)
        for step in range(FACTOR):
            total += light_of(between(a, b, flow, step / FACTOR))
    return np.round(255 * np.clip(total / (WINDOW * FACTOR), 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def main(path: str, out: str | None = None) -> None:
    cv2.setNumThreads(1)
    frames = frames_of(path, WINDOW + 1)
    start = time.process_time()
    picture = blurred(frames)
    print(f"naive blur of {WINDOW * FACTOR} samples at {WIDTH}x{HEIGHT}: {time.process_time() - start:.1f} CPU-seconds")
    if out:
        cv2.imwrite(out, picture)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [str(options.sample_clip())]))
