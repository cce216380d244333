"""The two rendered places as scenes: their layers, and what moves. `Street` is a corner at dusk, `Harbour` a harbour by
night. `scene.radiance(t)` is the light at any instant, a continuous function of time."""

import math

import harbour_boats
import night_harbour
import night_street
import numpy as np
from layered_scene import FINE, FPS, HEIGHT, LENS, WIDTH, LayeredScene, through_lens
from numba import njit


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
                    p[0], p[1], p[2] = night_street.trace(x, -y)
                    p[3] = 1
                elif which == 1:
                    night_street.car(p, x, -y)
                elif which == 2:
                    night_street.near(p, x, y)
                elif which == 3:
                    p[0], p[1], p[2] = night_harbour.trace(x, -y)
                    p[3] = 1
                elif which == 4:
                    harbour_boats.ferry(p, x, -y)
                else:
                    harbour_boats.quay(p, x, y)
                for c in range(4):
                    plate[i, j, c] += 0.25 * p[c]
    return plate


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
                    night_street.banner(p, u, v, t, spread / scale)
                else:
                    night_street.walker(p, u, -v, t, spread / scale)
                r, g, b, a = r + 0.25 * p[0], g + 0.25 * p[1], b + 0.25 * p[2], a + 0.25 * p[3]
            out[i, j, 0] = out[i, j, 0] * (1 - a) + r
            out[i, j, 1] = out[i, j, 1] * (1 - a) + g
            out[i, j, 2] = out[i, j, 2] * (1 - a) + b


class Place(LayeredScene):
    """A place whose static layers are painted by `paint`."""

    def plate(self, which: int, rows: int, columns: int, left: float, top: float, scale: float) -> np.ndarray:
        return through_lens(paint(which, rows, columns, left, top, scale), self.height)

    def background(self, which: int) -> np.ndarray:
        """The far layer: rays from the camera, over the frame and its margin."""
        (mx, my), unit = self.margin, 1 / (FINE * self.focal)
        corner = -(self.CENTRE * self.width + mx) / self.focal, -(self.HORIZON * self.height + my) / self.focal
        return self.plate(which, FINE * (self.height + 2 * my), FINE * (self.width + 2 * mx), *corner, unit)

    def foreground(self, which: int) -> np.ndarray:
        """What stands close to the camera, in frame heights, over the frame and its margin."""
        (mx, my), unit = self.margin, 1 / (FINE * self.height)
        size = FINE * (self.height + 2 * my), FINE * (self.width + 2 * mx)
        return self.plate(which, *size, -mx / self.height, -my / self.height, unit)

    def vehicle(self, which: int, layer: str, wide: float, high: float, left: float, top: float) -> np.ndarray:
        """What moves at the distance of this layer: wide x high m, its corner at (left, top) m from its origin."""
        metre = self.focal / self.DISTANCE[layer]
        return self.plate(which, int(FINE * high * metre), int(FINE * wide * metre), left, top, 1 / (FINE * metre))


class Street(Place):
    """A wet street corner at dusk: a banner in the wind, a car, a pedestrian, hand shake."""

    FRAMES = 90
    FOCAL, HORIZON, CENTRE, EYE = 1.225, 0.55, 0.47, night_street.EYE
    PARALLAX = {"street": 1.0, "banner": 1.0, "car": 1.15, "walker": 1.3, "near": 1.3}
    DISTANCE = {"car": 13.2, "walker": 7.0}
    SPEED = {"car": 8.5, "walker": -1.35}
    SHAKE = (
        ((9.0, 3.1, 0.3), (3.2, 7.3, 1.1), (14.0, 1.27, 2.0)),
        ((6.0, 2.7, 4.0), (2.4, 6.1, 0.0), (8.0, 1.61, 1.3)),
    )

    def __init__(self, width: int = WIDTH, height: int = HEIGHT, speed: float | None = None, frames: float = FRAMES):
        super().__init__(width, height, speed, frames)
        self.street, self.near = self.background(0), self.foreground(2)
        self.car = self.vehicle(1, "car", 13, 4.4, -5.0, -2.6)

    def lay_all(self, out: np.ndarray, t: float) -> None:
        self.lay_plate(out, self.street, "street", t)
        scale = self.focal / 19.6
        act(out, 0, *self.place("banner", -6.75, 7.2, 19.6, t), scale, t / FPS, LENS)
        self.lay_vehicle(out, self.car, "car", (0.0, 0.0), (-5.0, -2.6), t)
        distance = self.DISTANCE["walker"]
        act(out, 1, *self.place("walker", 1.35, 0.0, distance, t), self.focal / distance, t / FPS, LENS)
        self.lay_plate(out, self.near, "near", t)


class Harbour(Place):
    """A ferry harbour by night: a camera that pans and shakes, a ferry that leaves."""

    FRAMES = 34
    FOCAL, HORIZON, CENTRE, EYE = 1.2, 0.47, 0.47, night_harbour.EYE
    PARALLAX = {"harbour": 1.0, "ferry": 1.05, "quay": 1.25}
    DISTANCE = {"ferry": 38.0}
    SPEED = {"ferry": 8.0}
    PAN = -1.1
    SHAKE = (((5.0, 4.3, 0.9), (2.0, 8.9, 2.1)), ((4.0, 3.7, 1.0), (1.8, 9.3, 0.4)))

    def __init__(self, width: int = WIDTH, height: int = HEIGHT, speed: float | None = None, frames: float = FRAMES):
        super().__init__(width, height, speed, frames)
        self.harbour, self.quay = self.background(3), self.foreground(5)
        self.ferry = self.vehicle(4, "ferry", 26, 18, -13.0, -10.0)

    def lay_all(self, out: np.ndarray, t: float) -> None:
        self.lay_plate(out, self.harbour, "harbour", t)
        self.lay_vehicle(out, self.ferry, "ferry", (-7.0, 0.0), (-13.0, -10.0), t)
        self.lay_plate(out, self.quay, "quay", t)
