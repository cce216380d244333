"""What the rendered places share: patterns, shapes and letters, as scalar code for Numba.

`chance` is the only randomness: it depends on nothing but its arguments, so a place is the same on every machine.
What is called with many constants has a signature: Numba would compile it anew for each constant.
"""

import math

import numpy as np
from numba import njit

# strokes (x, y, x, y) of the neon letters, on a grid of 1 x 1 each, y up
LETTERS = {
    "A": [(0, 0, 0.5, 1), (1, 0, 0.5, 1), (0.22, 0.4, 0.78, 0.4)],
    "B": [
        (0, 0, 0, 1), (0, 0, 0.9, 0), (0, 0.5, 0.8, 0.5), (0, 1, 0.9, 1), (0.9, 0.06, 0.9, 0.44),
        (0.9, 0.56, 0.9, 0.94),
    ],
    "E": [(0, 0, 0, 1), (0, 0, 1, 0), (0, 0.5, 0.8, 0.5), (0, 1, 1, 1)],
    "F": [(0, 0, 0, 1), (0, 0.5, 0.8, 0.5), (0, 1, 1, 1)],
    "H": [(0, 0, 0, 1), (1, 0, 1, 1), (0, 0.5, 1, 0.5)],
    "L": [(0, 0, 0, 1), (0, 0, 1, 0)],
    "O": [(0, 0, 0, 1), (1, 0, 1, 1), (0, 0, 1, 0), (0, 1, 1, 1)],
    "R": [(0, 0, 0, 1), (0, 1, 1, 1), (1, 1, 1, 0.5), (1, 0.5, 0, 0.5), (0.3, 0.5, 1, 0)],
    "T": [(0, 1, 1, 1), (0.5, 0, 0.5, 1)],
    "Y": [(0, 1, 0.5, 0.5), (1, 1, 0.5, 0.5), (0.5, 0, 0.5, 0.5)],
}  # fmt: skip


def strokes(word, x, y, step_x, step_y, wide, high):
    """(strokes, 4) float64: a word whose first letter has its lower left corner at (x, y), each next one a step on."""
    return np.array(
        [
            (x + step_x * i + wide * a, y + step_y * i + high * b, x + step_x * i + wide * c, y + step_y * i + high * d)
            for i, letter in enumerate(word)
            for a, b, c, d in LETTERS[letter]
        ]
    )


@njit("float64(float64, float64, int64)", cache=True)
def chance(i, j, k):
    """A number in 0..1 for each cell (i, j) of pattern k; the only randomness there is."""
    h = (int(i) * 374761393 + int(j) * 668265263 + int(k) * 1442695041) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296.0


@njit("float64(float64, float64, float64)", cache=True)
def step(lo, hi, x):
    """0 below lo, 1 above hi, smooth between."""
    s = min(max((x - lo) / (hi - lo), 0.0), 1.0)
    return s * s * (3 - 2 * s)


@njit("float64(float64, float64, int64)", cache=True)
def noise(x, y, k):
    """Value noise, 0..1, one cell a unit."""
    i, j = math.floor(x), math.floor(y)
    fx, fy = x - i, y - j
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    a = chance(i, j, k) * (1 - fx) + chance(i + 1, j, k) * fx
    b = chance(i, j + 1, k) * (1 - fx) + chance(i + 1, j + 1, k) * fx
    return a * (1 - fy) + b * fy


@njit("float64(float64, float64, int64, int64)", cache=True)
def grain(x, y, k, octaves):
    """Fractal noise, about 0..1, with the 1/f spectrum of natural surfaces."""
    total, weight, scale = 0.0, 0.0, 1.0
    for o in range(octaves):
        total += noise(x * scale, y * scale, k + o) / math.sqrt(scale)
        weight += 1 / math.sqrt(scale)
        scale *= 2.1
    return total / weight


@njit(cache=True)
def segment(x, y, ax, ay, bx, by):
    """Distance of (x, y) from the line between a and b."""
    ux, uy = bx - ax, by - ay
    s = min(max(((x - ax) * ux + (y - ay) * uy) / (ux * ux + uy * uy + 1e-12), 0.0), 1.0)
    return math.hypot(x - ax - s * ux, y - ay - s * uy)


@njit(cache=True)
def box(x, y, cx, cy, hx, hy, round):
    """Signed distance from a rounded box."""
    qx, qy = abs(x - cx) - hx + round, abs(y - cy) - hy + round
    return math.hypot(max(qx, 0.0), max(qy, 0.0)) + min(max(qx, qy), 0.0) - round


@njit(cache=True)
def cover(distance, sigma):
    """Coverage of a shape seen through a Gaussian lens of this width: the exact blur of a straight edge."""
    return 0.5 * math.erfc(distance / (1.41421356 * sigma))


@njit(cache=True)
def neon(strokes, x, y, r, g, b):
    """Glass tubes of 2 cm with a white-hot core and a coloured halo on the wall."""
    nearest = 1e9
    for i in range(strokes.shape[0]):
        nearest = min(nearest, segment(x, y, strokes[i, 0], strokes[i, 1], strokes[i, 2], strokes[i, 3]))
    tube = 1 - step(0.035, 0.06, nearest)
    halo = 0.09 * math.exp(-nearest / 0.22) + 0.03 * math.exp(-nearest / 0.9)
    return (tube + halo) * r, (tube + halo) * g, (tube + halo) * b


@njit(cache=True)
def lantern_light(lamps, power, wrap, x, y, z, nx, ny, nz, r, g, b):
    """Light (r, g, b) on a point with this normal, and that of every lantern (x, y, z, r, g, b) added to it.

    wrap: share that also reaches a side that is turned away, because light scatters (half-Lambert).
    """
    for i in range(lamps.shape[0]):
        ux, uy, uz = lamps[i, 0] - x, lamps[i, 1] - y, lamps[i, 2] - z
        d2 = ux * ux + uy * uy + uz * uz + 0.8
        facing = (ux * nx + uy * ny + uz * nz) / math.sqrt(d2)
        light = power * max(wrap + (1 - wrap) * facing, 0.0) / d2
        r, g, b = r + light * lamps[i, 3], g + light * lamps[i, 4], b + light * lamps[i, 5]
    return r, g, b


@njit(cache=True)
def over(p, r, g, b, a):
    """Paint colour (r, g, b) with coverage a over the premultiplied pixel p."""
    for c, v in enumerate((r, g, b)):
        p[c] = p[c] * (1 - a) + v * a
    p[3] = p[3] * (1 - a) + a
