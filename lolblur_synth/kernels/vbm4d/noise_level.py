"""The noise of a clip as a function of the level, measured from changes in time.

The difference of two frames has the variance of white noise twice, and is independent of their *sum*. The sum tells
which blocks are flat, and its gradient tells what a remaining motion of less than a pixel adds to the difference, so
that this part can be taken out (the linearisation of Lucas and Kanade, two numbers a block).

The noise of compressed video is white neither in time nor in space: a codec copies blocks from the frame before, and
much of the noise that it keeps is broader than a block. So there are two measurements, and the larger one counts:
- Blocks, followed to the next frame; or over the longest lag, where the camera rests and more noise shows there.
- Windows of 48x48 pixels in place, as a person would measure: the variance over nine frames, after the mean of the
  window was taken from each. Second differences, which steady drift does not change, limit it.

Both are sorted by level. A level gets a value of its own only if that can be trusted: its windows change little, or the
change in time of its flat blocks agrees with their diagonal detail in space (what moves is smooth). Of these two the
geometric mean counts, because remaining motion raises the first, and noise that is not quite white lowers the second.
Other levels are interpolated from their neighbours.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lolblur_synth.kernels.vbm4d.block_matching import Paths, trajectories
from lolblur_synth.kernels.vbm4d.settings import Search

MAX_LAG = 8  # frames between the blocks compared
FLAT_SHARE = 0.15  # of the blocks, the flattest, that is used over the shortest lag
FLAT_SHARE_AT_MAX_LAG = 0.5
MIN_RESTING_SHARE = (
    0.15  # of the textured blocks: the camera rests if so many rest over the longest lag; others may move
)
TEXTURED_SHARE = 0.3  # of the blocks, the least flat, of which that is asked
MAX_CHANGE_AT_REST = 0.25  # of a block's texture, variance: a block rests if it changes in place by no more
COPIED_RATIO = 1.5  # blocks are copied in time if the variance over the longest lag is this many times the shortest's
WINDOW = 48  # px, side of the windows
MAX_DRIFT_RATIO = 1.3  # variance over nine frames to that of second differences; the noise of a codec reaches it
MAX_WINDOW_VARIANCE = 9.0  # code values^2: stronger noise survives a codec, and is left to the blocks
BINS = tuple(pairwise((0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256)))  # of levels: (from, below)
MIN_BLOCKS, MIN_WINDOWS = 100, 12  # in a bin
MAX_WHITE_RATIO = 1.5  # variance of flat blocks in time to that of their detail in space
PROPORTIONAL_FROM = 16.0  # level, code values: above it the deviation grows at most in proportion to the level; what
# smoke and moving light change grows faster
ROUNDING = 0.3  # code values, deviation of rounding to 8 bits: that growth starts there at least
SEARCH_RADIUS = np.array([0, 5, 2])  # px: no first search; in the next frame, and round the prediction in later ones
CLIPPED_BELOW, CLIPPED_ABOVE = 6, 249  # code values: nearer to black or white, noise is clipped


class Blocks(NamedTuple):
    """8x8 blocks, followed from one frame to another: one value a block."""

    level: np.ndarray  # mean of R, G and B, code values
    noise: np.ndarray  # variance, code values^2
    texture: np.ndarray  # variance of the sum of both frames, code values^2
    detail: np.ndarray  # mean square of the diagonal second difference, a quarter of it: the variance of white noise
    still: np.ndarray  # bool: the block rests
    clear: np.ndarray  # bool: it is not near black or white, where noise is clipped


def noise_curve(frames: np.ndarray, luma: np.ndarray, starts: np.ndarray) -> tuple[float, list[tuple[float, float]]]:
    """Variance of the noise of frames (T, H, W, 3), T >= 2, mean over the channels, code values^2: of all blocks that
    are not clipped, 0 if there are none; and (level, variance) of each level that could be measured.

    frames in 8-bit code values; luma: (T, 1, H, W); starts: frames to compare with their successors.
    """
    lag = min(len(frames) - 1, MAX_LAG)
    near = [_differences(frames, luma, t, 1) for t in starts]
    far = [_differences(frames, luma, t, lag) for t, lag in ((0, lag), (len(frames) - 1, -lag))]
    rests = all(_rests(blocks) for blocks in far)
    windows, blocks = _windows(frames), {bin: _at_level(near, far, rests, *bin) for bin in BINS}
    blocks = _bounded({bin: knot for bin, knot in blocks.items() if knot[1] > 0})
    quiet, knots = list(windows.values()), []
    for bin in BINS:
        level, noise = blocks.get(bin, (0.0, 0.0))
        if bin in windows:
            knots.append((windows[bin][0], max(windows[bin][1], noise)))
        elif bin in blocks:
            knots.append((level, max(noise, at(quiet, level)) if quiet else noise))
    if len(knots) < 2 and not windows:  # blocks of a single level could be texture
        knots = [(128.0, _of_clear_blocks(near, far, rests))]
    levels = np.concatenate([blocks.level[blocks.clear] for blocks in near])
    return float(np.mean(at(knots, levels))) if levels.size else float(np.mean([noise for _, noise in knots])), knots


def at(knots: list[tuple[float, float]], levels):
    """A curve through (level, value) at some levels: linear between them, constant beyond."""
    return np.interp(levels, *zip(*knots, strict=True))


def _bounded(knots: dict) -> dict:
    """bin -> (level, variance), dark ones first, limited: from PROPORTIONAL_FROM on the deviation grows at most in
    proportion to the level."""
    bounded, steepest = {}, np.inf
    for bin, (level, noise) in knots.items():
        if level >= PROPORTIONAL_FROM:
            noise = min(noise, float(steepest * level) ** 2)
            steepest = min(steepest, max(noise**0.5, ROUNDING) / level)
        bounded[bin] = level, noise
    return bounded


def _at_level(near: list[Blocks], far: list[Blocks], rests: bool, low: float, high: float) -> tuple[float, float]:
    """Level and variance of the flattest blocks of levels low..high; variance 0 where they are few or not trusted."""

    def typical(pairs: list[Blocks], share: float) -> tuple[float, float, float]:
        inside = [(blocks, (low <= blocks.level) & (blocks.level < high)) for blocks in pairs]
        each = [_flattest(blocks, where, share) for blocks, where in inside if where.sum() >= MIN_BLOCKS]
        return tuple(np.median(each, 0).tolist()) if each else (low, np.inf, 0.0)

    (level, noise, detail), (_, later, _) = typical(near, FLAT_SHARE), typical(far, FLAT_SHARE_AT_MAX_LAG)
    if rests and COPIED_RATIO * noise < later < np.inf:
        noise = later
    return level, (noise * detail) ** 0.5 if noise <= MAX_WHITE_RATIO * detail else 0.0


def _of_clear_blocks(near: list[Blocks], far: list[Blocks], rests: bool) -> float:
    """Variance of the flattest blocks that are not clipped, whatever their level."""
    near, far = (
        np.median([_flattest(blocks, blocks.clear, share)[1] for blocks in pairs])
        for pairs, share in ((near, FLAT_SHARE), (far, FLAT_SHARE_AT_MAX_LAG))
    )
    return float(far if rests and far > COPIED_RATIO * near else near)


def _flattest(blocks: Blocks, where: np.ndarray, share: float) -> tuple[float, float, float]:
    """Median level, noise and detail of the flattest of some blocks; 0 if there are none."""
    if not where.any():
        return 0.0, 0.0, 0.0
    flat = where.copy()
    flat[where] = blocks.texture[where] <= np.quantile(blocks.texture[where], share)
    return tuple(float(np.median(values[flat])) for values in (blocks.level, blocks.noise, blocks.detail))


def _rests(blocks: Blocks) -> bool:
    """Whether enough of the textured blocks rest; flat blocks look at rest in any case."""
    texture, still = blocks.texture[blocks.clear], blocks.still[blocks.clear]
    return texture.size == 0 or still[texture >= np.quantile(texture, 1 - TEXTURED_SHARE)].mean() >= MIN_RESTING_SHARE


def _windows(frames: np.ndarray) -> dict[tuple[int, int], tuple[float, float]]:
    """bin -> (level, variance) from windows: their median over the first nine frames, up to MAX_WINDOW_VARIANCE."""
    if len(frames) <= MAX_LAG or min(frames.shape[1:3]) < WINDOW:
        return {}
    frames = frames[: MAX_LAG + 1]
    mean = frames.mean(0)
    around = sum(_cells(frame - mean)[0] for frame in frames) / MAX_LAG
    second = _cells(frames[0] - 2 * frames[MAX_LAG // 2] + frames[MAX_LAG])[0] / 6
    changes, levels = np.minimum(around, MAX_DRIFT_RATIO * second), _cells(mean)[1]
    knots = {}
    for low, high in BINS:
        inside = (low <= levels) & (levels < high)
        if inside.sum() >= MIN_WINDOWS and (noise := float(np.median(changes[inside]))) <= MAX_WINDOW_VARIANCE:
            knots[low, high] = float(levels[inside].mean()), noise
    return _bounded(knots)


def _cells(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance, mean over the channels, and level (rows, columns) of the windows of values (H, W, 3), half a window
    apart; from the sums of quarters, in float64."""
    step = WINDOW // 2
    rows, columns = values.shape[0] // step, values.shape[1] // step
    quarters = values[: rows * step, : columns * step].reshape(rows, step, columns, step, 3).astype(np.float64)

    def mean(quarters):
        return (quarters[1:, 1:] + quarters[1:, :-1] + quarters[:-1, 1:] + quarters[:-1, :-1]) / 4

    first, second = mean(quarters.mean((1, 3))), mean(np.square(quarters).mean((1, 3)))
    return (second - first**2).mean(-1), first.mean(-1)


def _differences(frames, luma, t: int, lag: int) -> Blocks:
    """The 8x8 blocks of frame t, followed to frame t + lag; those that were lost are left out."""
    ys, xs = (np.arange(0, size - 7, 8) for size in frames.shape[1:3])
    path, reached = _follow(luma, t, lag, ys, xs)
    y, x = (ys[:, None] + np.arange(10))[:, None, :, None], (xs[:, None] + np.arange(10))[None, :, None, :]
    dy, dx = path[..., 0, None, None], path[..., 1, None, None]
    first, second = (np.pad(frames[i], ((1, 1), (1, 1), (0, 0)), "edge") for i in (t, t + lag))
    place, first, second = second[y, x], first[y, x], second[y + dy, x + dx]
    both = first + second
    level, texture = first.mean((2, 3)), both[:, :, 1:-1, 1:-1].var((2, 3)).mean(-1)
    clear = ((level > CLIPPED_BELOW) & (level < CLIPPED_ABOVE)).all(-1)
    down, across = both[:, :, 2:, 1:-1] - both[:, :, :-2, 1:-1], both[:, :, 1:-1, 2:] - both[:, :, 1:-1, :-2]
    noise = _unexplained((second - first)[:, :, 1:-1, 1:-1], down, across)
    change = (place - first)[:, :, 1:-1, 1:-1].var((2, 3)).mean(-1)
    still = (path == 0).all(-1) & (change <= MAX_CHANGE_AT_REST * texture)
    inner, level = first[:, :, 1:-1, 1:-1], both.mean((2, 3, 4)) / 2
    corners = inner[:, :, 1:, 1:] + inner[:, :, :-1, :-1] - inner[:, :, 1:, :-1] - inner[:, :, :-1, 1:]
    detail = np.square(corners).mean((2, 3, 4)) / 4
    return Blocks(*(values[reached] for values in (level, noise, texture, detail, still, clear)))


def _follow(luma, t: int, lag: int, ys, xs) -> tuple[np.ndarray, np.ndarray]:
    """Displacement (rows, columns, 2) of the blocks of frame t in frame t + lag, and whether they were found there."""
    h, sign = abs(lag), np.sign(lag)
    still = np.square(luma[t + sign, 0] - luma[t, 0])[: len(ys) * 8, : len(xs) * 8].reshape(len(ys), 8, len(xs), 8)
    noise = max(1.0, np.quantile(still.mean((1, 3)), 0.3))  # at least 1, because copied blocks differ by 0
    penalty = np.float32(noise * 32)  # half of a block's expected squared difference
    path, extent = np.zeros((len(ys), len(xs), 2 * h + 1, 2), np.int16), np.zeros((len(ys), len(xs), 2), np.int16)
    slots = np.full(2 * h + 1, -1)
    slots[h::sign] = np.arange(t, t + lag + sign, sign)
    active = np.ones((len(ys), len(xs)), np.bool_)
    search = Search(SEARCH_RADIUS, penalty, np.float32(0), np.float32(np.inf))
    trajectories(luma, Paths(slots, ys, xs, active, path, extent), search)
    return path[:, :, h + lag], extent[..., int(lag > 0)] == h


def _unexplained(difference: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Noise variance of a frame: what least squares on the two gradients leave of each block's difference.

    All (rows, columns, 8, 8, 3). The mean of each channel of a block is free as well: light flickers.
    """
    d, p, q = (block - block.mean((2, 3), keepdims=True) for block in (difference, down, across))
    pp, pq, qq = (p * p).sum((2, 3, 4)), (p * q).sum((2, 3, 4)), (q * q).sum((2, 3, 4))
    pd, qd = (p * d).sum((2, 3, 4)), (q * d).sum((2, 3, 4))
    determinant = pp * qq - pq * pq + 1e-6 * np.square(pp + qq) + 1e-9
    explained = (qq * pd * pd - 2 * pq * pd * qd + pp * qd * qd) / determinant
    return np.maximum((d * d).sum((2, 3, 4)) - explained, 0) / (2 * (3 * 63 - 2))
