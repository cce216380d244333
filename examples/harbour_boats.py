"""What moves in the harbour, and what stands close to the camera: each a function of its own coordinates that adds to
a premultiplied pixel p (red, green, blue, coverage)."""

import math

from numba import njit
from shading import box, chance, grain, noise, over, step


@njit(cache=True)
def hull(p, u, v, light):
    """The ferry above the water line, in m, its bow to the right; light: what is left of it, 1 or in the water less."""
    sheer = 1.5 + 0.0045 * (u + 2) ** 2 * (u > -2)
    body = max(v - sheer, -v - 0.2, u - 8.6 - 0.55 * v, -8.2 - u)
    tone = (0.6 + 0.6 * grain(u * 1.5, v * 4, 11, 5)) * (0.4 + 0.5 * step(0.0, 1.5, v)) * light
    rust = step(0.55, 0.75, grain(u * 2, v * 0.7, 12, 4))
    over(p, 0.025 * tone + 0.03 * rust * tone, 0.05 * tone + 0.01 * rust * tone, 0.11 * tone, body < 0)
    over(p, 0.45 * tone, 0.45 * tone, 0.42 * tone, body < 0 and 1.12 < v < 1.32)
    for low, high, left, right in ((1.5, 3.5, -7.6, 5.6), (3.5, 5.3, -5.2, 3.4)):
        wall = max(low - v, v - high, left - u, u - right + 0.25 * (v - low))
        paint = (0.11 + 0.10 * grain(u * 2, v * 2, 13, 5)) * light
        over(p, paint, 1.05 * paint, 1.08 * paint, wall < 0)
        inside, bay = (u - left) % 1.3, math.floor((u - left) / 1.3)
        pane = box(inside, v, 0.65, low + 1.15, 0.5, 0.42, 0.1)
        if wall < -0.1 and pane < 0 and u < right - 0.6:
            level = (0.7 + 0.6 * chance(bay, low, 14)) * (0.55 + 0.6 * grain(u * 3, v * 3, 15, 4)) * light
            someone = math.hypot(inside - 0.3 - 0.7 * chance(bay, low, 16), (v - low - 0.95) * 0.8) < 0.2
            level *= 0.12 if someone and chance(bay, low, 17) > 0.45 else 1.0
            over(p, level, 0.84 * level, 0.50 * level, 1.0)
        over(p, 0.30 * light, 0.29 * light, 0.25 * light, wall < 0 and v > high - 0.12)
    bridge = max(5.3 - v, v - 6.7, 0.2 - u, u - 2.8 + 0.2 * (v - 5.3))
    over(p, 0.12 * light, 0.125 * light, 0.13 * light, bridge < 0)
    over(p, 0.06 * light, 0.14 * light, 0.13 * light, bridge < -0.12 and 5.75 < v < 6.4 and (u * 1.2) % 1 > 0.1)
    funnel = max(5.3 - v, v - 7.2, abs(u + 3.2 + 0.12 * (v - 5.3)) - 0.75)
    band = 1.0 if 6.2 < v < 6.7 else 0.15
    over(p, 0.30 * band * light, 0.05 * light, 0.04 * light, funnel < 0)
    rail = max(3.5 - v, v - 4.4, -7.6 - u, u + 5.2)
    over(p, 0.2 * light, 0.2 * light, 0.2 * light, rail < 0 and ((u * 2.5) % 1 < 0.12 or (v * 2.6) % 1 < 0.12))
    mast = max(6.7 - v, v - 9.2, abs(u - 1.4) - 0.07)
    over(p, 0.05 * light, 0.05 * light, 0.05 * light, mast < 0)
    for x, y, r, g, b in ((1.4, 9.0, 9.0, 8.8, 8.0), (2.9, 6.0, 0.3, 8.0, 2.6), (-7.5, 4.7, 7.0, 6.5, 5.5)):
        d = math.hypot(u - x, v - y)
        glow = (1 - step(0.08, 0.15, d) + 0.06 * math.exp(-d / 0.25)) * light
        p[0], p[1], p[2] = p[0] + glow * r, p[1] + glow * g, p[2] + glow * b
    for i in range(5):  # lamps under the upper deck
        d = math.hypot(u + 6.6 - 2.7 * i, v - 3.32)
        glow = (4 * (1 - step(0.06, 0.12, d)) + 0.25 * math.exp(-d / 0.4)) * light
        p[0], p[1], p[2] = p[0] + glow, p[1] + 0.9 * glow, p[2] + 0.65 * glow


@njit(cache=True)
def ferry(p, u, v):
    """The ferry, its image on the water, and its wave; u, v in m, v = 0 at the water line."""
    if v < 0.05:
        deep = -v
        wave = noise(u * 0.9, v * 3.2, 21) - 0.5 + 0.7 * (noise(u * 2.6, v * 7.5, 22) - 0.5)
        hull(p, u + 0.25 * wave * (1 + deep), deep * 1.25 + wave * (0.35 + 0.9 * deep), 0.5 * math.exp(-deep / 5.0))
        p[:] = p * step(0.0, 0.35, 7.0 - deep)
        spray = 0.22 * math.exp(-deep / 0.25) * step(0.35, 0.8, grain(u * 2.2, v * 8, 23, 5)) * step(-11.0, -6.0, u)
        over(p, spray, 1.05 * spray, 1.1 * spray, min(3 * spray, 1.0) * step(9.6, 8.6, u))
    if v > -0.2:
        hull(p, u, v, 1.0)


@njit(cache=True)
def quay(p, x, y):
    """Close to the camera, in frame heights from the upper left corner: a bollard with its rope, a lifebuoy."""
    rope = abs(y - 0.865 - 0.055 * math.sin(3.1 * (x - 0.35)) * (x < 1.22)) - 0.0075
    twist = 0.5 + 0.5 * math.sin(420 * x + 300 * y)
    iron = 0.5 + 0.8 * grain(x * 70, y * 70, 31, 4)
    over(p, 0.004, 0.004, 0.005, 0.75 * math.exp(-(((y - 0.975) / 0.018) ** 2) - ((x - 1.27) / 0.075) ** 2))
    body = min(box(x, y, 1.22, 0.915, 0.034, 0.075, 0.02), box(x, y, 1.22, 0.845, 0.055, 0.020, 0.018))
    shine = 0.02 + 0.20 * math.exp(-(((x - 1.196) / 0.012) ** 2)) + 0.05 * step(1.26, 1.18, x)
    over(p, shine * iron, 0.75 * shine * iron, 0.5 * shine * iron, body < 0)
    hemp = (0.3 + twist) * iron
    over(p, 0.16 * hemp, 0.12 * hemp, 0.07 * hemp, rope < 0 and x < 1.25)
    post = box(x, y, 1.585, 0.80, 0.010, 0.26, 0.002)
    rim = 0.03 + 0.13 * step(1.595, 1.577, x)
    over(p, rim * iron, rim * iron, 0.9 * rim * iron, post < 0)
    board = box(x, y, 1.585, 0.64, 0.075, 0.085, 0.01)
    over(p, 0.03 * iron, 0.04 * iron, 0.06 * iron, board < 0)
    ring = math.hypot(x - 1.585, y - 0.64)
    tube = abs(ring - 0.050) - 0.017
    angle = math.atan2(y - 0.64, x - 1.585)
    round = 0.35 + 0.65 * math.sqrt(max(1 - ((ring - 0.05) / 0.017) ** 2, 0.0))
    light = round * (0.30 + 0.25 * step(0.4, -0.9, math.cos(angle) + math.sin(angle))) * (0.8 + 0.3 * iron)
    white = math.cos(4 * angle) > 0.55
    over(p, light * 0.95, light * (0.85 if white else 0.22), light * (0.65 if white else 0.05), tube < 0)
    cord = abs(ring - 0.072 - 0.004 * math.cos(4 * angle)) - 0.0022
    over(p, 0.25 * iron, 0.22 * iron, 0.15 * iron, cord < 0)
