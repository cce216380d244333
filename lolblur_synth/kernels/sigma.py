"""The level of the noise of a clip, from the differences of motion-compensated blocks in time.

White noise is in the difference of two frames twice, and independent of their *sum*: the sum tells which blocks are
flat, and its gradient what a rest of motion below a pixel would do to the difference, so that this much can be taken
out (Lucas and Kanade's linearisation, two numbers a block).

Compressed video is white neither in time nor in space: blocks are copied from the frame before, and of what remains
much is broader than a block. Two measurements over the longest lag, which sees the noise and not the copies, may
therefore raise the estimate; over the shortest, perspective and light change least.
- Blocks, where the camera rests and longer lags show more noise than the shortest.
- The flattest windows of 48x48 pixels, as a person would measure: the change of a window in place, after its mean was
  taken from it. What stands still has changed by then as much as it ever will; what moves changes on. Noise that is
  strong enough survives a codec, and is left to the blocks.
"""

import numpy as np

from lolblur_synth.kernels.motion import trajectories

LAGS = 8  # frames between the blocks compared, at most
FLAT, BROAD = 0.15, 0.5  # share of the blocks, the flattest, that is used over the shortest lag and over the longest
STILL = 0.15  # the camera rests when this share of the textured blocks rests over the longest lag: the others may act
TEXTURED = 0.3  # share of the blocks, the least flat, that tell it
MATCHED = 0.25  # a block rests if the difference to its own place is at most this part of its texture
COPIED = 1.5  # blocks are copied in time if the variance over the longest lag is more than that over the shortest
WINDOW = 48  # pixels, side of the windows
FLATTEST = 0.3  # share of the windows that is used
SETTLED = 1.6  # windows stand still if their change over the longest lag is at most this part of that over half of it
FAINT = 9.0  # largest variance that windows are asked for
RADIUS = np.array([5, 2])  # search in the next frame, and round the prediction in later ones


def variance(frames: np.ndarray, luma: np.ndarray, starts: np.ndarray) -> float:
    """Variance of the noise of frames (T, H, W, 3), T >= 2, 8-bit code values, mean over the channels.

    luma: (T, 1, H, W); starts: frames to compare with their successors. 0 if no block is usable.
    """
    lag = min(len(frames) - 1, LAGS)
    near = np.median([_typical(*_differences(frames, luma, t, 1), FLAT)[0] for t in starts])
    far = [_typical(*_differences(frames, luma, t, lag), BROAD) for t, lag in ((0, lag), (len(frames) - 1, -lag))]
    rests = all(still >= STILL for _, still in far)
    far = np.median([noise for noise, _ in far])
    return max(float(far if rests and far > COPIED * near else near), _windows(frames))


def _windows(frames: np.ndarray) -> float:
    """Noise variance of the flattest windows, in place, over the longest lag; 0 where they do not stand still."""
    if len(frames) <= LAGS or min(frames.shape[1:3]) < WINDOW:
        return 0.0
    both, level = _cells(frames[0] + frames[LAGS])[0], _cells(frames[0])[1]
    whole = _cells(frames[LAGS] - frames[0])[0]
    half = sum(_cells(frames[t + LAGS // 2] - frames[t])[0] for t in (0, LAGS // 2)) / 2
    usable = ((level > 6) & (level < 249)).all(-1)
    if not usable.any():
        return 0.0
    flat = usable & (both <= np.quantile(both[usable], FLATTEST))
    whole, half = np.median(whole[flat]) / 2, np.median(half[flat]) / 2
    return float(whole) if whole <= min(SETTLED * half, FAINT) else 0.0


def _cells(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance, mean over the channels, and mean (rows, columns, 3) of the windows of values (H, W, 3), half a window
    apart; from the sums of quarters, in float64."""
    step = WINDOW // 2
    rows, columns = values.shape[0] // step, values.shape[1] // step
    quarters = values[: rows * step, : columns * step].reshape(rows, step, columns, step, 3).astype(np.float64)

    def mean(quarters):
        return (quarters[1:, 1:] + quarters[1:, :-1] + quarters[:-1, 1:] + quarters[:-1, :-1]) / 4

    first, second = mean(quarters.mean((1, 3))), mean(np.square(quarters).mean((1, 3)))
    return (second - first**2).mean(-1), first


def _differences(frames, luma, t: int, lag: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise variance, texture and stillness of the usable 8x8 blocks of frame t, followed to frame t + lag.

    Not usable are blocks near black or white, where noise is clipped, and blocks that were lost.
    """
    ys, xs = (np.arange(0, size - 7, 8) for size in frames.shape[1:3])
    path, reached = _follow(luma, t, lag, ys, xs)
    y, x = (ys[:, None] + np.arange(10))[:, None, :, None], (xs[:, None] + np.arange(10))[None, :, None, :]
    dy, dx = path[..., 0, None, None], path[..., 1, None, None]
    first, second = (np.pad(frames[i], ((1, 1), (1, 1), (0, 0)), "edge") for i in (t, t + lag))
    place, first, second = second[y, x], first[y, x], second[y + dy, x + dx]
    both = first + second
    level, texture = first.mean((2, 3)), both[:, :, 1:-1, 1:-1].var((2, 3)).mean(-1)
    usable = reached & ((level > 6) & (level < 249)).all(-1)
    down, across = both[:, :, 2:, 1:-1] - both[:, :, :-2, 1:-1], both[:, :, 1:-1, 2:] - both[:, :, 1:-1, :-2]
    noise = _unexplained((second - first)[:, :, 1:-1, 1:-1], down, across)
    change = (place - first)[:, :, 1:-1, 1:-1].var((2, 3)).mean(-1)
    still = (path == 0).all(-1) & (change <= MATCHED * texture)
    return noise[usable], texture[usable], still[usable]


def _follow(luma, t: int, lag: int, ys, xs) -> tuple[np.ndarray, np.ndarray]:
    """Displacement (rows, columns, 2) of the blocks of frame t in frame t + lag, and whether they were found there."""
    h, sign = abs(lag), np.sign(lag)
    still = np.square(luma[t + sign, 0] - luma[t, 0])[: len(ys) * 8, : len(xs) * 8].reshape(len(ys), 8, len(xs), 8)
    noise = max(1.0, np.quantile(still.mean((1, 3)), 0.3))  # at least one: of copies nothing is left
    penalty = np.float32(noise * 32)  # half of a block's expected squared difference
    path, extent = np.zeros((len(ys), len(xs), 2 * h + 1, 2), np.int16), np.zeros((len(ys), len(xs), 2), np.int16)
    slots = np.full(2 * h + 1, -1)
    slots[h::sign] = np.arange(t, t + lag + sign, sign)
    active = np.ones((len(ys), len(xs)), np.bool_)
    trajectories(luma, slots, ys, xs, RADIUS, penalty, np.float32(np.inf), active, path, extent)
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


def _typical(noise: np.ndarray, texture: np.ndarray, still: np.ndarray, share: float) -> tuple[float, float]:
    """Median noise of the flattest blocks, and how many of the textured ones rest: flat ones cannot tell."""
    if noise.size == 0:
        return 0.0, 1.0
    textured = texture >= np.quantile(texture, 1 - TEXTURED)
    return float(np.median(noise[texture <= np.quantile(texture, share)])), float(still[textured].mean())
