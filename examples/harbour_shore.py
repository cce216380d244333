"""The far shore of the harbour: houses, a tower and a wheel of lights; x and y in m, y above the water."""

import math

from numba import njit
from shading import chance, grain, noise

WHEEL_X, WHEEL_Y, WHEEL = -52.0, 27.0, 22.0  # centre and radius of the wheel on the far shore
TOWER_X = -8.0


@njit(cache=True)
def wheel(x, y):
    """Emission of a wheel of lights: bulbs on rim and spokes, each in the colour of its sector."""
    u, v = x - WHEEL_X, y - WHEEL_Y
    radius, angle = math.hypot(u, v), math.atan2(v, u) / (2 * math.pi) + 0.5
    spoke = (angle * 18 + 0.5) % 1 - 0.5
    rim = abs(radius - WHEEL)
    along = abs((angle * 72) % 1 - 0.5) * 2 * math.pi * WHEEL / 72
    bulb = math.exp(-(rim * rim + along * along) / 0.10)
    inner = abs(radius - 0.62 * WHEEL)
    bulb += 0.8 * math.exp(-(inner * inner + along * along) / 0.08) if radius > 3 else 0.0
    arm = abs(spoke) * 2 * math.pi * radius / 18
    beads = 0.5 + 0.5 * math.cos(2 * math.pi * radius / 1.1)
    bulb += 0.35 * beads * math.exp(-arm * arm / 0.03) if radius < WHEEL else 0.0
    halo = 0.015 * math.exp(-rim / 2.0)
    sector = math.floor(angle * 6) % 3
    light = 7 * bulb + halo
    if sector == 0:
        return light, 0.16 * light, 0.30 * light
    if sector == 1:
        return 0.12 * light, 0.75 * light, light
    return light, 0.62 * light, 0.14 * light


@njit(cache=True)
def shore_height(x):
    """Height of what stands on the far shore at x: houses with gables, a tower with a spire."""
    lot, inside = math.floor(x / 11.0), x % 11.0
    height = 7 + 9 * chance(lot, 1, 31) + (2.5 - 0.45 * abs(inside - 5.5) if chance(lot, 2, 31) > 0.4 else 0.0)
    if abs(x - TOWER_X) < 3:
        height = max(34.0, 48 - 5.5 * abs(x - TOWER_X))
    return height


@njit(cache=True)
def shore(x, y):
    """Radiance of the far shore: quay wall, houses with lit windows, lamps along the water, a floodlit tower."""
    lot = math.floor(x / 11.0)
    tint = chance(lot, 3, 32)
    tone = (0.5 + 0.8 * grain(x * 0.8, y * 0.8, 33, 4)) * (0.5 + 0.5 * chance(lot, 4, 32))
    street = 0.55 * math.exp(-max(y - 3, 0.0) / 5.0) + 0.02
    r, g, b = street * tone, street * tone * (0.60 + 0.2 * tint), street * tone * (0.35 + 0.35 * tint)
    if y < 2.2:
        stone = 0.10 * (0.4 + grain(x * 2, y * 3, 34, 4))
        r, g, b = stone, 0.7 * stone, 0.45 * stone
    elif abs(x - TOWER_X) < 3:  # the tower
        flood = (0.5 + 0.5 * grain(x * 2, y * 2, 35, 4)) * (0.25 + 0.75 * math.exp(-(((y - 20) / 16) ** 2)))
        r, g, b = 0.42 * flood, 0.50 * flood, 0.30 * flood
        face = math.hypot(x - TOWER_X, y - 28)
        if face < 2.0:
            hour, minute = abs(y - 28) < 0.2 and x > TOWER_X, abs(x - TOWER_X) < 0.2 and y > 28
            r = g = b = 0.05 if (hour or minute) and face < 1.7 else 1.3
        elif abs(abs(x - TOWER_X) - 1.1) < 0.4 and y % 6 < 3.4 and y < 24:
            r, g, b = 0.02, 0.02, 0.025
    else:
        column, floor = math.floor(x / 2.2), math.floor((y - 2.2) / 2.9)
        u, v = x % 2.2, (y - 2.2) % 2.9
        ground = floor == 0
        if 0.5 < u < (2.0 if ground else 1.6) and 0.7 < v < 2.3:
            mood = chance(column, floor, 36)
            if mood < (0.65 if ground else 0.30):
                level = 0.35 + 1.1 * chance(column, floor, 37) * (0.7 + 0.5 * noise(x * 5, y * 5, 38))
                cold = chance(column, floor, 39)
                r, g, b = level * (0.55 + 0.45 * (cold < 0.75)), level * 0.75, level * (0.35 + 0.5 * (cold > 0.75))
            else:
                r, g, b = 0.015, 0.02, 0.03
    along, up = (x % 13.0) - 6.5, y - 6.0
    lamp = 20 * math.exp(-(along * along + up * up) / 0.12) + 0.10 * math.exp(-math.hypot(along, up) / 1.6)
    return r + lamp, g + 0.72 * lamp, b + 0.36 * lamp
