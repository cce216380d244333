"""Render the bundled sample clip: a wet street corner at dusk, 250 frames a second, with known linear radiance.

    python examples/make_sample.py [OUT.mp4]

`Scene.radiance(t)` is the light at any instant, a continuous function of time; `Scene.exposure(t0, t1)` is its average,
the photograph that a real shutter would have taken. A synthetic exposure can therefore be held against the truth.

The picture is a stack of layers that slide over each other: the street (`night_street.trace`), a banner in the wind,
a car, a pedestrian, and what stands close to the camera. A layer is painted once, at twice the resolution, through a
lens with a Gaussian spread of LENS pixels, and then moved by an exact cubic resampling; banner and pedestrian change
shape and are painted anew at each instant, with edges that have the same spread. So nothing aliases at any speed.
"""

import argparse
import math
from pathlib import Path

import av
import cv2
import numpy as np
from night_street import EYE, banner, car, near, trace, walker
from numba import njit

FPS, FRAMES, WIDTH, HEIGHT = 250, 90, 1120, 640
CRF = 8  # 1.9 MB
GAMMA = 2.2  # a frame is clip(radiance)^(1/2.2) rounded to 8 bit: Eq. 1 of the paper
LENS = 0.6  # standard deviation of the lens, output pixels
FINE = 2  # stored pixels an output pixel; each is the mean of 2x2 rays
EXPOSURE = 1.0  # radiance of night_street -> multiples of white
FOCAL, HORIZON, CENTRE = 1.225, 0.55, 0.47  # focal length and horizon in frame heights, vanishing point in frame widths
CAR, WALKER, NEAR = 13.2, 7.0, 4.0  # distance from the camera, m
PARALLAX = {"street": 1.0, "banner": 1.0, "car": 1.15, "walker": 1.3, "near": 1.3}
SPEED = {"car": 8.5, "walker": -1.35}  # m/s along x, in the clip
PAN_ANGLE = math.radians(8)
# amplitude in px of a frame WIDTH wide, frequency in Hz, phase; for x and y
SHAKE = (((9.0, 3.1, 0.3), (3.2, 7.3, 1.1), (14.0, 1.27, 2.0)), ((6.0, 2.7, 4.0), (2.4, 6.1, 0.0), (8.0, 1.61, 1.3)))
OUT = Path(__file__).resolve().parent.parent / "lolblur_synth" / "samples" / "night_street_250fps.mp4"


@njit(cache=True)
def paint(which, rows, columns, left, top, scale):
    """One static layer, (rows, columns, 4) premultiplied; `left`, `top`: its corner, `scale`: units a stored pixel."""
    plate = np.zeros((rows, columns, 4), np.float32)
    p = np.zeros(4)
    for i in range(rows):
        for j in range(columns):
            for k in range(4):
                x, y = left + (j + 0.25 + 0.5 * (k % 2)) * scale, top + (i + 0.25 + 0.5 * (k // 2)) * scale
                p[:] = 0
                if which == 0:
                    p[0], p[1], p[2] = trace(x, -y)
                    p[3] = 1
                elif which == 1:
                    car(p, x, -y)
                else:
                    near(p, x, y)
                for c in range(4):
                    plate[i, j, c] += 0.25 * p[c]
    return plate


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


@njit(cache=True)
def act(out, which, x, y, scale, t, spread):
    """Paint banner (0) or walker (1) at time t, its origin at (x, y) output pixels, `scale` pixels a metre."""
    above, below = (0.2, 3.5) if which == 0 else (2.3, 0.2)
    p = np.zeros(4)
    for i in range(max(math.floor(y - above * scale), 0), min(math.ceil(y + below * scale), out.shape[0])):
        for j in range(max(math.floor(x - 0.9 * scale), 0), min(math.ceil(x + 0.9 * scale), out.shape[1])):
            r = g = b = a = 0.0
            for k in range(4):
                u, v = (j - 0.25 + 0.5 * (k % 2) - x) / scale, (i - 0.25 + 0.5 * (k // 2) - y) / scale
                p[:] = 0
                if which == 0:
                    banner(p, u, v, t, spread / scale)
                else:
                    walker(p, u, -v, t, spread / scale)
                r, g, b, a = r + 0.25 * p[0], g + 0.25 * p[1], b + 0.25 * p[2], a + 0.25 * p[3]
            out[i, j, 0] = out[i, j, 0] * (1 - a) + r
            out[i, j, 1] = out[i, j, 1] * (1 - a) + g
            out[i, j, 2] = out[i, j, 2] * (1 - a) + b


class Scene:
    """The corner at any instant: `radiance(t)`, and any exposure of it: `exposure(t0, t1)`. t is in source frames.

    speed: None for the clip (hand shake, traffic); or a steady pan that moves the street by `speed` pixels a source
    frame and what is nearer by PARALLAX times that, which is a motion that a test can state.
    frames: the scene exists for 0 <= t <= frames. Painting the layers takes seconds, an instant milliseconds.
    """

    def __init__(self, width: int = WIDTH, height: int = HEIGHT, speed: float | None = None, frames: float = FRAMES):
        self.width, self.height, self.speed, self.frames = width, height, speed, frames
        path = np.array([self.camera(t) for t in np.linspace(0, frames, 400)])
        self.margin = np.ceil(np.abs(path).max(axis=0) * max(PARALLAX.values()) + 6).astype(int)
        self.focal = FOCAL * height
        mx, my = self.margin
        wide = FINE * (height + 2 * my), FINE * (width + 2 * mx)
        unit = 1 / (FINE * self.focal)
        street = (-(CENTRE * width + mx) / self.focal, -(HORIZON * height + my) / self.focal)
        self.street = self._plate(0, *wide, *street, unit)
        self.near = self._plate(2, *wide, -mx / height, -my / height, 1 / (FINE * height))
        metre = self.focal / CAR
        self.car = self._plate(1, int(FINE * 4.4 * metre), int(FINE * 13 * metre), -5.0, -2.6, 1 / (FINE * metre))

    def _plate(self, which, rows, columns, left, top, scale):
        plate = through_lens(paint(which, rows, columns, left, top, scale), self.height)
        plate[..., :3] *= EXPOSURE
        return plate

    def camera(self, t: float) -> tuple[float, float]:
        """How far (x, y) the street has moved in the picture at time t, in pixels."""
        if self.speed is not None:
            way = self.speed * (t - self.frames / 2)
            return way * math.cos(PAN_ANGLE), way * math.sin(PAN_ANGLE)
        return tuple(
            sum(a * self.width / WIDTH * math.sin(2 * math.pi * f * t / FPS + p) for a, f, p in axis) for axis in SHAKE
        )

    def shift(self, layer: str, t: float) -> tuple[float, float]:
        """How far (x, y) a layer has moved in the picture at time t, in pixels; in the clip with its own way."""
        x, y = self.camera(t)
        way = 0.0
        if self.speed is None and layer in SPEED:
            distance = CAR if layer == "car" else WALKER
            way = SPEED[layer] * (t - self.frames / 2) / FPS * self.focal / distance
        return PARALLAX[layer] * x + way, PARALLAX[layer] * y

    def place(self, layer: str, x: float, height: float, distance: float, t: float) -> tuple[float, float]:
        """Output pixel of the point (x, height) m at this distance of a layer."""
        scale, (dx, dy) = self.focal / distance, self.shift(layer, t)
        return CENTRE * self.width + x * scale + dx - 0.5, HORIZON * self.height + (EYE - height) * scale + dy - 0.5

    def radiance(self, t: float) -> np.ndarray:
        """(H, W, 3) float32, linear light at one instant, white 1.0, lamps far above it."""
        if not 0 <= t <= self.frames:
            raise ValueError(f"t = {t}: this scene exists from 0 to {self.frames}")
        out = np.zeros((self.height, self.width, 3), np.float32)
        mx, my = self.margin
        dx, dy = self.shift("street", t)
        lay(out, self.street, dx - mx, dy - my)
        scale = self.focal / 19.6
        act(out, 0, *self.place("banner", -6.75, 7.2, 19.6, t), scale, t / FPS, LENS)
        x, y = self.place("car", 0.0, 0.0, CAR, t)
        scale = self.focal / CAR
        lay(out, self.car, x + 0.5 - 5.0 * scale, y + 0.5 - 2.6 * scale)
        act(out, 1, *self.place("walker", 1.35, 0.0, WALKER, t), self.focal / WALKER, t / FPS, LENS)
        dx, dy = self.shift("near", t)
        lay(out, self.near, dx - mx, dy - my)
        return out

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


def write(scene: Scene, path: Path, crf: int = CRF) -> None:
    """Encode every source frame: H.264, 4:2:0, BT.709, limited range, constant 250 frames a second."""
    with av.open(str(path), "w") as container:
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the bundled sample clip.")
    parser.add_argument("out", nargs="?", type=Path, default=OUT)
    out = parser.parse_args().out
    write(Scene(), out)
    print(f"{out}: {FRAMES} frames, {WIDTH}x{HEIGHT}, {FPS} fps, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
