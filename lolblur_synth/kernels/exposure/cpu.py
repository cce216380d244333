"""The exposure on the CPU in one streaming pass: warp, blend, linearise, threshold and accumulate, sample by sample.

The fast twin of reference.py, with the same result to 1e-4. A sample never leaves a row buffer, so memory does not grow
with their number: two prepared frames, the motion of CHUNK instants, and the accumulators. Rows are independent and
samples are added in time order, so the result is the same, bit for bit, for any number of threads.
"""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lolblur_synth.kernels.exposure import above_cpu, bspline
from lolblur_synth.kernels.exposure.clip_reverse_rows import Sums, add_row, clip_rule
from lolblur_synth.kernels.exposure.reference import OUTSIDE
from lolblur_synth.kernels.exposure.schedule import CHUNK, by_pair
from lolblur_synth.kernels.exposure.splat import fields, motion_row
from lolblur_synth.recipe.schema import ClipReverseConfig

BATCH = 4  # given frames that are added in one pass
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


def integrate(
    frames: Tensor,
    motion,
    instants: np.ndarray,
    config: ClipReverseConfig | None = None,
    r: float = 0.0,
    above: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of the samples at `instants`; r: code values, space "code" only;
    above: as `reference.integrate`."""
    stack = frames.numpy()
    lamps = None if above is None else above_cpu.Lamps(above.numpy())
    sums, rule = Sums(*np.zeros((2, *stack.shape[1:]), np.float32)), clip_rule(config, r)
    prepared: dict[int, tuple[np.ndarray, int]] = {}
    for pair, parts in by_pair(instants, len(stack)):
        a, b = np.ascontiguousarray(stack[pair]), np.ascontiguousarray(stack[pair + 1])
        if motion.still[pair] or motion.cut[pair]:
            parts = np.round(parts) if motion.cut[pair] else parts
            _add_faded(a, b, parts, sums, rule)
            if lamps:
                lamps.add_faded(pair, parts, sums.light)
            continue
        if motion.render_sample:
            lit = (above,) if lamps and lamps.in_pair(pair) else ()
            for part in parts:
                rendered = motion.render_sample(frames, pair, float(part), *lit).numpy()
                _add((np.ascontiguousarray(rendered[:3]),), sums, rule)
                if lit:
                    sums.light[:] += rendered[3:]
            continue
        prepared = {i: prepared.get(i) or bspline.prepare(stack[i]) for i in (pair, pair + 1)}
        (first, pitch), (second, _) = prepared[pair], prepared[pair + 1]
        frames_of_pair = Pair(a, b, first, second, pitch)
        for start in range(0, len(parts), CHUNK):
            chunk = _fields(motion, pair, parts[start : start + CHUNK])
            _add_warped(frames_of_pair, chunk, sums, rule)
            if lamps:
                lamps.add_warped(pair, chunk.planes, chunk.parts, sums.light)
    return tuple(torch.from_numpy(values / F(len(instants))) for values in sums)


def sample(frames: Tensor, motion, instant: float) -> Tensor:
    """The frame at the position `instant`, where neither `still` nor `cut` holds: (3, H, W) display, 0..1."""
    ((pair, parts),) = by_pair(np.array([instant]), len(frames))
    (first, pitch), (second, _) = (bspline.prepare(frames[i].numpy()) for i in (pair, pair + 1))
    out = np.empty(tuple(frames.shape[1:]), np.float32)
    a, b = (np.ascontiguousarray(frames[i].numpy()) for i in (pair, pair + 1))
    _render(Pair(a, b, first, second, pitch), _fields(motion, pair, parts), out)
    return torch.from_numpy(out)


def average(frames: Iterable[Tensor], config: ClipReverseConfig | None = None, r: float = 0.0) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of given frames (3, H, W) display, each a sample as it is.

    They may come one at a time; BATCH of them are held.
    r: code values, space "code" only.
    """
    rule, sums, count = clip_rule(config, r), None, 0
    stream = (np.ascontiguousarray(frame.numpy()) for frame in frames)
    while batch := tuple(itertools.islice(stream, BATCH)):
        sums = sums or Sums(*np.zeros((2, *batch[0].shape), np.float32))
        for part in [batch] if len(batch) == BATCH else [(frame,) for frame in batch]:  # two sizes to compile for
            _add(part, sums, rule)
        count += len(batch)
    return tuple(torch.from_numpy(values / F(count)) for values in sums)


def _fields(motion, pair: int, parts: np.ndarray) -> Fields:
    """The Fields of a pair at n instants, corrected where the motion has a network for that."""
    planes = fields(motion.forward[pair], motion.backward[pair], motion.bend[pair], parts)
    if motion.correct_fields:
        return Fields(motion.correct_fields(pair, parts, planes), True, parts)
    return Fields(planes, False, parts)


@njit(cache=True)
def _within(value, last):
    return min(max(value, F(0)), last)


@njit(cache=True)
def _inside(overshoot):
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
        held = _within(position, last)
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
        share[x] *= _inside(over_x[x]) * _inside(over_y[x]) + F(OUTSIDE)


@njit(cache=True)
def _warped_row(pair, fields, k, y, buffers, out):
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
            out[c, x] = _within(buffers.quads[4 * x + c], F(1))


@njit(cache=True)
def _fade_row(a, b, y, t, share, quads):
    """Turn the share (W,) of row y of a sample, RGB0, into a cross-fade of the frames a and b."""
    for x in range(len(share)):
        for c in range(3):
            quads[4 * x + c] += share[x] * (a[c, y, x] + t * (b[c, y, x] - a[c, y, x]) - quads[4 * x + c])


@njit(cache=True)
def _buffers(planes, width):
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


@njit(cache=True, parallel=True)
def _add_warped(pair, fields, sums, rule):
    _, height, width = sums.light.shape
    for y in prange(height):
        buffers, shown = _buffers(fields.planes, width), np.empty((3, width), np.float32)
        for k in range(len(fields.parts)):
            _warped_row(pair, fields, k, y, buffers, shown)
            add_row(shown, sums, y, rule)


@njit(cache=True, parallel=True)
def _add_faded(a, b, parts, sums, rule):
    _, height, width = sums.light.shape
    for y in prange(height):
        shown = np.empty((3, width), np.float32)
        for k in range(len(parts)):
            for c in range(3):
                for x in range(width):
                    shown[c, x] = a[c, y, x] + parts[k] * (b[c, y, x] - a[c, y, x])
            add_row(shown, sums, y, rule)


@njit(cache=True, parallel=True)
def _add(frames, sums, rule):
    """Add frames, a tuple of them, to the sums; row by row, so that the sums are read and written once."""
    _, height, width = sums.light.shape
    for y in prange(height):
        shown = np.empty((3, width), np.float32)
        for frame in frames:
            for c in range(3):
                for x in range(width):
                    shown[c, x] = frame[c, y, x]
            add_row(shown, sums, y, rule)


@njit(cache=True, parallel=True)
def _render(pair, fields, out):
    """The sample at the first instant of Fields, into out (3, H, W)."""
    _, height, width = out.shape
    for y in prange(height):
        buffers, shown = _buffers(fields.planes, width), np.empty((3, width), np.float32)
        _warped_row(pair, fields, 0, y, buffers, shown)
        for c in range(3):
            for x in range(width):
                out[c, y, x] = shown[c, x]
