"""The exposure on the CPU in one streaming pass: warp, blend, linearise, threshold and accumulate, sample by sample.

The fast twin of reference.py, with the same result to 1e-4. A sample never leaves a row buffer, so memory does not grow
with their number: two prepared frames, the motion of CHUNK instants, and the accumulators. Rows are independent and
samples are added in time order, so the result is the same, bit for bit, for any number of threads.
"""

import itertools
from collections.abc import Iterable

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lolblur_synth.kernels.exposure import above_cpu, bspline
from lolblur_synth.kernels.exposure.clip_reverse_rows import Sums, add_row, clip_rule
from lolblur_synth.kernels.exposure.schedule import CHUNK, by_pair
from lolblur_synth.kernels.exposure.splat import fields
from lolblur_synth.kernels.exposure.warped_rows import Fields, Pair, buffers_of, warped_row
from lolblur_synth.recipe.schema import ClipReverseConfig

BATCH = 4  # given frames that are added in one pass
F = np.float32


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


@njit(cache=True, parallel=True)
def _add_warped(pair, fields, sums, rule):
    _, height, width = sums.light.shape
    for y in prange(height):
        buffers, shown = buffers_of(fields.planes, width), np.empty((3, width), np.float32)
        for k in range(len(fields.parts)):
            warped_row(pair, fields, k, y, buffers, shown)
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
        buffers, shown = buffers_of(fields.planes, width), np.empty((3, width), np.float32)
        warped_row(pair, fields, 0, y, buffers, shown)
        for c in range(3):
            for x in range(width):
                out[c, y, x] = shown[c, x]
