"""A picture as a stack of layers that slide over each other, and its exposure: what the rendered places share.

A layer is painted once, at twice the resolution, through a lens with a Gaussian spread of LENS pixels, and then moved
by an exact cubic resampling. So nothing aliases at any speed, and every instant of the scene exists.
"""

import math
from pathlib import Path

import av
import cv2
import numpy as np
from numba import njit

FPS, WIDTH, HEIGHT = 250, 1120, 640
GAMMA = 2.2  # a frame is clip(radiance)^(1/2.2) rounded to 8 bit: Eq. 1 of the paper
LENS = 0.6  # standard deviation of the lens, output pixels
FINE = 2  # stored pixels an output pixel; each is the mean of 2x2 rays
PAN_ANGLE = math.radians(8)


def through_lens(plate, height):
    """Lens spread, and the faint veil that bright lights cast: an image is a sum over light, so a layer has its own."""
    plate = cv2.GaussianBlur(plate, (0, 0), FINE * LENS, borderType=cv2.BORDER_REPLICATE)
    bright = np.maximum(plate[..., :3] - 1, 0)
    for radius, share in ((0.006, 0.05), (0.03, 0.02)):
        small = cv2.resize(bright, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        veil = cv2.GaussianBlur(small, (0, 0), radius * height * FINE / 4, borderType=cv2.BORDER_REPLICATE)
        plate[..., :3] += share * cv2.resize(veil, plate.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0)
    return plate


@njit(cache=True)
def cubic(f):
    """Catmull-Rom weights of the four samples around a position f behind the second."""
    return (
        ((-0.5 * f + 1) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1,
        ((-1.5 * f + 2) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    )


@njit(cache=True)
def lay(out, plate, x, y):
    """Composite a layer whose upper left corner lies at (x, y) output pixels over `out` (H, W, 3)."""
    at_x, at_y = 0.5 - FINE * x, 0.5 - FINE * y  # stored position of output pixel 0
    ix, iy = math.floor(at_x), math.floor(at_y)
    wx, wy = cubic(at_x - ix), cubic(at_y - iy)
    first, last = max(0, -((ix - 1) // FINE)), min(out.shape[1], (plate.shape[1] - 3 - ix) // FINE + 1)
    row = np.empty((plate.shape[1], 4), np.float32)
    w0, w1, w2, w3 = np.float32(wy[0]), np.float32(wy[1]), np.float32(wy[2]), np.float32(wy[3])
    v0, v1, v2, v3 = np.float32(wx[0]), np.float32(wx[1]), np.float32(wx[2]), np.float32(wx[3])
    for i in range(out.shape[0]):
        s = iy + FINE * i
        if s < 1 or s + 2 >= plate.shape[0]:
            continue
        for j in range(max(ix + FINE * first - 1, 0), min(ix + FINE * last + 3, plate.shape[1])):
            for c in range(4):
                row[j, c] = (
                    w0 * plate[s - 1, j, c] + w1 * plate[s, j, c] + w2 * plate[s + 1, j, c] + w3 * plate[s + 2, j, c]
                )
        for j in range(first, last):
            t = ix + FINE * j
            keep = np.float32(1) - (v0 * row[t - 1, 3] + v1 * row[t, 3] + v2 * row[t + 1, 3] + v3 * row[t + 2, 3])
            for c in range(3):
                light = v0 * row[t - 1, c] + v1 * row[t, c] + v2 * row[t + 1, c] + v3 * row[t + 2, c]
                out[i, j, c] = max(out[i, j, c] * keep + light, np.float32(0))


class LayeredScene:
    """A scene at any instant: `radiance(t)`, and any exposure of it: `exposure(t0, t1)`. t is in source frames.

    speed: None for the clip (the camera and what moves as in the clip); or a steady pan that moves the far layer by
    `speed` pixels a source frame and what is nearer by PARALLAX times that, which is a motion that a test can state.
    frames: the scene exists for 0 <= t <= frames. Painting the layers takes seconds, an instant milliseconds.
    """

    FOCAL, HORIZON, CENTRE = 1.2, 0.5, 0.5  # focal length and horizon in frame heights, vanishing point in frame widths
    EYE = 1.65  # height of the camera, m
    PARALLAX: dict[str, float] = {}  # layer -> multiple of the camera's motion
    DISTANCE: dict[str, float] = {}  # of a layer that moves in the clip, m
    SPEED: dict[str, float] = {}  # of such a layer along x, m/s
    PAN = 0.0  # of the camera in the clip, px a source frame of a frame WIDTH wide
    # hand shake in the clip: amplitude in px of a frame WIDTH wide, frequency in Hz, phase; for x and y
    SHAKE: tuple[tuple[tuple[float, float, float], ...], ...] = ((), ())

    def __init__(self, width: int, height: int, speed: float | None, frames: float):
        self.width, self.height, self.speed, self.frames = width, height, speed, frames
        self.focal = self.FOCAL * height
        path = np.array([self.camera(t) for t in np.linspace(0, frames, 400)])
        self.margin = np.ceil(np.abs(path).max(axis=0) * max(self.PARALLAX.values()) + 6).astype(int)

    def radiance(self, t: float) -> np.ndarray:
        """(H, W, 3) float32, linear light at one instant, white 1.0, lamps far above it."""
        if not 0 <= t <= self.frames:
            raise ValueError(f"t = {t}: this scene exists from 0 to {self.frames}")
        out = np.zeros((self.height, self.width, 3), np.float32)
        self.lay_all(out, t)
        return out

    def lay_all(self, out: np.ndarray, t: float) -> None:
        """Lay every layer over `out`, the farthest first, as it is at time t."""
        raise NotImplementedError

    def camera(self, t: float) -> tuple[float, float]:
        """How far (x, y) the far layer has moved in the picture at time t, in pixels."""
        if self.speed is not None:
            way = self.speed * (t - self.frames / 2)
            return way * math.cos(PAN_ANGLE), way * math.sin(PAN_ANGLE)
        x, y = (
            sum(a * self.width / WIDTH * math.sin(2 * math.pi * f * t / FPS + p) for a, f, p in axis)
            for axis in self.SHAKE
        )
        return x + self.PAN * self.width / WIDTH * (t - self.frames / 2), y

    def shift(self, layer: str, t: float) -> tuple[float, float]:
        """How far (x, y) a layer has moved in the picture at time t, in pixels; in the clip with its own way."""
        x, y = self.camera(t)
        way = 0.0
        if self.speed is None and layer in self.SPEED:
            way = self.SPEED[layer] * (t - self.frames / 2) / FPS * self.focal / self.DISTANCE[layer]
        return self.PARALLAX[layer] * x + way, self.PARALLAX[layer] * y

    def place(self, layer: str, x: float, height: float, distance: float, t: float) -> tuple[float, float]:
        """Output pixel of the point (x, height) m at this distance of a layer."""
        scale, (dx, dy) = self.focal / distance, self.shift(layer, t)
        return self.CENTRE * self.width + x * scale + dx - 0.5, (
            self.HORIZON * self.height + (self.EYE - height) * scale + dy - 0.5
        )

    def lay_plate(self, out: np.ndarray, plate: np.ndarray, layer: str, t: float) -> None:
        """Lay a plate that is as large as the frame and its margin."""
        (mx, my), (dx, dy) = self.margin, self.shift(layer, t)
        lay(out, plate, dx - mx, dy - my)

    def lay_vehicle(self, out: np.ndarray, plate: np.ndarray, layer: str, at, corner, t: float) -> None:
        """Lay a plate in m whose origin stands at `at` (x, height) and whose corner is `corner` from it."""
        distance = self.DISTANCE[layer]
        (x, y), scale = self.place(layer, *at, distance, t), self.focal / distance
        lay(out, plate, x + 0.5 + corner[0] * scale, y + 0.5 + corner[1] * scale)

    def exposure(self, t0: float, t1: float, samples: int | None = None, clip: bool = True) -> np.ndarray:
        """(H, W, 3) float32: mean linear light over [t0, t1], by the midpoint rule.

        samples: default three a pixel of the fastest layer's way, at least 64. clip: each instant is clipped to white
        first, as the frames of the clip are (what a synthesis can know at best); False gives the light itself.
        """
        if samples is None:
            samples = max(64, math.ceil(3 * 1.3 * (self.speed or 4.0) * (t1 - t0)))
        total = np.zeros((self.height, self.width, 3))
        for i in range(samples):
            light = self.radiance(t0 + (i + 0.5) * (t1 - t0) / samples)
            total += np.minimum(light, 1) if clip else light
        return (total / samples).astype(np.float32)

    def frame(self, t: float) -> np.ndarray:
        """(H, W, 3) uint8 RGB: clip(radiance)^(1/GAMMA), the source frame at time t."""
        return np.rint(255 * self.radiance(t).clip(0, 1) ** (1 / GAMMA)).astype(np.uint8)


def write(scene: LayeredScene, path: Path, crf: int, comment: str) -> None:
    """Encode every source frame: H.264, 4:2:0, BT.709, limited range, constant 250 frames a second.

    comment: goes into the container. It changes the sha256 of the file, by which `build` splits and draws.
    """
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": "veryslow"})
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        tags = stream.codec_context
        tags.colorspace = tags.color_primaries = tags.color_trc = 1  # BT.709
        tags.color_range = 1  # limited
        for t in range(scene.frames):
            picture = av.VideoFrame.from_ndarray(scene.frame(t), "rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            picture.pts = t
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
