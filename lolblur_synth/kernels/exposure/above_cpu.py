"""Light above white on the CPU: carried along the motion and added to the exposure, only where there is some.

Part of cpu.py, and with it the fast twin of reference.py. Lamps cover little of a frame: pairs without any are skipped,
then rows that no light can reach, then pixels whose fetches are black.
"""

import numpy as np
from numba import njit, prange

from lolblur_synth.kernels.exposure.reference import OUTSIDE
from lolblur_synth.kernels.exposure.splat import motion_row
from lolblur_synth.kernels.exposure.warped_rows import inside, within

F = np.float32


class Lamps:
    """Light above white of the frames of an exposure, (T, 3, H, W) float32, linear, 0 or more."""

    def __init__(self, above: np.ndarray):
        self.above = above
        self.lit: dict[int, np.ndarray] = {}  # by frame
        self.bright = [bool(frame.any()) for frame in above]

    def in_pair(self, pair: int) -> bool:
        """Whether one of its two frames has light above white."""
        return self.bright[pair] or self.bright[pair + 1]

    def add_faded(self, pair: int, parts: np.ndarray, light: np.ndarray) -> None:
        """Add the cross-fades at `parts` of a pair without motion to `light`, (3, H, W), a sum."""
        if self.in_pair(pair):
            second = F(parts.sum())
            light += (F(len(parts)) - second) * self.above[pair] + second * self.above[pair + 1]

    def add_warped(self, pair: int, fields: np.ndarray, parts: np.ndarray, light: np.ndarray) -> None:
        """Add the samples at `parts` of a pair that moves; fields: (n, 4 or 6, h, w), those of `cpu.Fields`."""
        if not self.in_pair(pair):
            return
        self.lit = {i: self.lit[i] if i in self.lit else _lit(self.above[i]) for i in (pair, pair + 1)}
        first, second = (np.ascontiguousarray(self.above[i]) for i in (pair, pair + 1))
        rows = _reached(self.lit[pair].any(1) | self.lit[pair + 1].any(1), _reach(fields))
        if len(rows):
            _add_above(first, second, self.lit[pair], self.lit[pair + 1], fields, parts, rows, light)


def _lit(frame: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (H, W) bool: there is light in one of the pixels x..x+1, y..y+1, which a bilinear fetch mixes."""
    lit = frame.any(0)
    lit[:-1] |= lit[1:]
    lit[:, :-1] |= lit[:, 1:]
    return lit


def _reach(fields: np.ndarray) -> int:
    """Rows, at most, between a pixel and where it is fetched from."""
    return int(np.ceil(np.abs(fields[:, 1]).max() + np.abs(fields[:, 3]).max())) + 1


def _reached(rows: np.ndarray, reach: int) -> np.ndarray:
    """Indices of the rows that are at most `reach` from one of `rows`, (H,) bool."""
    near = np.convolve(rows, np.ones(2 * min(reach, len(rows)) + 1), "full")[min(reach, len(rows)) :][: len(rows)]
    return np.flatnonzero(near > 0.5)


@njit(cache=True, parallel=True)
def _add_above(a, b, lit_a, lit_b, fields, parts, rows, light):
    """light (3, H, W) += the samples at `parts` of the rows `rows`: a and b (3, H, W) fetched along the motion."""
    _, height, width = a.shape
    channels, cells = fields.shape[1], fields.shape[3]
    for number in prange(len(rows)):
        y = rows[number]
        row, motion = np.empty(cells, np.float32), np.empty((channels, width), np.float32)
        share, fade = np.empty(width, np.float32), np.zeros(width, np.float32)
        for k in range(len(parts)):
            t = parts[k]
            motion_row(fields[k], y, row, motion)
            share[:] = t
            if channels == 6:
                share[:], fade[:] = motion[4], motion[5]
            for x in range(width):
                _add_pixel((a, b, lit_a, lit_b), (x, y), motion[:4, x], (t, share[x], fade[x]), light)


@njit(cache=True)
def _add_pixel(frames, place, motion, shares, light):
    """One sample of one pixel. motion: v and q; shares: the instant, of the second frame, of a cross-fade."""
    a, b, lit_a, lit_b = frames
    x, y = place
    t, share, fade = shares
    height, width = lit_a.shape
    ax, ay = F(x) - t * motion[0] + motion[2], F(y) - t * motion[1] + motion[3]
    bx, by = F(x) + (F(1) - t) * motion[0] + motion[2], F(y) + (F(1) - t) * motion[1] + motion[3]
    cx, cy = within(ax, F(width - 1)), within(ay, F(height - 1))
    dx, dy = within(bx, F(width - 1)), within(by, F(height - 1))
    in_a, in_b = lit_a[int(cy), int(cx)], lit_b[int(dy), int(dx)]
    if not (in_a or in_b or fade > 0):
        return
    seen_a = (F(1) - share) * (inside(ax - cx) * inside(ay - cy) + F(OUTSIDE))
    seen_b = share * (inside(bx - dx) * inside(by - dy) + F(OUTSIDE))
    second = seen_b / (seen_a + seen_b)
    for c in range(3):
        moved = F(0)
        if in_a:
            moved += (F(1) - second) * _bilinear(a[c], cx, cy)
        if in_b:
            moved += second * _bilinear(b[c], dx, dy)
        faded = a[c, y, x] + t * (b[c, y, x] - a[c, y, x])
        light[c, y, x] += moved + fade * (faded - moved)


@njit(cache=True)
def _bilinear(plane, x, y):
    """(H, W) at a point inside of it."""
    column, row = int(x), int(y)
    right, below = min(column + 1, plane.shape[1] - 1), min(row + 1, plane.shape[0] - 1)
    fx, fy = x - F(column), y - F(row)
    upper = plane[row, column] + fx * (plane[row, right] - plane[row, column])
    lower = plane[below, column] + fx * (plane[below, right] - plane[below, column])
    return upper + fy * (lower - upper)
