"""Dense inverse search: the motion between two frames, patch by patch, from coarse to fine.

Kroeger 2016, "Fast optical flow using dense inverse search", without its variational refinement. A patch of 8x8 pixels
is registered by a few Gauss-Newton steps of the inverse compositional kind. Its mean is left out, so that a change of
light is not mistaken for motion. It starts from the motion of the level above, or from that of a neighbour where that
fits better, and pays for every pixel by which it strays from there, so that a patch without texture moves with its
neighbours. Then each pixel takes the mean of the patches that cover it, weighted by how well each agrees there.

This is the specification of `flow`, in plain loops, which are compiled because a frame has too many patches for
interpreted ones; cpu.py is its fast twin. `pyramid` and `grey` have no twin: their loops over whole rows are fast as
they stand.
"""

import numpy as np
from numba import njit

from lolblur_synth.kernels.inverse_search import patch
from lolblur_synth.kernels.inverse_search.patch import PATCH, Level, Point, Votes
from lolblur_synth.kernels.powers import exp2, log2

PAD = 16  # px of margin round a level, the border repeated: how far patches may leave it
COARSEST = 16  # px of the shorter side of a level, at least
MAX_STEPS = 8  # Gauss-Newton steps of a patch
MAX_STRAY = PATCH  # px from its start at which a patch is given up
PRICE_OF_STRAYING = 400.0  # squared code values, summed over a patch, for each squared pixel from its start
F = np.float32
COUNT = F(PATCH * PATCH)
REGULARISATION = F(1e-3)  # added to the diagonal of a patch's matrix: without texture a patch stays where it is
compare, moments, vote = patch.compare.plain, patch.moments.plain, patch.vote.plain


def pyramid(grey: np.ndarray, fine: bool = False) -> list[Level]:
    """(H, W) uint8 -> its levels, each half as large as the one before.

    The first level has half the resolution; fine: the full one.
    """
    levels = [_level(grey)] if fine else []
    image = halved(grey)
    while True:
        levels.append(_level(image))
        if min(image.shape) // 2 < COARSEST:
            return levels
        image = halved(image)


def _level(image: np.ndarray) -> Level:
    height, width = image.shape
    return Level(*_padded_with_gradients(image), height, width, width + 2 * PAD)


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
    """Means of 2x2 pixels; where a size is odd, the last row or column is repeated."""
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
def _padded_with_gradients(image):
    """An image with its margin, and its gradients along x and y, of the fourth order: three flat float32 arrays."""
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
    first: list[Level], second: list[Level], stride: int, passes: int, fine: bool, trust: np.ndarray
) -> np.ndarray:
    """Pyramids of two frames -> (h, w, 3) float32 at half the resolution: motion (dx, dy) in pixels of the frame, and
    trust, 0..1.

    stride: px from patch to patch; passes: sweeps over the patches, there and back; fine: the pyramids begin at the
    full resolution; trust: (256,) float32, by the difference that is left along the motion, in code values.
    """
    motion = np.zeros((1, 1, 2), np.float32)
    for level, other in zip(first[::-1], second[::-1], strict=True):
        ys, xs = grid(level.height, stride), grid(level.width, stride)
        rows = np.minimum((ys + PATCH // 2) // 2, len(motion) - 1)
        columns = np.minimum((xs + PATCH // 2) // 2, motion.shape[1] - 1)
        patches = F(2) * motion[np.ix_(rows, columns)]
        for number in range(passes):
            _sweep(level, other.image, ys, xs, number % 2 == 1, patches)
        motion = _densified(level, other.image, ys, xs, patches)
    if fine:
        motion = np.stack([halved(np.ascontiguousarray(motion[..., k])) for k in (0, 1)], -1) / F(2)
    return trusted(first[fine].image, second[fine].image, motion, trust)


@njit(cache=True)
def grid(size, stride):
    """First pixels of patches along an axis; the last patch ends where the image does."""
    return np.minimum(np.arange((size - PATCH + stride - 1) // stride + 1) * stride, size - PATCH)


@njit(cache=True)
def _sweep(level, target, ys, xs, back, patches):
    """Register every patch, from the top left to the bottom right or back; starts pass from neighbour to neighbour."""
    step = -1 if back else 1
    for i in range(len(ys)):
        for j in range(len(xs)):
            row, column = (len(ys) - 1 - i, len(xs) - 1 - j) if back else (i, j)
            y, x = ys[row] + PAD, xs[column] + PAD
            best = F(np.inf)
            start_u, start_v = patches[row, column]
            for other_row, other_column in ((row, column), (row, column - step), (row - step, column)):
                if 0 <= other_row < len(ys) and 0 <= other_column < len(xs):
                    u, v = patches[other_row, other_column]
                    difference = compare(level, y * level.pitch + x, target, where(level, y, x, u, v))
                    cost = difference.squares - difference.total * difference.total / COUNT
                    if cost < best:
                        start_u, start_v, best = u, v, cost
            patches[row, column] = _registered(level, target, y, x, start_u, start_v)


@njit(cache=True)
def _registered(level, target, y, x, start_u, start_v):
    """Where a patch that starts at (start_u, start_v) goes: downhill, as long as that helps more than it costs to
    stray."""
    place = y * level.pitch + x
    sum_x, sum_y, xx, xy, yy = moments(level, place)
    xx, yy = xx - sum_x * sum_x / COUNT + REGULARISATION, yy - sum_y * sum_y / COUNT + REGULARISATION
    xy -= sum_x * sum_y / COUNT
    scale = F(1) / max(xx * yy - xy * xy, F(1e-6))
    u, v, next_u, next_v, cost = start_u, start_v, start_u, start_v, F(np.inf)
    for _ in range(MAX_STEPS + 1):
        away_u, away_v = next_u - start_u, next_v - start_v
        if not (abs(away_u) <= F(MAX_STRAY) and abs(away_v) <= F(MAX_STRAY)):
            break
        d = compare(level, place, target, where(level, y, x, next_u, next_v))
        reached = d.squares - d.total * d.total / COUNT + F(PRICE_OF_STRAYING) * (away_u * away_u + away_v * away_v)
        if not reached < cost:
            break
        u, v, cost = next_u, next_v, reached
        down_x = d.by_x + F(PRICE_OF_STRAYING) * away_u - d.total * sum_x / COUNT
        down_y = d.by_y + F(PRICE_OF_STRAYING) * away_v - d.total * sum_y / COUNT
        next_u, next_v = u - (yy * down_x - xy * down_y) * scale, v - (xx * down_y - xy * down_x) * scale
    return u, v


@njit(cache=True)
def where(level, y, x, u, v):
    """The Point (y, x) + (v, u) of the padded image, held so that a patch there lies within it."""
    px = min(max(F(x) + u, F(1)), F(level.width + 2 * PAD - PATCH - 2))
    py = min(max(F(y) + v, F(1)), F(level.height + 2 * PAD - PATCH - 2))
    left, top = np.int32(px), np.int32(py)
    return Point(np.int64(top) * level.pitch + left, px - F(left), py - F(top))


@njit(cache=True)
def _densified(level, target, ys, xs, patches):
    """(h, w, 2): at each pixel the mean of the patches over it, by how well each agrees there."""
    sums = np.zeros((3, level.height * level.width), np.float32)
    votes = Votes(sums[0], sums[1], sums[2])
    for row, y in enumerate(ys):
        for column, x in enumerate(xs):
            u, v = patches[row, column]
            place, point = (y + PAD) * level.pitch + x + PAD, where(level, y + PAD, x + PAD, u, v)
            vote(level, place, target, point, u, v, votes, y * level.width + x)
    return (sums[:2] / sums[2]).reshape(2, level.height, level.width).transpose(1, 2, 0).copy()


@njit(cache=True)
def trusted(image, target, motion, trust):
    """(h, w, 3): motion (h, w, 2) of half the resolution in pixels of the frame, and how far to trust it, by the
    difference that is left along it between the padded images."""
    height, width, _ = motion.shape
    pitch, out = width + 2 * PAD, np.empty((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            u, v = motion[y, x]
            px = min(max(F(x) + u, F(0)), F(width - 1)) + F(PAD)
            py = min(max(F(y) + v, F(0)), F(height - 1)) + F(PAD)
            left, top = np.int32(px), np.int32(py)
            at, fx, fy = np.int64(top) * pitch + left, px - F(left), py - F(top)
            above = target[at] + fx * (target[at + 1] - target[at])
            below = target[at + pitch] + fx * (target[at + pitch + 1] - target[at + pitch])
            apart = abs(above + fy * (below - above) - image[(y + PAD) * pitch + x + PAD])
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = F(2) * u, F(2) * v, trust[np.int32(apart + F(0.5))]
    return out
