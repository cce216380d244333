"""The exposure on the CPU in one streaming pass: warp, blend, linearise, threshold and accumulate, sample by sample.

The fast twin of `interpolate.sample`, `clip_reverse.apply` and `average.mean`, which remain the specification; the same
result to 1e-4. A sample never leaves a row buffer, so memory does not grow with their number: two prepared frames, the
motion of CHUNK instants, and the accumulators. Rows are independent and samples are added in time order, so the result
is the same, bit for bit, for any number of threads.

The clip-reversed exposure is affine in its draw: mean(light) + amount * mean(mask). `integrate` returns both means, so
that r can be drawn again without another pass (not in space "code", where r goes through the gamma).
"""

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lolblur_synth.frames import GAMMA, LUMA
from lolblur_synth.kernels import cubic
from lolblur_synth.recipe import ClipReverseConfig

CHUNK = 8  # instants whose motion is held at once
CELL = 2  # pixels a cell of the motion grid, as in stages/interpolate.py
BASELINE = np.float32(1e-3)  # weight of the unmoved motion, which fills holes of the splat
STEPS = 16384  # of the gamma table, per unit of display value; linear between them: error below 2e-9
TABLE = ((np.arange(2 * STEPS + 2) / STEPS) ** GAMMA).astype(np.float32)  # 0..2: display value 1 plus r
SPACES = {"none": 0, "linear": 1, "code": 2, "hdr": 3}
F = np.float32


def expose(frames: Tensor, motion, instants: np.ndarray, config: ClipReverseConfig | None = None, draw=None) -> Tensor:
    """The exposure: mean over `instants` of the interpolated, clip-reversed frames.

    frames: (T, 3, H, W) float32 display, 0..1; motion: `interpolate.Motion` of those frames; instants: positions in
    frames, 0..T-1, ascending; config, draw: of clip_reverse, or None to leave it out. -> (3, H, W) linear light.
    """
    if draw is None:
        return integrate(frames, motion, instants)[0]
    if config.space == "code":
        return integrate(frames, motion, instants, config, draw.r)[0]
    light, mask = integrate(frames, motion, instants, config)
    return light.add_(mask, alpha=draw.gain if config.space == "hdr" else draw.r / 255)


def integrate(
    frames: Tensor, motion, instants: np.ndarray, config: ClipReverseConfig | None = None, r: float = 0.0
) -> tuple[Tensor, Tensor]:
    """mean(light) and mean(mask), each (3, H, W), of the samples at `instants`; r: code values, space "code" only."""
    stack = frames.numpy()
    light, mask = np.zeros(stack.shape[1:], np.float32), np.zeros(stack.shape[1:], np.float32)
    rule = _rule(config, r)
    prepared: dict[int, tuple[np.ndarray, int]] = {}
    for pair, parts in _by_pair(instants, len(stack)):
        a, b = np.ascontiguousarray(stack[pair]), np.ascontiguousarray(stack[pair + 1])
        if motion.still[pair] or motion.cut[pair]:
            _add_faded(a, b, np.round(parts) if motion.cut[pair] else parts, light, mask, *rule)
            continue
        prepared = {i: prepared.get(i) or cubic.prepare(stack[i]) for i in (pair, pair + 1)}
        (first, pitch), (second, _) = prepared[pair], prepared[pair + 1]
        for start in range(0, len(parts), CHUNK):
            chunk = parts[start : start + CHUNK]
            field = _fused_fields(motion, pair, chunk)
            _add_warped(a, b, first, second, pitch, field, chunk, light, mask, *rule)
    return torch.from_numpy(light / F(len(instants))), torch.from_numpy(mask / F(len(instants)))


def sample(frames: Tensor, motion, instant: float) -> Tensor:
    """The twin of `interpolate.sample` where neither `still` nor `cut` holds: (3, H, W) display, 0..1."""
    ((pair, parts),) = _by_pair(np.array([instant]), len(frames))
    (first, pitch), (second, _) = (cubic.prepare(frames[i].numpy()) for i in (pair, pair + 1))
    out = np.empty(tuple(frames.shape[1:]), np.float32)
    a, b = (np.ascontiguousarray(frames[i].numpy()) for i in (pair, pair + 1))
    _render(a, b, first, second, pitch, _fused_fields(motion, pair, parts)[0], parts[0], out)
    return torch.from_numpy(out)


def _by_pair(instants: np.ndarray, count: int) -> list[tuple[int, np.ndarray]]:
    """Instants grouped by source-frame pair: [(pair, fractions of its interval)], in time order."""
    pairs = np.minimum(np.floor(instants).astype(int), count - 2)
    return [(int(p), (instants[pairs == p] - p).astype(np.float32)) for p in np.unique(pairs)]


def _rule(config: ClipReverseConfig | None, r: float) -> tuple:
    """What the numba functions need of clip_reverse: space, threshold, the grey display value at it, r, ramp."""
    if config is None:
        return SPACES["none"], 0.0, F(0), F(0), F(0), F(1)
    y = ((config.threshold + 16) / 116) ** 3
    grey = 1.055 * y ** (1 / 2.4) - 0.055
    low, high = config.ramp
    return SPACES[config.space], y, F(grey), F(r / 255), F(low / 255), F(255 / (high - low))


def _fused_fields(motion, pair: int, parts: np.ndarray) -> np.ndarray:
    """(n, 2, h, w) motion at each of n instants of a pair; with a network (n, 4, h, w), as `Motion.fuse` says."""
    field = _fields(motion.forward[pair], motion.backward[pair], parts)
    return motion.fuse(pair, parts, field) if motion.fuse else field


@njit(cache=True, parallel=True)
def _fields(forward, backward, parts):
    """(h, w, 3) motion and trust, both ways -> (n, 2, h, w) motion, pixels an interval, at each of n instants."""
    height, width, _ = forward.shape
    field = np.empty((len(parts), 2, height, width), np.float32)
    for k in prange(len(parts)):
        t = parts[k]
        sums = np.zeros((height, width, 3), np.float32)
        _splat(forward, t, F(1), F(1) - t, sums)
        _splat(backward, F(1) - t, F(-1), t, sums)
        for y in range(height):
            for x in range(width):
                total = F(1) / (sums[y, x, 2] + BASELINE)
                for c in range(2):
                    resting = (F(1) - t) * forward[y, x, c] - t * backward[y, x, c]
                    field[k, c, y, x] = (sums[y, x, c] + BASELINE * resting) * total
    return field


@njit(cache=True)
def _splat(flow, t, sign, weight, sums):
    """Carry each cell's motion along the fraction t of itself and add it to the four cells that it lands on."""
    height, width, _ = flow.shape
    for y in range(height):
        for x in range(width):
            dx, dy = flow[y, x, 0], flow[y, x, 1]
            px, py = F(x) + t * dx / F(CELL), F(y) + t * dy / F(CELL)
            if px <= F(-1) or py <= F(-1) or px >= F(width) or py >= F(height):
                continue
            x0, y0 = int(np.floor(px)), int(np.floor(py))
            fx, fy = px - F(x0), py - F(y0)
            trust = weight * flow[y, x, 2]
            for j in range(max(0, -y0), min(2, height - y0)):
                for i in range(max(0, -x0), min(2, width - x0)):
                    share = trust * (fx if i else F(1) - fx) * (fy if j else F(1) - fy)
                    sums[y0 + j, x0 + i, 0] += share * sign * dx
                    sums[y0 + j, x0 + i, 1] += share * sign * dy
                    sums[y0 + j, x0 + i, 2] += share


@njit(cache=True)
def _motion_row(field, y, row, out):
    """Row y of the pixels from (C, h, w) cells of 2x2 pixels, bilinear: (C, W); row: scratch (w)."""
    channels, height, width = field.shape
    up, down = max((y - 1) // 2, 0), min((y + 1) // 2, height - 1)
    share = F(0.75) if y % 2 else F(0.25)
    for c in range(channels):
        for x in range(width):
            row[x] = share * field[c, up, x] + (F(1) - share) * field[c, down, x]
        for x in range(width):
            out[c, 2 * x] = F(0.25) * row[max(x - 1, 0)] + F(0.75) * row[x]
        for x in range(out.shape[1] // 2):
            out[c, 2 * x + 1] = F(0.75) * row[x] + F(0.25) * row[min(x + 1, width - 1)]


@njit(cache=True)
def _within(value, last):
    return min(max(value, F(0)), last)


@njit(cache=True)
def _inside(overshoot):
    """1 within the frame, falling to 0 one pixel outside of it."""
    return max(F(0), F(1) - abs(overshoot))


@njit(cache=True)
def _warped_row(first, second, pitch, y, velocity, t, height, out):
    """Row y of the sample at t: both frames fetched along the motion, blended by time and by who sees the point."""
    width = out.shape[1]
    last_x, last_y = F(width - 1), F(height - 1)
    rest = F(1) - t
    for x in range(width):
        ax, ay = F(x) - t * velocity[0, x], F(y) - t * velocity[1, x]
        bx, by = F(x) + rest * velocity[0, x], F(y) + rest * velocity[1, x]
        cx, cy, dx, dy = _within(ax, last_x), _within(ay, last_y), _within(bx, last_x), _within(by, last_y)
        ix, iy, jx, jy = np.int32(cx), np.int32(cy), np.int32(dx), np.int32(dy)
        r, g, b = cubic.at(first, (np.int64(iy) * pitch + ix) * 4, pitch * 4, cx - F(ix), cy - F(iy))
        u, v, w = cubic.at(second, (np.int64(jy) * pitch + jx) * 4, pitch * 4, dx - F(jx), dy - F(jy))
        share = velocity[2, x] if len(velocity) == 4 else t
        if ax != cx or ay != cy or bx != dx or by != dy:
            seen_a = (F(1) - share) * (_inside(ax - cx) * _inside(ay - cy) + F(1e-6))
            seen_b = share * (_inside(bx - dx) * _inside(by - dy) + F(1e-6))
            share = seen_b / (seen_a + seen_b)
        out[0, x], out[1, x], out[2, x] = r + share * (u - r), g + share * (v - g), b + share * (w - b)
    for c in range(3):
        for x in range(width):
            out[c, x] = _within(out[c, x], F(1))


@njit(cache=True)
def _fade_row(a, b, t, give_up, shown):
    """Turn the share `give_up` (W) of a row of a sample (3, W) into a cross-fade of the rows a and b."""
    for c in range(3):
        for x in range(shown.shape[1]):
            shown[c, x] += give_up[x] * (a[c, x] + t * (b[c, x] - a[c, x]) - shown[c, x])


@njit(cache=True)
def _light(value):
    """value^2.2 for 0..2."""
    position = value * F(STEPS)
    index = np.int32(position)
    return TABLE[index] + (position - F(index)) * (TABLE[index + 1] - TABLE[index])


@njit(cache=True)
def _srgb_light(value):
    value = np.float64(value)
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@njit(cache=True)
def _saturated(r, g, b, threshold, grey):
    """Y > threshold; Y grows with each channel, so pixels that are not near it are decided without a power."""
    if min(r, g, b) > grey + F(1e-4):
        return True
    if max(r, g, b) < grey - F(1e-4):
        return False
    return LUMA[0] * _srgb_light(r) + LUMA[1] * _srgb_light(g) + LUMA[2] * _srgb_light(b) > threshold


@njit(cache=True)
def _add_row(shown, light, mask, space, threshold, grey, r, low, slope):
    """Linearise one row of display values (3, W) and add it to the rows of the two accumulators."""
    width = shown.shape[1]
    if space == 1 or space == 2:
        for x in range(width):
            if max(shown[0, x], shown[1, x], shown[2, x]) < grey - F(1e-4):
                continue
            if _saturated(shown[0, x], shown[1, x], shown[2, x], threshold, grey):
                for c in range(3):
                    mask[c, x] += F(1)
                    if space == 2:
                        shown[c, x] += r
    for c in range(3):
        if space == 3:
            for x in range(width):
                mask[c, x] += min(max((shown[c, x] - low) * slope, F(0)), F(1))
        for x in range(width):
            light[c, x] += _light(shown[c, x])


@njit(cache=True, parallel=True)
def _add_warped(a, b, first, second, pitch, fields, parts, light, mask, space, threshold, grey, r, low, slope):
    _, height, width = light.shape
    for y in prange(height):
        row, velocity = np.empty(fields.shape[3], np.float32), np.empty((fields.shape[1], width), np.float32)
        shown = np.empty((3, width), np.float32)
        for k in range(len(parts)):
            _motion_row(fields[k], y, row, velocity)
            _warped_row(first, second, pitch, y, velocity, parts[k], height, shown)
            if len(velocity) == 4:
                _fade_row(a[:, y], b[:, y], parts[k], velocity[3], shown)
            _add_row(shown, light[:, y], mask[:, y], space, threshold, grey, r, low, slope)


@njit(cache=True, parallel=True)
def _add_faded(a, b, parts, light, mask, space, threshold, grey, r, low, slope):
    _, height, width = light.shape
    for y in prange(height):
        shown = np.empty((3, width), np.float32)
        for k in range(len(parts)):
            for c in range(3):
                for x in range(width):
                    shown[c, x] = a[c, y, x] + parts[k] * (b[c, y, x] - a[c, y, x])
            _add_row(shown, light[:, y], mask[:, y], space, threshold, grey, r, low, slope)


@njit(cache=True, parallel=True)
def _render(a, b, first, second, pitch, field, t, out):
    _, height, width = out.shape
    for y in prange(height):
        row, velocity = np.empty(field.shape[2], np.float32), np.empty((field.shape[0], width), np.float32)
        _motion_row(field, y, row, velocity)
        _warped_row(first, second, pitch, y, velocity, t, height, out[:, y])
        if len(velocity) == 4:
            _fade_row(a[:, y], b[:, y], t, velocity[3], out[:, y])
