"""Rows of a sample on the CPU: both frames of a pair fetched along the motion, and blended. Part of cpu.py."""

from typing import NamedTuple

import numpy as np
from numba import njit

from lolblur_synth.kernels.exposure import bspline
from lolblur_synth.kernels.exposure.reference import OUTSIDE
from lolblur_synth.kernels.exposure.splat import motion_row

F = np.float32


class Pair(NamedTuple):
    """Two neighbouring frames, (3, H, W) float32 display, 0..1, and their prepared splines, see bspline.py."""

    first: np.ndarray
    second: np.ndarray
    first_spline: np.ndarray
    second_spline: np.ndarray
    pitch: int  # of the splines, pixels from one row to the next


class Fields(NamedTuple):
    """Where the light of a frame pair comes from at n instants, on cells of 2x2 pixels; letters as in reference.py."""

    planes: np.ndarray  # (n, 4, h, w) float32: v, pixels an interval, and q, pixels; (n, 6, h, w): then m and g, 0..1
    has_shares: bool  # whether planes has m and g; otherwise m is the instant, and g is 0
    parts: np.ndarray  # (n,) float32: the instants, fractions of the interval


class Buffers(NamedTuple):
    """One row of a sample in the making; W pixels."""

    cells: np.ndarray  # (w,) float32: a row of cells, see `splat.motion_row`
    planes: np.ndarray  # (4 or 6, W) float32: those of Fields
    index: np.ndarray  # (4, W) int32: whole pixels of the points fetched, x and y in the first frame, in the second
    overshoot: np.ndarray  # (4, W) float32: how far each lies outside of the frame, pixels
    corners: np.ndarray  # (2, W) int32: see `bspline.mix`
    parts: np.ndarray  # (6, W) float32: see `bspline.mix`
    quads: np.ndarray  # (4 W,) float32: RGB0


@njit(cache=True)
def within(value, last):
    return min(max(value, F(0)), last)


@njit(cache=True)
def inside(overshoot):
    """1 within the frame, falling to 0 one pixel outside of it."""
    return max(F(0), F(1) - abs(overshoot))


@njit(cache=True)
def _place_row(buffers, has_shares, y, t, height, pitch):
    """Where row y of the sample at t is fetched from: `corners` and `parts` of Buffers, from its `planes`.

    Each frame counts by its distance in time, or as a network says, and not where the point lies outside of it. The
    loops are small, so that LLVM finds their arrays to be distinct and vectorises them.
    """
    planes = buffers.planes
    width = planes.shape[1]
    first, second = buffers.parts[4], buffers.parts[5]
    for x in range(width):
        second[x] = planes[4, x] if has_shares else t
    for x in range(width):
        first[x] = F(1) - second[x]
    for frame, step in enumerate((-t, F(1) - t)):
        k = 2 * frame
        _axis(buffers, k, F(0), F(1), step, F(width - 1))
        _axis(buffers, k + 1, F(y), F(0), step, F(height - 1))
        _corner(buffers.index[k], buffers.index[k + 1], pitch, buffers.corners[frame])
        _seen(buffers.overshoot[k], buffers.overshoot[k + 1], buffers.parts[4 + frame])
    for x in range(width):
        total = F(1) / (first[x] + second[x])
        first[x], second[x] = first[x] * total, second[x] * total


@njit(cache=True)
def _axis(buffers, k, start, pace, step, last):
    """Along one axis of one frame, k = 2 frame + axis: start + pace x + step v[x] + q[x], held in 0..last.

    Fills row k of index, parts and overshoot: whole pixels, fractions, and how far it lay outside.
    """
    velocity, off = buffers.planes[k % 2], buffers.planes[2 + k % 2]
    index, part, over = buffers.index[k], buffers.parts[k], buffers.overshoot[k]
    for x in range(len(velocity)):
        position = start + pace * F(x) + step * velocity[x] + off[x]
        held = within(position, last)
        whole = np.int32(held)
        index[x], part[x], over[x] = whole, held - F(whole), position - held


@njit(cache=True)
def _corner(column, row, pitch, corner):
    for x in range(len(corner)):
        corner[x] = (row[x] * pitch + column[x]) * 4


@njit(cache=True)
def _seen(over_x, over_y, share):
    """Let the share fall to nearly nothing one pixel outside of the frame."""
    for x in range(len(share)):
        share[x] *= inside(over_x[x]) * inside(over_y[x]) + F(OUTSIDE)


@njit(cache=True)
def warped_row(pair, fields, k, y, buffers, out):
    """Row y of the sample at instant number k, into out (3, W): both frames fetched along the motion and blended."""
    height, width = pair.first.shape[1:]
    t = fields.parts[k]
    motion_row(fields.planes[k], y, buffers.cells, buffers.planes)
    _place_row(buffers, fields.has_shares, y, t, height, pair.pitch)
    for x in range(width):
        bspline.mix(
            pair.first_spline, pair.second_spline, buffers.corners, pair.pitch * 4, buffers.parts, x, buffers.quads
        )
    if fields.has_shares:
        _fade_row(pair.first, pair.second, y, t, buffers.planes[5], buffers.quads)
    for x in range(width):
        for c in range(3):
            out[c, x] = within(buffers.quads[4 * x + c], F(1))


@njit(cache=True)
def _fade_row(a, b, y, t, share, quads):
    """Turn the share (W,) of row y of a sample, RGB0, into a cross-fade of the frames a and b."""
    for x in range(len(share)):
        for c in range(3):
            quads[4 * x + c] += share[x] * (a[c, y, x] + t * (b[c, y, x] - a[c, y, x]) - quads[4 * x + c])


@njit(cache=True)
def buffers_of(planes, width):
    """Buffers for the planes of Fields and rows of `width` pixels."""
    channels, cells = planes.shape[1], planes.shape[3]
    return Buffers(
        np.empty(cells, np.float32),
        np.empty((channels, width), np.float32),
        np.empty((4, width), np.int32),
        np.empty((4, width), np.float32),
        np.empty((2, width), np.int32),
        np.empty((6, width), np.float32),
        np.empty(4 * width, np.float32),
    )
