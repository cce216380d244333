"""Dense inverse search on the CPU: the motion between two frames, patch by patch, from coarse to fine.

Kroeger 2016, "Fast optical flow using dense inverse search", without its variational refinement. A patch of 8x8 pixels
is registered by a few Gauss-Newton steps of the inverse compositional kind, less its mean, so that a change of light
moves nothing. It starts from the motion of the level above, or from that of a neighbour which fits better, and pays for
every pixel by which it strays from there: what shows no motion of its own goes with what is beside it. Then each pixel
takes the mean of the patches over it, each by how well it agrees there.

Several times as fast as OpenCV's at the same stride, and as close to real middle frames (docs/benchmarks.md). One
thread searches a level: a patch waits for its neighbours.
"""

import numpy as np
from numba import njit

from lolblur_synth.kernels.exposure.clip_reverse_rows import exp2, log2
from lolblur_synth.kernels.inverse_search.patch import PATCH, compare, moments, vote

PAD = 16  # px round a level, repeated: how far patches may leave it
COARSEST = 16  # px of the shorter side, at least
STEPS = 8  # Gauss-Newton steps of a patch
FAR = PATCH  # px from its start at which a patch is lost
STRAY = 400.0  # squared code values, of the sum over a patch, that a pixel from its start costs
F = np.float32
COUNT = F(PATCH * PATCH)
FLAT = F(1e-3)  # on the diagonal of a patch's matrix: without texture it stays where it is


def pyramid(grey: np.ndarray, fine: bool = False) -> list[tuple]:
    """(H, W) uint8 -> levels of (image, its gradients along x and y, height, width), halved again and again.

    The first has half the resolution; fine: the full one. Images are padded, flat, float32, in code values.
    """
    levels = [(*_level(grey), *grey.shape)] if fine else []
    image = _halved(grey)
    while True:
        levels.append((*_level(image), *image.shape))
        if min(image.shape) // 2 < COARSEST:
            return levels
        image = _halved(image)


def flow(first: list[tuple], second: list[tuple], stride: int, passes: int, fine: bool, trust: np.ndarray):
    """Pyramids of two frames -> (h, w, 3) at half the resolution: motion (dx, dy) in pixels of the frame, and trust.

    stride: px from patch to patch; passes: sweeps over the patches, there and back; fine: the pyramids begin at the
    full resolution; trust: (256), by difference.
    """
    found = None
    for (image, along_x, along_y, *size), (target, *_) in zip(first[::-1], second[::-1], strict=True):
        above = np.zeros((1, 1, 2), np.float32) if found is None else found
        found = _level_flow(image, along_x, along_y, target, *size, above, stride, passes)
    if fine:
        found = np.stack([_halved(np.ascontiguousarray(found[..., k])) for k in (0, 1)], -1) / F(2)
    return _trusted(first[fine][0], second[fine][0], found, trust)


@njit(cache=True)
def grey(frame, gamma):
    """(3, H, W) float32 display -> (H, W) uint8: luma to the power of gamma."""
    _, height, width = frame.shape
    out, row = np.empty((height, width), np.uint8), np.empty(width, np.float32)
    for y in range(height):
        red, green, blue, codes = frame[0, y], frame[1, y], frame[2, y], out[y]
        for x in range(width):
            light = F(0.299) * red[x] + F(0.587) * green[x] + F(0.114) * blue[x]
            row[x] = min(max(light, F(1e-9)), F(1))
        if gamma != F(1):
            for x in range(width):
                row[x] = exp2(gamma * log2(row[x]))
        for x in range(width):
            codes[x] = np.uint8(np.int32(row[x] * F(255) + F(0.5)))
    return out


@njit(cache=True)
def _halved(image):
    """Means of 2x2 pixels; an odd size goes on with its last pixels."""
    height, width = image.shape
    out = np.empty(((height + 1) // 2, (width + 1) // 2), np.float32)
    for y in range(len(out)):
        above, below, row = image[2 * y], image[min(2 * y + 1, height - 1)], out[y]
        for x in range(width // 2):
            row[x] = F(0.25) * ((F(above[2 * x]) + F(above[2 * x + 1])) + (F(below[2 * x]) + F(below[2 * x + 1])))
        if width % 2:
            row[width // 2] = F(0.5) * (F(above[width - 1]) + F(below[width - 1]))
    return out


@njit(cache=True)
def _level(image):
    """An image, padded, and its gradients of the fourth order."""
    height, width = image.shape
    padded = np.empty((height + 2 * PAD, width + 2 * PAD), np.float32)
    for y in range(len(padded)):
        source, row = image[min(max(y - PAD, 0), height - 1)], padded[y]
        row[:PAD], row[PAD : PAD + width], row[PAD + width :] = source[0], source, source[width - 1]
    along_x, along_y = np.zeros_like(padded), np.zeros_like(padded)
    for y in range(2, len(padded) - 2):
        row, out_x, out_y = padded[y], along_x[y], along_y[y]
        a, b, c, d = padded[y - 2], padded[y - 1], padded[y + 1], padded[y + 2]
        for x in range(2, padded.shape[1] - 2):
            out_x[x] = F(1 / 12) * (row[x - 2] - row[x + 2]) + F(2 / 3) * (row[x + 1] - row[x - 1])
        for x in range(2, padded.shape[1] - 2):
            out_y[x] = F(1 / 12) * (a[x] - d[x]) + F(2 / 3) * (c[x] - b[x])
    return padded.reshape(-1), along_x.reshape(-1), along_y.reshape(-1)


@njit(cache=True)
def _level_flow(image, along_x, along_y, target, height, width, above, stride, passes):
    """(h, w, 2) motion on a level, in its pixels, from (h', w', 2) of the level above."""
    ys, xs = _grid(height, stride), _grid(width, stride)
    found = np.empty((len(ys), len(xs), 2), np.float32)
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            up, left = min((y + PATCH // 2) // 2, len(above) - 1), min((x + PATCH // 2) // 2, above.shape[1] - 1)
            found[row, column] = F(2) * above[up, left]
    for number in range(passes):
        _sweep(image, along_x, along_y, target, height, width, ys, xs, number % 2 == 1, found)
    return _densified(image, target, height, width, ys, xs, found)


@njit(cache=True)
def _grid(size, stride):
    """First pixels of patches along an axis; the last patch ends where the image does."""
    return np.minimum(np.arange((size - PATCH + stride - 1) // stride + 1) * stride, size - PATCH)


@njit(cache=True)
def _sweep(image, along_x, along_y, target, height, width, ys, xs, back, found):
    """Register every patch, from the top left to the bottom right or back; starts pass from neighbour to neighbour."""
    pitch, step = np.int64(width + 2 * PAD), -1 if back else 1
    for i in range(len(ys)):
        row = len(ys) - 1 - i if back else i
        for j in range(len(xs)):
            column = len(xs) - 1 - j if back else j
            place = (ys[row] + PAD) * pitch + xs[column] + PAD
            spot = image, along_x, along_y, target, place, pitch, ys[row] + PAD, xs[column] + PAD, height, width
            u, v = found[row, column]
            best = _compared(spot, u, v)
            for other in (found[row, column - step if j else column], found[row - step if i else row, column]):
                if other[0] != u or other[1] != v:
                    result = _compared(spot, other[0], other[1])
                    if result[0] < best[0]:
                        u, v, best = other[0], other[1], result
            found[row, column] = _registered(spot, u, v, best)


@njit(cache=True)
def _compared(spot, u, v):
    """Of a patch moved by (u, v): squared difference less that of the means, and the sums it is made of."""
    image, along_x, along_y, target, place, pitch, y, x, height, width = spot
    base, fx, fy = _where(y, x, u, v, height, width, pitch)
    total, squares, by_x, by_y = compare(target, base, fx, fy, image, along_x, along_y, place, pitch)
    return squares - total * total / COUNT, total, by_x, by_y


@njit(cache=True)
def _where(y, x, u, v, height, width, pitch):
    """Index and fractions of the patch at (y, x) + (v, u), held within the padded image."""
    px = min(max(F(x) + u, F(1)), F(width + 2 * PAD - PATCH - 2))
    py = min(max(F(y) + v, F(1)), F(height + 2 * PAD - PATCH - 2))
    left, top = np.int32(px), np.int32(py)
    return np.int64(top) * pitch + left, px - F(left), py - F(top)


@njit(cache=True)
def _registered(spot, u, v, best):
    """Where a patch that starts at (u, v) goes: downhill, as long as that helps more than it costs to stray."""
    _, along_x, along_y, _, place, pitch, _, _, _, _ = spot
    start_u, start_v, (cost, total, by_x, by_y) = u, v, best
    x, y, xx, xy, yy = moments(along_x, along_y, place, pitch)
    xx, xy, yy = xx - x * x / COUNT + FLAT, xy - x * y / COUNT, yy - y * y / COUNT + FLAT
    scale = F(1) / max(xx * yy - xy * xy, F(1e-6))
    for _ in range(STEPS):
        by_x += F(STRAY) * (u - start_u) - total * x / COUNT
        by_y += F(STRAY) * (v - start_v) - total * y / COUNT
        next_u, next_v = u - (yy * by_x - xy * by_y) * scale, v - (xx * by_y - xy * by_x) * scale
        away_u, away_v = next_u - start_u, next_v - start_v
        if not (abs(away_u) <= F(FAR) and abs(away_v) <= F(FAR)):
            break
        changed, total, by_x, by_y = _compared(spot, next_u, next_v)
        changed += F(STRAY) * (away_u * away_u + away_v * away_v)
        if not changed < cost:
            break
        u, v, cost = next_u, next_v, changed
    return u, v


@njit(cache=True)
def _densified(image, target, height, width, ys, xs, found):
    """(h, w, 2): at each pixel the mean of the patches over it, by how well each agrees there."""
    pitch, sums = np.int64(width + 2 * PAD), np.zeros((3, height * width), np.float32)
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            u, v = found[row, column]
            base, fx, fy = _where(y + PAD, x + PAD, u, v, height, width, pitch)
            vote(target, base, fx, fy, image, (y + PAD) * pitch + x + PAD, pitch, u, v, sums[0], sums[1], sums[2],
                 y * width + x, np.int64(width))  # fmt: skip
    out = np.empty((height, width, 2), np.float32)
    for y in range(height):
        for x in range(width):
            share = F(1) / sums[2, y * width + x]
            out[y, x, 0], out[y, x, 1] = sums[0, y * width + x] * share, sums[1, y * width + x] * share
    return out


@njit(cache=True)
def _trusted(image, target, found, trust):
    """Motion in pixels of the frame, and how far to trust it, by the difference that is left along it."""
    height, width, _ = found.shape
    pitch, out = width + 2 * PAD, np.empty((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            u, v = found[y, x]
            px = min(max(F(x) + u, F(0)), F(width - 1)) + F(PAD)
            py = min(max(F(y) + v, F(0)), F(height - 1)) + F(PAD)
            left, top = np.int32(px), np.int32(py)
            at, fx, fy = np.int64(top) * pitch + left, px - F(left), py - F(top)
            above = target[at] + fx * (target[at + 1] - target[at])
            below = target[at + pitch] + fx * (target[at + pitch + 1] - target[at + pitch])
            apart = abs(above + fy * (below - above) - image[(y + PAD) * pitch + x + PAD])
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = F(2) * u, F(2) * v, trust[np.int32(apart + F(0.5))]
    return out
