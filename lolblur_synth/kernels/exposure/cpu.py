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
from lolblur_synth.kernels.exposure.schedule import CHUNK, by_pair
from lolblur_synth.kernels.exposure.splat import fields, motion_row
from lolblur_synth.recipe.schema import ClipReverseConfig

BATCH = 4  # given frames that are added in one pass
F = np.float32


class Pair(NamedTuple):
    """Two neighbouring frames, (3, H, W) display, and their prepared splines, see bspline.py."""

    first: np.ndarray
    second: np.ndarray
    first_spline: np.ndarray
    second_spline: np.ndarray
    pitch: int  # of the splines, pixels from one row to the next


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
        if motion.render:
            lit = (above,) if lamps and lamps.in_pair(pair) else ()
            for part in parts:
                rendered = motion.render(frames, pair, float(part), *lit).numpy()
                _add((np.ascontiguousarray(rendered[:3]),), sums, rule)
                if lit:
                    sums.light[:] += rendered[3:]
            continue
        prepared = {i: prepared.get(i) or bspline.prepare(stack[i]) for i in (pair, pair + 1)}
        (first, pitch), (second, _) = prepared[pair], prepared[pair + 1]
        frames_of_pair = Pair(a, b, first, second, pitch)
        for start in range(0, len(parts), CHUNK):
            chunk = parts[start : start + CHUNK]
            field = _fused_fields(motion, pair, chunk)
            _add_warped(frames_of_pair, field, chunk, sums, rule)
            if lamps:
                lamps.add_warped(pair, field, chunk, sums.light)
    return tuple(torch.from_numpy(values / F(len(instants))) for values in sums)


def sample(frames: Tensor, motion, instant: float) -> Tensor:
    """The frame at the position `instant`, where neither `still` nor `cut` holds: (3, H, W) display, 0..1."""
    ((pair, parts),) = by_pair(np.array([instant]), len(frames))
    (first, pitch), (second, _) = (bspline.prepare(frames[i].numpy()) for i in (pair, pair + 1))
    out = np.empty(tuple(frames.shape[1:]), np.float32)
    a, b = (np.ascontiguousarray(frames[i].numpy()) for i in (pair, pair + 1))
    _render(Pair(a, b, first, second, pitch), _fused_fields(motion, pair, parts)[0], parts[0], out)
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


def _fused_fields(motion, pair: int, parts: np.ndarray) -> np.ndarray:
    """(n, 4, h, w) motion and bend at each of n instants of a pair; with a network (n, 6, h, w), see `Motion.fuse`."""
    field = fields(motion.forward[pair], motion.backward[pair], motion.bend[pair], parts)
    return motion.fuse(pair, parts, field) if motion.fuse else field


@njit(cache=True)
def _within(value, last):
    return min(max(value, F(0)), last)


@njit(cache=True)
def _inside(overshoot):
    """1 within the frame, falling to 0 one pixel outside of it."""
    return max(F(0), F(1) - abs(overshoot))


@njit(cache=True)
def _places(velocity, y, t, height, pitch, index, over, corners, parts):
    """Where row y of the sample at t is fetched from: `corners` and `parts` of `bspline.mix`.

    Each frame counts by its distance in time, or as the field says, and not where the point lies outside of it. The
    loops are small, so that LLVM finds their arrays to be distinct and vectorises them.
    """
    width = velocity.shape[1]
    first, second = parts[4], parts[5]
    for x in range(width):
        second[x] = velocity[4, x] if len(velocity) == 6 else t
    for x in range(width):
        first[x] = F(1) - second[x]
    for frame, step in enumerate((-t, F(1) - t)):
        k = 2 * frame
        _axis(F(0), F(1), step, velocity[0], velocity[2], F(width - 1), index[k], parts[k], over[k])
        _axis(F(y), F(0), step, velocity[1], velocity[3], F(height - 1), index[k + 1], parts[k + 1], over[k + 1])
        _corner(index[k], index[k + 1], pitch, corners[frame])
        _seen(over[k], over[k + 1], parts[4 + frame])
    for x in range(width):
        total = F(1) / (first[x] + second[x])
        first[x], second[x] = first[x] * total, second[x] * total


@njit(cache=True)
def _axis(start, pace, step, velocity, off, last, index, part, over):
    """start + pace x + step velocity[x] + off[x], held in 0..last: whole pixels, fraction, how far it lay outside."""
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
        share[x] *= _inside(over_x[x]) * _inside(over_y[x]) + F(1e-6)


@njit(cache=True)
def _warped_row(pair, field, y, t, scratch, out):
    """Row y of the sample at t, (3, W): both frames of a Pair fetched along the motion and blended."""
    a, b, first, second, pitch = pair
    row, velocity, index, over, corners, parts, quads = scratch
    height, width = a.shape[1:]
    motion_row(field, y, row, velocity)
    _places(velocity, y, t, height, pitch, index, over, corners, parts)
    for x in range(width):
        bspline.mix(first, second, corners, pitch * 4, parts, x, quads)
    if len(velocity) == 6:
        _fade_row(a, b, y, t, velocity[5], quads)
    for x in range(width):
        for c in range(3):
            out[c, x] = _within(quads[4 * x + c], F(1))


@njit(cache=True)
def _fade_row(a, b, y, t, give_up, quads):
    """Turn the share `give_up` (W) of row y of a sample, RGB0, into a cross-fade of the frames a and b."""
    for x in range(len(give_up)):
        for c in range(3):
            quads[4 * x + c] += give_up[x] * (a[c, y, x] + t * (b[c, y, x] - a[c, y, x]) - quads[4 * x + c])


@njit(cache=True)
def _scratch(field, width):
    """Row buffers of `_warped_row`."""
    channels, _, cells = field.shape
    return (
        np.empty(cells, np.float32),
        np.empty((channels, width), np.float32),
        np.empty((4, width), np.int32),
        np.empty((4, width), np.float32),
        np.empty((2, width), np.int32),
        np.empty((6, width), np.float32),
        np.empty(4 * width, np.float32),
    )


@njit(cache=True, parallel=True)
def _add_warped(pair, fields, parts, sums, rule):
    _, height, width = sums.light.shape
    for y in prange(height):
        scratch, shown = _scratch(fields[0], width), np.empty((3, width), np.float32)
        for k in range(len(parts)):
            _warped_row(pair, fields[k], y, parts[k], scratch, shown)
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
def _render(pair, field, t, out):
    _, height, width = out.shape
    for y in prange(height):
        scratch, shown = _scratch(field, width), np.empty((3, width), np.float32)
        _warped_row(pair, field, y, t, scratch, shown)
        for c in range(3):
            for x in range(width):
                out[c, y, x] = shown[c, x]
