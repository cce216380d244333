"""What the place looks like: a ferry harbour by night as a function from rays to linear light.

Everything is procedural, as in `night_street`. The static place is ray-cast (`shade`): the quay that the camera stands
on, a pier with lamps and a terminal, the far shore (`harbour_shore`), and water that mirrors them. The ferry and what
stands on the quay are painted by `harbour_boats`.
Lengths are metres, x to the right, y up, z away from a camera at (0, EYE, 0); radiance 1 is the white of the clip.
"""

import math

import numpy as np
from harbour_shore import shore, shore_height, wheel
from numba import njit
from shading import box, chance, grain, lantern_light, neon, noise, step, strokes

EYE = 3.2  # height of the camera above the water
DECK, EDGE = 1.6, 6.2  # height of quay and pier; where the quay ends
PIER, PIER_NEAR, PIER_FAR = 6.0, 13.0, 112.0  # the pier: x > PIER, between these z
HALL, FRONT, BACK = 8.6, 27.0, 74.0  # the terminal: x > HALL, between these z
SHORE, HILL = 180.0, 300.0  # z of the far shore, and of the hill behind it
WARM, MERCURY = (1.0, 0.70, 0.40), (0.66, 1.0, 0.90)
# x, y, z, r, g, b of each lantern; radiance of the glass is LANTERN times the colour
LAMPS = np.array(
    [
        (-3.3, 5.05, 5.6, *WARM),
        *((6.6, 6.2, z, *MERCURY) for z in (16.0, 37.0, 70.0)),
        *((6.6, 6.2, z, *WARM) for z in (25.0, 52.0, 92.0)),
    ]
)
LANTERN, POWER = 26.0, 5.5
SIGN = 0.5  # the sign's tubes are 1 / SIGN times as thick as those of a street
FERRY = strokes("FERRY", SIGN * 10.6, SIGN * 5.75, SIGN * 1.35, 0.0, SIGN * 0.85, SIGN * 1.35)


@njit(cache=True)
def lit(x, y, z, nx, ny, nz):
    """Irradiance over pi at a point with this normal: the sky over a town, and every lantern."""
    r, g, b = 0.018 + 0.006 * ny, 0.026 + 0.008 * ny, 0.040 + 0.014 * ny
    r, g, b = lantern_light(LAMPS, POWER, 0.12, x, y, z, nx, ny, nz, r, g, b)
    if z < FRONT and x > HALL - 3:  # the hall throws its light on the pier in front of it
        spill = 0.5 * math.exp(-(FRONT - z) / 4.0) * max(ny, 0.0)
        r, g, b = r + spill, g + 0.9 * spill, b + 0.65 * spill
    return r, g, b


@njit(cache=True)
def sky(dx, dy, dz):
    """Night over a town: a teal glow above the roofs, torn clouds lit from below, deep blue above."""
    up = max(dy, 0.0) / math.hypot(dx, dz)
    glow = math.exp(-up * 7.0)
    cloud = step(0.38, 0.72, grain(dx / dz * 3 + 4, up * 8, 21, 6))
    light = 0.05 * glow + cloud * (0.035 + 0.09 * glow)
    star = chance(math.floor(dx / dz * 700), math.floor(up * 700), 23)
    twinkle = 0.35 * (star - 0.9988) / 0.0012 if star > 0.9988 and cloud < 0.3 and up > 0.1 else 0.0
    return 0.012 + 0.75 * light + twinkle, 0.024 + light + twinkle, 0.052 + 1.15 * light + twinkle


@njit(cache=True)
def hall_front(x, y):
    """The terminal: a glazed waiting hall, people in it, a dark fascia with the sign. Albedo and emission."""
    v = y - DECK
    if v > 3.1 or x > 23.5:
        rib = 0.75 + 0.25 * math.cos(x * 14)
        a = 0.20 * rib * (0.6 + 0.6 * grain(x * 2, y * 2, 41, 5))
        lip = 0.5 if 3.1 < v < 3.25 else 0.0
        return 0.7 * a, a, 1.1 * a, lip, 0.9 * lip, 0.6 * lip
    u = (x - HALL) % 1.6
    if u < 0.09 or v < 0.12 or 2.35 < v < 2.42 or (u > 1.52):
        return 0.05, 0.05, 0.05, 0.0, 0.0, 0.0
    bay = math.floor((x - HALL) / 1.6)
    tile = 0.8 if (x / 0.4) % 1 < 0.06 or (v / 0.4) % 1 < 0.06 else 1.0
    back = (0.22 + 0.5 * step(0.3, 2.8, v) + 0.3 * (grain(x * 1.5, v * 1.5, 42, 5) - 0.5)) * tile
    r, g, b = back, back * 0.92, back * 0.66
    panel = chance(bay, 1, 43)
    if panel > 0.45 and 0.9 < v < 2.1 and 0.35 < u < 1.25:  # timetables and posters on the back wall
        row = chance(math.floor(v * 14), math.floor(u * 9), bay + 44)
        ink = 0.35 + 0.65 * (row > 0.45)
        r, g, b = (0.9 * ink, 0.85 * ink, 0.5 * ink) if panel > 0.75 else (0.25 * ink, 0.5 * ink, 0.85 * ink)
    if chance(bay, 2, 43) > 0.5:  # somebody waits
        at = 0.35 + 0.9 * chance(bay, 3, 43)
        tall = 1.35 + 0.25 * chance(bay, 4, 43)
        body = min(math.hypot(u - at, v - tall) - 0.13, box(u, v, at, 0.5 * tall - 0.1, 0.23, 0.5 * tall, 0.15))
        if body < 0:
            r, g, b = 0.05 + 0.12 * chance(bay, 5, 43), 0.04, 0.06 + 0.1 * chance(bay, 6, 43)
    tube = 4.0 if abs(v - 2.78) < 0.05 and 0.3 < u < 1.3 else 0.0
    return 0.03, 0.03, 0.03, r + tube, g + tube, b + 0.85 * tube


@njit(cache=True)
def hall_side(z, y):
    """The long wall of the terminal: painted boards, a row of windows, a door with a lamp. Albedo and emission."""
    v = y - DECK
    board = 0.7 + 0.3 * (v % 0.28 > 0.04)
    a = 0.45 * board * (0.5 + 0.7 * grain(z * 0.7, v * 3, 45, 5))
    r, g, b = 0.55 * a, 0.95 * a, a
    u, bay = (z - FRONT) % 4.0, math.floor((z - FRONT) / 4.0)
    if 0.9 < u < 3.0 and 1.0 < v < 2.6:
        if min(abs(u - 1.95), abs(v - 1.8)) < 0.05 or chance(bay, 1, 46) < 0.35:
            return 0.04, 0.04, 0.05, 0.0, 0.0, 0.0
        level = (0.45 + 0.7 * chance(bay, 2, 46)) * (0.6 + 0.6 * grain(u * 3, v * 3, 47, 3))
        return 0.03, 0.03, 0.03, level, 0.78 * level, 0.42 * level
    return r, g, b, 0.0, 0.0, 0.0


@njit(cache=True)
def stone(x, z):
    """Albedo of quay and pier from above: cobbles between granite slabs, worn, with puddles; and how wet it is."""
    wet = step(0.42, 0.62, grain(x * 0.7, z * 0.7, 51, 4))
    worn = 0.5 + 0.8 * grain(x * 6, z * 6, 52, 4)
    if EDGE - 0.5 < z < EDGE or (z > PIER_NEAR and (x < PIER + 0.6 or z < PIER_NEAR + 0.6)):
        joint = min((x / 1.1) % 1, 1 - (x / 1.1) % 1) < 0.012
        return 0.34 * worn * (0.25 if joint else 1.0), 0.5 * wet
    row = math.floor(z / 0.13)
    u, v = (x / 0.17 + 0.5 * (row % 2)) % 1 - 0.5, (z / 0.13) % 1 - 0.5
    dome = 1 - step(0.30, 0.50, max(abs(u), abs(v)) + 0.06 * noise(x * 30, z * 30, 53))
    shade_of = 0.5 + chance(math.floor(x / 0.17 + 0.5 * (row % 2)), row, 54)
    return 0.26 * worn * shade_of * (0.12 + 0.88 * dome), wet * (0.35 + 0.65 * dome)


@njit(cache=True)
def hit(ox, oy, oz, dx, dy, dz):
    """The nearest surface along a ray: distance, and 0 sky, 1 water, 2 stone, 3 pier wall, 4 hall front, 5 hall side,
    6 far shore, 7 hill."""
    far, kind = 1e9, 0
    if dy < 0:
        far, kind = -oy / dy, 1
        s = (DECK - oy) / dy
        x, z = ox + s * dx, oz + s * dz
        if s > 0 and (z < EDGE or (x > PIER and PIER_NEAR < z < PIER_FAR)):
            far, kind = s, 2
    s = (PIER_NEAR - oz) / dz
    if 0 < s < far and ox + s * dx > PIER and 0 < oy + s * dy < DECK:
        far, kind = s, 3
    s = (FRONT - oz) / dz
    if 0 < s < far and ox + s * dx > HALL and DECK < oy + s * dy < DECK + 6.1:
        far, kind = s, 4
    if dx > 0:
        s = (PIER - ox) / dx
        if 0 < s < far and PIER_NEAR < oz + s * dz < PIER_FAR and 0 < oy + s * dy < DECK:
            far, kind = s, 3
        s = (HALL - ox) / dx
        if 0 < s < far and FRONT < oz + s * dz < BACK and DECK < oy + s * dy < DECK + 4.2:
            far, kind = s, 5
    s = (SHORE - oz) / dz
    if 0 < s < far and 0 < oy + s * dy < shore_height(ox + s * dx):
        far, kind = s, 6
    s = (HILL - oz) / dz
    x = ox + s * dx
    if 0 < s < far and oy + s * dy < 22 + 40 * noise(x / 90, 0.5, 56) + 5 * grain(x / 7, 0.5, 57, 3):
        far, kind = s, 7
    return far, kind


@njit(cache=True)
def shade(ox, oy, oz, dx, dy, dz):
    """Radiance of what a ray meets, without reflections; the distance and the kind of `hit` (8: a lamp post)."""
    far, kind = hit(ox, oy, oz, dx, dy, dz)
    x, y, z = ox + far * dx, oy + far * dy, oz + far * dz
    r = g = b = 0.0
    if kind == 0:
        r, g, b = sky(dx, dy, dz)
    elif kind == 2:
        albedo, wet = stone(x, z)
        lr, lg, lb = lit(x, y, z, 0.0, 1.0, 0.0)
        albedo *= 1 - 0.4 * wet
        r, g, b = albedo * lr, albedo * lg, albedo * lb
    elif kind == 3:
        weed = step(0.2, 0.7, y + 0.3 * noise(x * 3, z * 3, 58))
        albedo = (0.06 + 0.22 * weed) * (0.4 + grain((x + z) * 2, y * 4, 59, 5))
        lr, lg, lb = lit(x, y, z, -0.7, 0.2, -0.7)
        r, g, b = albedo * lr, albedo * lg, 0.9 * albedo * lb
    elif kind == 4 or kind == 5:
        ar, ag, ab, er, eg, eb = hall_front(x, y) if kind == 4 else hall_side(z, y)
        lr, lg, lb = lit(x, y, z, 0.0 if kind == 4 else -1.0, 0.0, -1.0 if kind == 4 else 0.0)
        r, g, b = ar * lr + er, ag * lg + eg, ab * lb + eb
        if kind == 4 and y > DECK + 3.1:
            nr, ng, nb = neon(FERRY, SIGN * x, SIGN * y, 6.0, 0.5, 3.2)
            r, g, b = r + nr, g + ng, b + nb
    elif kind == 6:
        r, g, b = shore(x, y)
    elif kind == 7:
        cell = chance(math.floor(x / 2.5), math.floor(y / 2.5), 61)
        home = 0.9 * (cell > 0.93) * (math.hypot(x % 2.5 - 1.2, y % 2.5 - 1.2) < 0.55)
        tree = 0.012 + 0.02 * grain(x / 4, y / 4, 62, 4)
        r, g, b = tree + home, 1.2 * tree + 0.7 * home, 1.4 * tree + 0.35 * home
    s = (SHORE - 4 - oz) / dz
    if 0 < s < far and kind != 1:
        wr, wg, wb = wheel(ox + s * dx, oy + s * dy)
        r, g, b = r + wr, g + wg, b + wb
    haze = 1 - math.exp(-far / 900) if kind else 0.0
    r, g, b = r + haze * (0.06 - r), g + haze * (0.08 - g), b + haze * (0.11 - b)
    for i in range(LAMPS.shape[0] - 1, -1, -1):
        s = (LAMPS[i, 2] - oz) / dz
        if not 0 < s < far:
            continue
        x, y = ox + s * dx - LAMPS[i, 0], oy + s * dy - LAMPS[i, 1]
        if DECK < y + LAMPS[i, 1] and ((y < 0 and abs(x) < 0.06) or (0.17 < y < 0.26 and abs(x) < 0.26)):
            r = 0.02 + 0.05 * step(-0.1, 0.1, x) + 0.5 * math.exp(-abs(y) / 0.25)
            g, b, kind = r * 0.9, r * 0.8, 8
        glow = LANTERN * (1 - step(0.15, 0.21, math.hypot(x * 0.8, y))) + 0.25 * math.exp(-math.hypot(x, y) / 0.4)
        r, g, b = r + glow * LAMPS[i, 3], g + glow * LAMPS[i, 4], b + glow * LAMPS[i, 5]
    return r, g, b, far, kind


@njit(cache=True)
def mirrored(x, z, dx, dy, dz):
    """Radiance that water at (x, z) mirrors: waves where a pixel resolves them, chance for finer ones."""
    footprint = 0.5 * z * z / (EYE * 770)
    sx, sz, lost = 0.0, 0.0, 0.0
    for i in range(5):
        waves, steep = 0.30 * 2.3**i, 0.030 + 0.004 * i
        seen = 1 - step(0.25, 1.0, footprint * waves)
        sx += 0.6 * steep * seen * 2 * (noise(x * waves, z * waves * 0.7 + 0.4 * x * waves, 71 + i) - 0.5)
        sz += steep * seen * 2 * (noise(x * waves * 0.6, z * waves * 0.9, 81 + i) - 0.5)
        lost += steep * steep * (1 - seen * seen)
    lost = math.sqrt(lost)
    spread = chance(x * 9973, z * 7919, 91) + chance(x * 8887, z * 6661, 92) + chance(x * 9461, z * 5557, 93) - 1.5
    sz += 0.7 * lost * spread
    sx += 0.5 * lost * (chance(x * 9311, z * 6173, 94) + chance(x * 7873, z * 8311, 95) - 1.0)
    facing = max((-dy + sx * dx + sz * dz) / math.sqrt(1 + dx * dx + dy * dy), 0.004)
    length = facing * math.sqrt(1 + dx * dx + dy * dy)
    r, g, b, _, _ = shade(x, 0.0, z, dx - 2 * length * sx, max(dy + 2 * length, 0.002), dz - 2 * length * sz)
    share = 0.03 + 0.97 * (1 - facing) ** 5
    return share * min(r, 14.0) + 0.002, share * min(g, 14.0) + 0.006, share * min(b, 14.0) + 0.008


@njit(cache=True)
def trace(dx, dy):
    """Radiance of the static place in the direction (dx, dy, 1) from the camera."""
    r, g, b, far, kind = shade(0.0, EYE, 0.0, dx, dy, 1.0)
    x, z = far * dx, far
    if kind == 1:
        mr, mg, mb = mirrored(x, z, dx, dy, 1.0)
        r, g, b = r + mr, g + mg, b + mb
    elif kind == 2:
        _, wet = stone(x, z)
        tilt = 0.10 * (grain(x * 9, z * 9, 65, 3) - 0.5)
        share = wet * (0.04 + 0.5 * (1 - min(-dy, 1.0)) ** 5)
        mr, mg, mb, _, _ = shade(x, DECK + 1e-4, z, dx + tilt, max(tilt - dy, 0.01), 1.0)
        r, g, b = r + share * min(mr, 12.0), g + share * min(mg, 12.0), b + share * min(mb, 12.0)
    return r, g, b
