"""Dense inverse search: the motion between two frames, patch by patch, from coarse to fine.

Kroeger 2016, "Fast optical flow using dense inverse search", without its variational refinement. A patch of 8x8 pixels
is registered by a few Gauss-Newton steps of the inverse compositional kind, less its mean, so that a change of light
moves nothing. It starts from the motion of the level above, or from that of a neighbour which fits better, and pays for
every pixel by which it strays from there: what shows no motion of its own goes with what is beside it. Then each pixel
takes the mean of the patches over it, each by how well it agrees there.

This is the specification of `flow`, in plain loops (compiled all the same: there are too many patches for
interpreted ones); cpu.py is its fast twin. `pyramid` and `grey` are loops over whole rows, which need no other form.
"""

import numpy as np
from numba import njit

from lolblur_synth.kernels.inverse_search import patch
from lolblur_synth.kernels.inverse_search.patch import PATCH
from lolblur_synth.kernels.powers import exp2, log2

PAD = 16  # px round a level, repeated: how far patches may leave it
COARSEST = 16  # px of the shorter side, at least
STEPS = 8  # Gauss-Newton steps of a patch
FAR = PATCH  # px from its start at which a patch is lost
STRAY = 400.0  # squared code values, of the sum over a patch, that a pixel from its start costs
F = np.float32
COUNT = F(PATCH * PATCH)
FLAT = F(1e-3)  # on the diagonal of a patch's matrix: without texture it stays where it is
compare, moments, vote = patch.compare.plain, patch.moments.plain, patch.vote.plain


def pyramid(grey: np.ndarray, fine: bool = False) -> list[tuple]:
    """(H, W) uint8 -> levels of (image, its gradients along x and y, height, width), halved again and again.

    The first has half the resolution; fine: the full one. Images are padded, flat, float32, in code values.
    """
    levels = [(*_level(grey), *grey.shape)] if fine else []
    image = halved(grey)
    while True:
        levels.append((*_level(image), *image.shape))
        if min(image.shape) // 2 < COARSEST:
            return levels
        image = halved(image)


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
def halved(image):
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


def flow(
    first: list[tuple], second: list[tuple], stride: int, passes: int, fine: bool, trust: np.ndarray
) -> np.ndarray:
    """Pyramids of two frames -> (h, w, 3) at half the resolution: motion (dx, dy) in pixels of the frame, and trust.

    stride: px from patch to patch; passes: sweeps over the patches, there and back; fine: the pyramids begin at the
    full resolution; trust: (256), by difference.
    """
    motion = np.zeros((1, 1, 2), np.float32)
    for own, other in zip(first[::-1], second[::-1], strict=True):
        *_, height, width = own
        ys, xs = grid(height, stride), grid(width, stride)
        rows = np.minimum((ys + PATCH // 2) // 2, len(motion) - 1)
        columns = np.minimum((xs + PATCH // 2) // 2, motion.shape[1] - 1)
        patches = F(2) * motion[np.ix_(rows, columns)]
        for number in range(passes):
            _sweep(*own, other[0], ys, xs, number % 2 == 1, patches)
        motion = _densified(own[0], other[0], height, width, ys, xs, patches)
    if fine:
        motion = np.stack([halved(np.ascontiguousarray(motion[..., k])) for k in (0, 1)], -1) / F(2)
    return trusted(first[fine][0], second[fine][0], motion, trust)


@njit(cache=True)
def grid(size, stride):
    """First pixels of patches along an axis; the last patch ends where the image does."""
    return np.minimum(np.arange((size - PATCH + stride - 1) // stride + 1) * stride, size - PATCH)


@njit(cache=True)
def _sweep(image, along_x, along_y, height, width, target, ys, xs, back, patches):
    """Register every patch, from the top left to the bottom right or back; starts pass from neighbour to neighbour."""
    pitch, step = width + 2 * PAD, -1 if back else 1
    for i in range(len(ys)):
        for j in range(len(xs)):
            row, column = (len(ys) - 1 - i, len(xs) - 1 - j) if back else (i, j)
            y, x = ys[row] + PAD, xs[column] + PAD
            place, best = y * pitch + x, F(np.inf)
            start_u, start_v = patches[row, column]
            for other_row, other_column in ((row, column), (row, column - step), (row - step, column)):
                if 0 <= other_row < len(ys) and 0 <= other_column < len(xs):
                    u, v = patches[other_row, other_column]
                    base, fx, fy = where(y, x, u, v, height, width, pitch)
                    total, squares, _, _ = compare(target, base, fx, fy, image, along_x, along_y, place, pitch)
                    if squares - total * total / COUNT < best:
                        start_u, start_v, best = u, v, squares - total * total / COUNT
            patches[row, column] = _registered(image, along_x, along_y, height, width, target, y, x, start_u, start_v)


@njit(cache=True)
def _registered(image, along_x, along_y, height, width, target, y, x, start_u, start_v):
    """Where a patch that starts at (u, v) goes: downhill, as long as that helps more than it costs to stray."""
    pitch = width + 2 * PAD
    place = y * pitch + x
    sum_x, sum_y, xx, xy, yy = moments(along_x, along_y, place, pitch)
    xx, xy, yy = xx - sum_x * sum_x / COUNT + FLAT, xy - sum_x * sum_y / COUNT, yy - sum_y * sum_y / COUNT + FLAT
    scale = F(1) / max(xx * yy - xy * xy, F(1e-6))
    u, v, next_u, next_v, cost = start_u, start_v, start_u, start_v, F(np.inf)
    for _ in range(STEPS + 1):
        away_u, away_v = next_u - start_u, next_v - start_v
        if not (abs(away_u) <= F(FAR) and abs(away_v) <= F(FAR)):
            break
        base, fx, fy = where(y, x, next_u, next_v, height, width, pitch)
        total, squares, by_x, by_y = compare(target, base, fx, fy, image, along_x, along_y, place, pitch)
        reached = squares - total * total / COUNT + F(STRAY) * (away_u * away_u + away_v * away_v)
        if not reached < cost:
            break
        u, v, cost = next_u, next_v, reached
        down_x = by_x + F(STRAY) * away_u - total * sum_x / COUNT
        down_y = by_y + F(STRAY) * away_v - total * sum_y / COUNT
        next_u, next_v = u - (yy * down_x - xy * down_y) * scale, v - (xx * down_y - xy * down_x) * scale
    return u, v


@njit(cache=True)
def where(y, x, u, v, height, width, pitch):
    """Index and fractions of the patch at (y, x) + (v, u), held within the padded image."""
    px = min(max(F(x) + u, F(1)), F(width + 2 * PAD - PATCH - 2))
    py = min(max(F(y) + v, F(1)), F(height + 2 * PAD - PATCH - 2))
    left, top = np.int32(px), np.int32(py)
    return np.int64(top) * pitch + left, px - F(left), py - F(top)


@njit(cache=True)
def _densified(image, target, height, width, ys, xs, patches):
    """(h, w, 2): at each pixel the mean of the patches over it, by how well each agrees there."""
    pitch, sums = width + 2 * PAD, np.zeros((3, height * width), np.float32)
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            u, v = patches[row, column]
            base, fx, fy = where(y + PAD, x + PAD, u, v, height, width, pitch)
            vote(target, base, fx, fy, image, (y + PAD) * pitch + x + PAD, pitch, u, v, sums[0], sums[1], sums[2],
                 y * width + x, width)  # fmt: skip
    return (sums[:2] / sums[2]).reshape(2, height, width).transpose(1, 2, 0).copy()


@njit(cache=True)
def trusted(image, target, found, trust):
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
