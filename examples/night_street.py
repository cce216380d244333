"""What the place looks like: a wet street corner at dusk as a function from rays to linear light.

Everything is procedural. The static place is ray-cast (`shade`): two corner facades, a street that recedes between,
a wet road that mirrors what stands behind it, lamps, shop windows and neon. What moves or stands near is painted by
`car`, `near`, `banner` and `walker`, each a function of its own coordinates that gives premultiplied RGB and coverage.
Lengths are metres, x to the right, y up, z away from a camera at (0, EYE, 0); radiance 1 is the white of the clip.
Scalar code for Numba: it reads like a shader and runs at about a microsecond a ray.
"""

import math

import numpy as np
from numba import njit
from shading import box, chance, cover, grain, lantern_light, neon, noise, over, segment, step, strokes

EYE = 1.65  # height of the camera
FRONT, LEFT, RIGHT, END = 20.0, -5.5, 6.3, 96.0  # corner facades at z = FRONT, side walls at x = LEFT and RIGHT
BAY, FLOOR, SHOP, LOT = 2.5, 3.0, 3.5, 10.0  # one window, one storey, height of a shop, width of a building
SODIUM, COLD = (1.0, 0.62, 0.28), (0.92, 0.97, 1.0)
# x, y, z, r, g, b of each lantern; radiance of the glass is LANTERN times the colour
LAMPS = np.array(
    [
        (x, y, z, *c)
        for x, y, z, c in [
            (-4.9, 5.2, 19.0, SODIUM),
            (5.6, 5.2, 19.2, SODIUM),
            (-4.3, 5.4, 33.0, SODIUM),
            (4.9, 5.4, 33.0, COLD),
            (-4.3, 5.4, 47.0, SODIUM),
            (4.9, 5.4, 47.0, SODIUM),
            (-4.3, 5.4, 61.0, SODIUM),
            (4.9, 5.4, 61.0, COLD),
            (-4.3, 5.4, 75.0, SODIUM),
            (4.9, 5.4, 75.0, SODIUM),
            (-14.0, 5.2, 17.5, SODIUM),
            (14.5, 5.2, 17.5, COLD),
        ]
    ]
)
LANTERN, POWER = 30.0, 7.5

HOTEL = strokes("HOTEL", 7.1, 8.0, 0.0, -0.82, 0.55, 0.58)
BAR = strokes("BAR", -10.6, 3.75, 1.0, 0.0, 0.7, 0.75)


@njit(cache=True)
def roof(lot, k):
    """Height of a building."""
    return SHOP + FLOOR * (2 + math.floor(1.7 * chance(lot, 3, k))) + 0.5 + chance(lot, 4, k)


@njit(cache=True)
def shop(u, v, lot, bay, k):
    """Emission of a lit shop window: back wall, shelves with goods, a row of spots under the ceiling."""
    tint = chance(bay, 5, k)
    level = 0.30 + 0.55 * chance(bay, 6, k)
    r, g, b = level, level * (0.72 + 0.2 * tint), level * (0.38 + 0.45 * tint)
    back = 0.45 + 0.55 * step(0.4, 2.5, v) + 0.25 * (grain(u * 3, v * 3, k, 4) - 0.5)
    row, column = math.floor(v / 0.42), math.floor(u / 0.31 + chance(math.floor(v / 0.42), bay, k))
    size = chance(column, row, k + 9)
    if v < 2.0 and (v / 0.42) % 1 < 0.15 + 0.8 * size and (u / 0.31 + chance(row, bay, k)) % 1 < 0.82:
        tone = (0.15 + 0.6 * chance(column, row, k + 13)) * (0.6 + 0.8 * noise(u * 25, v * 25, k))
        r *= tone * (0.6 + 0.8 * chance(column, row, k + 10))
        g *= tone * (0.6 + 0.6 * chance(column, row, k + 11))
        b *= tone * (0.6 + 0.9 * chance(column, row, k + 12))
    spot = math.exp(-(((u % 0.6) - 0.3) ** 2 + (v - 2.42) ** 2) / 0.004)
    return r * back + 9 * spot, g * back + 8 * spot, b * back + 6.5 * spot


@njit(cache=True)
def wall(u, v, k):
    """A row of houses: albedo and emission at (u, v) metres of the facade with number k."""
    lot = math.floor(u / LOT)
    style = int(chance(lot, 1, k) * 4)
    bay, inside = math.floor(u / BAY), u % BAY
    dirt = grain(u * 1.3, v * 0.9, k, 6)
    fine = grain(u * 9, v * 9, k + 20, 4)
    warm = 0.85 + 0.3 * chance(lot, 2, k)
    if style == 0:
        ar, ag, ab = 0.62 * warm, 0.52, 0.38
    elif style == 1:
        ar, ag, ab = 0.46, 0.47, 0.44 * warm
    else:
        ar, ag, ab = 0.44 * warm, 0.20, 0.13
    if style >= 2:  # bricks, the others are plaster
        row = math.floor(v / 0.085)
        x = u / 0.25 + 0.5 * (row % 2)
        tone = 0.65 + 0.7 * chance(math.floor(x), row, k + 30)
        joint = 1.0 if min(x % 1, 1 - x % 1) < 0.05 or (v / 0.085) % 1 < 0.16 else 0.0
        tone *= 1 - joint
        ar, ag, ab = ar * tone + 0.4 * joint, ag * tone + 0.36 * joint, ab * tone + 0.3 * joint
    shade_of = (0.45 + 0.75 * dirt) * (0.7 + 0.6 * fine) * (0.75 + 0.25 * step(0.0, 1.2, v))
    er = eg = eb = 0.0
    level = (v - SHOP) / FLOOR
    storey, height = math.floor(level), (v - SHOP) % FLOOR
    if v < SHOP:
        if v > 2.85 and v < 3.35:  # the shop sign: a lit board with dark lettering
            on = 0.12 + 0.75 * (chance(lot, 7, k) > 0.35)
            letter = math.floor(u / 0.23)
            written = chance(letter, 8, k) > 0.25 and 2.95 < v < 3.25 and (u / 0.23) % 1 < 0.75
            ink = written and noise(u * 14, v * 14, k) > 0.45
            tint = chance(lot, 9, k)
            er, eg, eb = on * (0.35 + 0.6 * tint), on * 0.5, on * (0.95 - 0.7 * tint)
            if ink:
                er, eg, eb = 0.1 * er, 0.1 * eg, 0.1 * eb
        elif 0.16 < inside < BAY - 0.16 and v > 0.45 and v < 2.7:
            ar = ag = ab = 0.04
            shade_of = 1.0
            if abs(inside - 1.7) < 0.035 or abs(v - 0.5) < 0.05:
                ar = ag = ab = 0.08
            elif chance(bay, 10, k) > 0.22:
                er, eg, eb = shop(u, v, lot, bay, k)
            else:  # a rolled-down shutter
                ar = ag = ab = 0.25 + 0.12 * math.sin(v * 70)
        elif v < 0.45:
            ar, ag, ab = 0.25, 0.25, 0.24
    elif v < roof(lot, k) - 0.9:
        x, y = abs(inside - BAY / 2), height - 1.35
        if x < 0.62 and abs(y) < 0.95:  # stone surround, then the window
            ar, ag, ab = 0.55, 0.52, 0.46
            if x < 0.50 and abs(y) < 0.83:
                shade_of = 1.0
                ar = ag = ab = 0.5
                if not (x < 0.03 or abs(y - 0.3) < 0.03 or x > 0.46 or abs(y) > 0.79):
                    ar = ag = ab = 0.03
                    mood = chance(bay, storey, k + 40)
                    if mood < 0.42:
                        bulb = 0.35 + 0.75 * chance(bay, storey, k + 41)
                        fold = 0.75 + 0.25 * math.sin(inside * (30 + 30 * mood)) if mood < 0.25 else 1.0
                        glow = bulb * fold * (0.55 + 0.45 * step(-0.8, 0.8, y))
                        glow *= 0.6 + 0.7 * grain(u * 5, v * 5, k, 4)
                        hue = 0.66 + 0.25 * chance(bay, storey, k + 42)
                        er, eg, eb = glow, glow * hue, glow * (0.3 + 0.35 * mood)
                    else:  # the sky and the lamps in dark glass
                        er = 0.03 + 0.05 * noise(u * 2, v, k)
                        eg, eb = er * 1.15, er * 1.6
        elif height < 0.16:
            ar, ag, ab = 0.5, 0.47, 0.42  # string course
    elif v > roof(lot, k) - 0.5:
        ar, ag, ab = 0.5, 0.48, 0.45
        shade_of *= 0.6 + 0.5 * math.sin(v * 25) ** 2
    return ar * shade_of, ag * shade_of, ab * shade_of, er, eg, eb


@njit(cache=True)
def sky(dx, dy, dz):
    """Dusk: orange over the roofs, deep blue above, thin clouds."""
    up = dy / math.hypot(dx, dz)
    cloud = grain(dx / dz * 4 + 9, up * 11, 77, 6) - 0.45
    low, high = math.exp(-max(up, 0.0) * 5.0), 1 - math.exp(-max(up, 0.0) * 4.0)
    return (
        0.75 * low + 0.07 * high + cloud * (0.10 + 0.7 * low),
        0.34 * low + 0.13 * high + cloud * (0.09 + 0.25 * low),
        0.16 * low + 0.30 * high + cloud * (0.10 + 0.10 * low),
    )


@njit(cache=True)
def lit(x, y, z, nx, ny, nz):
    """Irradiance over pi at a point with this normal: the sky and every lantern."""
    r, g, b = 0.085 + 0.03 * ny, 0.095 + 0.035 * ny, 0.14 + 0.05 * ny
    # light that scattered once between the walls wraps around corners
    r, g, b = lantern_light(LAMPS, POWER, 0.25, x, y, z, nx, ny, nz, r, g, b)
    # shop windows throw warm light on the pavement in front of them
    if ny > 0.5:
        spill = 0.55 * math.exp(-max(FRONT - z, 0.0) / 1.6) if z < FRONT and (x < LEFT or x > RIGHT) else 0.0
        if z > FRONT:
            spill = 0.5 * math.exp(-min(x - LEFT, RIGHT - x) / 1.3)
        r, g, b = r + spill, g + 0.75 * spill, b + 0.45 * spill
    return r, g, b


@njit(cache=True)
def ground(x, z):
    """Asphalt, kerb, paving and a zebra crossing: albedo, and how wet it is (0 dry and rough, 1 a mirror)."""
    tone = grain(x * 2, z * 2, 60, 7) * (0.55 + 0.9 * noise(x * 40, z * 40, 61))
    wet = step(0.38, 0.62, grain(x * 0.45, z * 0.3, 62, 4))
    if not (7.4 < z < 18.2 or (abs(x - 0.3) < 3.9 and z >= 18.2)):  # the pavement
        slab = chance(math.floor(x / 0.6), math.floor(z / 0.6), 64)
        joint = min((x / 0.6) % 1, (z / 0.6) % 1) < 0.06
        return (0.12 + 0.16 * slab) * (0.5 + tone) * (0.4 if joint else 1.0), 0.75 * wet
    zebra = 9.0 < z < 17.2 and abs(x - 0.3) < 3.6 and (x + 0.2) % 1.0 < 0.5
    dashes = (z > 19.5 and abs(x - 0.3) < 0.08 and z % 4 < 2) or (
        abs(z - 13.2) < 0.07 and abs(x - 0.3) > 4.2 and x % 3 < 1.6
    )
    worn = step(0.22, 0.42, grain(x * 3, z * 3, 63, 5))
    return 0.05 + 0.12 * tone + (0.5 * worn if zebra or dashes else 0.0), wet


@njit(cache=True)
def hit(ox, oy, oz, dx, dy, dz):
    """The nearest surface along a ray: distance, and 0 sky, 1 ground, 2 corner facade, 3 side wall, 4 street end."""
    far, kind = 1e9, 0
    if dy < 0:
        far, kind = -oy / dy, 1
    s = (FRONT - oz) / dz
    x = ox + s * dx
    if 0 < s < far and (x < LEFT or x > RIGHT) and oy + s * dy < roof(math.floor(x / LOT), 200):
        far, kind = s, 2
    if dx != 0:
        s = ((LEFT if dx < 0 else RIGHT) - ox) / dx
        z = oz + s * dz
        if 0 < s < far and FRONT < z < END and oy + s * dy < roof(math.floor(z / LOT), 300 if dx < 0 else 400):
            far, kind = s, 3
    s = (END - oz) / dz
    if 0 < s < far and oy + s * dy < 7 + 5 * chance(math.floor((ox + s * dx) / 6), 0, 5):
        far, kind = s, 4
    return far, kind


@njit(cache=True)
def shade(ox, oy, oz, dx, dy, dz):
    """Radiance of what a ray meets, without reflections, and the distance and kind of `hit` (5: a lamp post)."""
    far, kind = hit(ox, oy, oz, dx, dy, dz)
    x, y, z = ox + far * dx, oy + far * dy, oz + far * dz
    if kind == 0:
        r, g, b = sky(dx, dy, dz)
    elif kind == 1:
        albedo, wet = ground(x, z)
        lr, lg, lb = lit(x, 0.0, z, 0.0, 1.0, 0.0)
        albedo *= 1 - 0.45 * wet
        r, g, b = albedo * lr, albedo * lg, albedo * lb
    else:
        side = kind == 3
        k = (300 if dx < 0 else 400) if side else (200 if kind == 2 else 500)
        ar, ag, ab, er, eg, eb = wall(z if side else x, y, k)
        lr, lg, lb = lit(x, y, z, (1.0 if dx < 0 else -1.0) if side else 0.0, 0.0, 0.0 if side else -1.0)
        r, g, b = ar * lr + er, ag * lg + eg, ab * lb + eb
        if kind == 2:
            hr, hg, hb = neon(HOTEL, x, y, 7.0, 0.5, 1.3)
            kr, kg, kb = neon(BAR, x, y, 0.3, 2.6, 6.0)
            r, g, b = r + hr + kr, g + hg + kg, b + hb + kb
    haze = 1 - math.exp(-far / 300) if kind else 0.0
    r, g, b = r + haze * (0.34 - r), g + haze * (0.25 - g), b + haze * (0.20 - b)
    for i in range(LAMPS.shape[0] - 1, -1, -1):
        s = (LAMPS[i, 2] - oz) / dz
        if not 0 < s < far:
            continue
        x, y = ox + s * dx - LAMPS[i, 0], oy + s * dy - LAMPS[i, 1]
        if (y < 0 and abs(x) < (0.055 if y > 0.9 - LAMPS[i, 1] else 0.10)) or (0.2 < y < 0.34 and abs(x) < 0.2):
            r = 0.04 + 0.08 * step(-0.1, 0.1, x) + 0.7 * math.exp(-abs(y) / 0.25)
            g, b, kind = r * 0.85, r * 0.7, 5
        glow = LANTERN * (1 - step(0.13, 0.20, math.hypot(x, y * 0.8))) + 0.4 * math.exp(-math.hypot(x, y) / 0.35)
        r, g, b = r + glow * LAMPS[i, 3], g + glow * LAMPS[i, 4], b + glow * LAMPS[i, 5]
    return r, g, b, far, kind


@njit(cache=True)
def trace(dx, dy):
    """Radiance that the camera sees in direction (dx, dy, 1), with one reflection where the ground is wet."""
    r, g, b, far, kind = shade(0.0, EYE, 0.0, dx, dy, 1.0)
    if kind == 1:
        x, z = far * dx, far
        wet = ground(x, z)[1]
        mirror = (0.02 + 0.98 * (1 + dy / math.sqrt(dx * dx + dy * dy + 1)) ** 5) * (0.25 + 0.75 * wet)
        # chance() of the fine position stands for micro facets: its mean over a pixel is the blurred reflection
        rough = 0.030 - 0.020 * wet
        across = rough * 0.5 * (grain(x * 12, z * 6, 65, 3) - 0.5 + 0.6 * (chance(x * 911, z * 733, 66) - 0.5))
        along = rough * 3.0 * (grain(x * 10, z * 5, 67, 3) - 0.5 + 0.9 * (chance(x * 877, z * 641, 68) - 0.5))
        mr, mg, mb, far, kind = shade(x, 0.0, z, dx + across, max(along - dy, 0.002), 1.0)
        r, g, b = r + mirror * min(mr, 12.0), g + mirror * min(mg, 12.0), b + mirror * min(mb, 12.0)
    return r, g, b


@njit(cache=True)
def car(p, u, v):
    """A dark hatchback that drives to the right, its lights, its shadow and its image on the wet road; u, v in m."""
    ripple = 0.6 + 0.8 * grain(u * 9, v * 14, 80, 4)
    over(p, 0.012, 0.012, 0.014, 0.8 * math.exp(-(((v + 0.02) / 0.12) ** 2)) * step(2.5, 1.9, abs(u)))
    mirror = step(-0.95, -0.05, v) * (v < 0.0) * step(0.04, -0.04, box(u, -v, 0.0, 0.6, 2.15, 0.5, 0.3)) * 0.55
    over(p, 0.03 * ripple, 0.035 * ripple, 0.045 * ripple, mirror)
    cabin = box(u, v, -0.30, 1.02, 1.42 - 0.85 * max(v - 0.8, 0.0), 0.42, 0.16)
    hull = min(box(u, v, 0.0, 0.62, 2.12, 0.33, 0.22), cabin)
    arch = math.hypot(abs(u + 0.02) - 1.32, v - 0.33)
    shine = 0.5 + 0.5 * math.sin(9 * v + 1.4 * u + 2.5 * noise(u * 2, v * 4, 81))
    street = grain(u * 2.5, v * 7, 82, 5)
    tone = (0.10 + 0.25 * shine * street) * (0.35 + 0.65 * step(0.25, 0.95, v))
    tone += 0.25 * math.exp(-(((v - 0.9) / 0.03) ** 2))
    seam = 0.35 if abs(u - 0.75) < 0.012 or abs(u + 0.42) < 0.012 or abs(u + 1.35) < 0.012 and v > 0.6 else 1.0
    over(p, 0.55 * tone * seam, 0.09 * tone * seam, 0.10 * tone * seam, hull < 0)
    glass = box(u, v, -0.30, 1.08, 1.22 - 0.95 * max(v - 0.85, 0.0), 0.25, 0.08)
    if glass < 0 and abs(u + 0.38) > 0.04 and abs(u + 1.22) > 0.03:
        sky = 0.04 + 0.16 * step(0.85, 1.35, v) * street
        over(p, sky * 1.1, sky, sky * 1.25, 1.0)
        driver = min(math.hypot(u - 0.12, v - 1.12) - 0.12, box(u, v, 0.05, 0.85, 0.22, 0.17, 0.1))
        over(p, 0.015, 0.013, 0.012, driver < 0)
    over(p, 0.01, 0.01, 0.01, arch < 0.38 and v < 0.72)
    over(p, 0.025, 0.025, 0.027, arch < 0.32)
    over(p, 0.16 * street + 0.05, 0.16 * street + 0.05, 0.17 * street + 0.06, arch < 0.20)
    over(p, 0.03, 0.03, 0.03, 0.07 < arch < 0.10)
    over(p, 0.5, 0.5, 0.45, box(u, v, 0.35, 0.80, 0.09, 0.015, 0.01) < 0)
    head, tail = math.hypot((u - 2.02) * 0.8, v - 0.68), math.hypot(u + 2.06, (v - 0.76) * 0.7)
    lamp = 25 * step(0.10, 0.06, head) + 0.9 * math.exp(-head / 0.16) + 0.10 * math.exp(-head / 0.7)
    red = 7 * step(0.09, 0.05, tail) + 0.5 * math.exp(-tail / 0.14) + 0.05 * math.exp(-tail / 0.6)
    pool = 0.55 * math.exp(-(((u - 4.4) / 1.5) ** 2) - ((v + 0.06) / 0.16) ** 2) * ripple
    streak = step(0.0, -0.15, v) * ripple**3
    lamp += 2.2 * streak * math.exp(-(((u - 2.0) / 0.10) ** 2) + v / 0.55)
    red += 1.1 * streak * math.exp(-(((u + 2.06) / 0.08) ** 2) + v / 0.5)
    p[0] += lamp + pool + red
    p[1] += 0.93 * (lamp + pool) + 0.06 * red
    p[2] += 0.80 * (lamp + pool) + 0.03 * red


@njit(cache=True)
def near(p, x, y):
    """Close to the camera, in frame heights from the upper left corner: a plane tree, a traffic light on its mast."""
    bark = grain(x * 60, y * 14, 90, 5)
    limb = min(segment(x, y, 0.10, 0.42, 0.42, 0.10) - 0.008, segment(x, y, 0.26, 0.26, 0.30, 0.02) - 0.005)
    trunk = min(abs(x - 0.085 - 0.01 * math.sin(y * 6)) - 0.026 - 0.012 * y * y, limb)
    rim = step(0.05, 0.115, x) + (limb < 0)
    rim *= bark
    over(p, (0.02 + 0.30 * rim) * bark, (0.02 + 0.19 * rim) * bark, (0.02 + 0.09 * rim) * bark, trunk < 0)
    crown = 1 - math.hypot((x - 0.10) / 0.52, (y + 0.05) / 0.42)
    leaf = grain(x * 34, y * 34, 91, 4) + 0.35 * grain(x * 9, y * 9, 95, 2)
    if leaf + 0.9 * crown > 1.02:
        tone = grain(x * 90, y * 90, 92, 3)
        light = 0.04 + 0.55 * step(0.3, 0.8, tone) * step(0.0, 0.42, x + 0.4 * y)
        over(p, light * 0.62, light * 0.50, light * 0.14, 1.0)
    mast = abs(x - 1.545) - 0.0085
    over(p, 0.05 + 0.10 * step(1.537, 1.553, x), 0.05 + 0.07 * step(1.537, 1.553, x), 0.05, mast < 0 and y > 0.2)
    over(p, 0.03, 0.032, 0.03, box(x, y, 1.545, 0.35, 0.033, 0.085, 0.012) < 0)
    for i in range(3):
        d = math.hypot(x - 1.545, y - 0.297 - 0.053 * i)
        over(p, 0.02, 0.02, 0.02, d < 0.023)
        if i == 0:
            lens = 0.7 + 0.3 * math.cos(x * 900) * math.cos(y * 900)
            glow = 5.0 * step(0.021, 0.016, d) * lens + 0.35 * math.exp(-d / 0.02)
            p[0], p[1], p[2] = p[0] + glow, p[1] + 0.10 * glow, p[2] + 0.04 * glow


@njit(cache=True)
def banner(p, u, v, t, s):
    """A cloth banner of 1.1 x 3.2 m, hung at its upper edge; u, v in m from there, t in s, s: lens spread in m."""
    slack = min(max(v, 0.0) / 3.2, 1.2)
    swing = slack * slack * 0.16 * math.sin(2.1 * v - 9.0 * t) + slack * 0.10 * math.sin(3.3 * t)
    x = u - swing
    fold = 0.75 + 0.35 * slack * math.cos(2.1 * v - 9.0 * t) * math.sin(2.5 * x + 0.8)
    stripe = cover(abs(abs(x) - 0.40) - 0.05, s)
    disc = cover(abs(math.hypot(x, v - 1.35) - 0.24) - 0.07, s)
    ink = min(stripe + disc, 1.0)
    weave = fold * (0.8 + 0.4 * grain(x * 6, v * 6, 85, 2))
    a = cover(abs(x) - 0.55, s) * cover(abs(v - 1.6) - 1.6, s)
    over(p, (0.50 - 0.38 * ink) * weave, (0.33 - 0.29 * ink) * weave, (0.10 - 0.02 * ink) * weave, a)


@njit(cache=True)
def walker(p, x, y, t, s):
    """A pedestrian with an umbrella, walking to the left; x, y in m from the ground below the hip."""
    phase = 2 * math.pi * 0.95 * t
    y -= 0.02 * math.cos(2 * phase)
    over(p, 0.01, 0.01, 0.011, 0.6 * math.exp(-((y / 0.05) ** 2) - (x / 0.4) ** 2))
    cloth = 0.7 + 0.6 * grain(x * 10, y * 10, 86, 2)
    for side in (1.0, -1.0):
        swing = 0.42 * side * math.sin(phase)
        bend = 0.5 * max(side * math.cos(phase), 0.0) + 0.08
        kx, ky = -0.44 * math.sin(swing), 0.90 - 0.44 * math.cos(swing)
        fx, fy = kx - 0.42 * math.sin(swing - bend), ky - 0.42 * math.cos(swing - bend)
        leg = min(segment(x, y, 0.0, 0.90, kx, ky) - 0.078, segment(x, y, kx, ky, fx, fy) - 0.052)
        tone = (0.05 if side > 0 else 0.035) * cloth
        over(p, tone * 0.8, tone * 0.9, tone * 1.25, cover(leg, s))
        over(p, 0.02, 0.015, 0.012, cover(segment(x, y, fx, fy + 0.0, fx - 0.15, fy - 0.02) - 0.045, s))
    hem = 0.03 * math.sin(phase) * step(1.1, 0.7, y)
    coat = box(x + hem, y, 0.02, 1.08, 0.145 + 0.09 * step(1.35, 0.70, y), 0.40, 0.10)
    rim = math.exp(-max(-coat, 0.0) / 0.03) + 0.6 * step(0.05, 0.2, x)
    crease = 0.75 + 0.25 * math.sin(38 * x + 6 * y + 5 * noise(x * 4, y * 3, 88))
    over(
        p,
        (0.10 + 0.22 * rim) * cloth * crease,
        (0.075 + 0.15 * rim) * cloth * crease,
        (0.045 + 0.075 * rim) * cloth * crease,
        cover(coat, s),
    )
    hand = -0.16 - 0.02 * math.sin(phase), 1.16
    arm = min(segment(x, y, 0.02, 1.36, 0.06, 1.10), segment(x, y, 0.06, 1.10, hand[0], hand[1])) - 0.055
    over(p, 0.11 * cloth, 0.08 * cloth, 0.05 * cloth, cover(arm, s))
    over(p, 0.20, 0.12, 0.08, cover(segment(x, y, 0.01, 1.46, 0.0, 1.56) - 0.05, s))
    head = math.hypot(x + 0.025, (y - 1.60) * 0.80) - 0.088
    over(p, 0.30, 0.19, 0.13, cover(head, s))
    hair = max(math.hypot(x - 0.012, (y - 1.635) * 0.9) - 0.098, -0.045 - x + 1.2 * max(1.66 - y, 0.0))
    over(p, 0.035, 0.022, 0.015, cover(hair, s))
    over(p, 0.12, 0.12, 0.13, cover(segment(x, y, hand[0], hand[1] - 0.05, -0.10, 2.10) - 0.010, s))
    ux, rib = x + 0.10, abs(math.sin((x + 0.10) / 0.62 * 3.6))
    dome = max(math.hypot(ux, (y - 1.72) * 1.45) - 0.62, 1.74 + 0.05 * rib - y)
    silk = (0.45 + 0.55 * rib) * (0.5 + 0.9 * step(1.7, 2.15, y)) * (0.85 + 0.3 * grain(ux * 7, y * 7, 87, 2))
    over(p, 0.55 * silk, 0.055 * silk, 0.075 * silk, cover(dome, s))
