"""Cubic B-spline sampling on the CPU: prefilter a frame once, then four taps an axis give any point between its pixels.

A cubic spline through the pixels is as sharp as an 8-tap Lanczos filter and costs as little as a bicubic one, because
the part of it that spans the whole frame is a recursive filter, which runs once a frame (Unser 1999, "Splines: a
perfect fit", Box 2). A prepared frame is one flat float32 array of RGB0 quadruples with a mirrored margin of 1 pixel
before and 2 after: four neighbouring pixels are then 16 consecutive floats, which one or two vector loads fetch. LLVM
vectorises no loop that we could write for this, so `mix` is vector IR.
"""

import numpy as np
from llvmlite import ir
from numba import njit, prange
from numba.core import cgutils

from lolblur_synth.kernels.llvm import arrays, lanes, multiply_add, spread, twin

POLE = np.float32(np.sqrt(3) - 2)
GAIN = np.float32(6)
LAST = GAIN * POLE / (POLE * POLE - np.float32(1))
HORIZON = 24  # px after which the mirrored signal counts for nothing: POLE^24 = 2e-14
BEFORE, AFTER = 1, 2  # margin, pixels
# the weight of tap i at the fraction f is the sum over k of BASIS[k][i] f^k
BASIS = (
    (1 / 6, 2 / 3, 1 / 6, 0.0),
    (-1 / 2, 0.0, 1 / 2, 0.0),
    (1 / 2, -1.0, 1 / 2, 0.0),
    (-1 / 6, 1 / 2, -1 / 2, 1 / 6),
)
QUAD, WIDE = (ir.VectorType(ir.FloatType(), count) for count in (4, 16))


def prepare(frame: np.ndarray) -> tuple[np.ndarray, int]:
    """(3, H, W) float32 -> the prepared frame, flat, and its pitch: pixels from one row to the next."""
    height, width = frame.shape[1:]
    prepared = np.zeros((height + BEFORE + AFTER, width + BEFORE + AFTER, 4), np.float32)
    inside = prepared[BEFORE : BEFORE + height, BEFORE : BEFORE + width]
    inside[..., :3] = frame.transpose(1, 2, 0)
    if height > 1:
        _filter_columns(inside)
    if width > 1:
        _filter_rows(inside)
    for axis, size in enumerate((height, width)):
        lines = prepared.swapaxes(0, axis)
        for line, source in _mirrored(size):
            lines[line] = lines[source]
    return prepared.reshape(-1), prepared.shape[1]


def _mirrored(size: int) -> list[tuple[int, int]]:
    """Each line of the margin of a prepared frame, and the line inside that it is a copy of."""
    outside = [*range(-BEFORE, 0), *range(size, size + AFTER)]
    sources = [2 * (size - 1) - abs(k) if abs(k) >= size else abs(k) for k in outside]
    return [(k + BEFORE, min(max(m, 0), size - 1) + BEFORE) for k, m in zip(outside, sources, strict=True)]


@njit(cache=True, parallel=True)
def _filter_columns(image):
    height, width, _ = image.shape
    for block in prange((width + 63) // 64):
        columns = image[:, block * 64 : min(block * 64 + 64, width)]
        first = np.zeros(columns.shape[1:], np.float32)
        _first(columns, first)
        columns[0] = first
        _recurse(columns)


@njit(cache=True, parallel=True)
def _filter_rows(image):
    for y in prange(len(image)):
        row = image[y : y + 1].transpose(1, 0, 2)
        first = np.zeros((1, image.shape[2]), np.float32)
        _first(row, first)
        row[0] = first
        _recurse(row)


@njit(cache=True)
def _first(line, first):
    """Start of the causal recursion: sum of POLE^k times the mirrored signal."""
    size, power = line.shape[0], np.float32(1)
    for k in range(HORIZON):
        index = k % (2 * size - 2)
        first += power * line[min(index, 2 * size - 2 - index)]
        power *= POLE


@njit(cache=True)
def _recurse(line):
    """Causal, then anticausal recursion along axis 0 of (size, n, 4), in place; line[0] is already the causal start."""
    size, across, channels = line.shape
    for k in range(1, size):
        for x in range(across):
            for c in range(channels):
                line[k, x, c] += POLE * line[k - 1, x, c]
    for x in range(across):
        for c in range(channels):
            line[size - 1, x, c] = LAST * (line[size - 1, x, c] + POLE * line[size - 2, x, c])
    for k in range(size - 2, -1, -1):
        for x in range(across):
            for c in range(channels):
                line[k, x, c] = POLE * (line[k + 1, x, c] - GAIN * line[k, x, c])


@njit
def mix(first, second, corners, pitch, parts, x, out):
    """Fetch pixel x of a row from two prepared frames, mix them, and store RGB0 at out[4 x].

    corners: (2, W) int32, index of the first tap in each frame, in floats; pitch: floats from one row to the next;
    parts: (6, W) float32: fractions (x, y) of a pixel in the first frame, in the second, and the share of each frame.

    As vectors 22 times as fast.
    """
    for c in range(4):
        total = np.float32(0)
        for image in range(2):
            data, corner, share = first if image == 0 else second, corners[image, x], parts[4 + image, x]
            for j in range(4):
                down = share * _weight(j, parts[2 * image + 1, x])
                for i in range(4):
                    total += down * _weight(i, parts[2 * image, x]) * data[corner + j * pitch + 4 * i + c]
        out[4 * x + c] = total


@njit
def _weight(tap, fraction):
    """The weight of one of four taps."""
    total = np.float32(BASIS[3][tap])
    for k in range(2, -1, -1):
        total = total * fraction + np.float32(BASIS[k][tap])
    return total


@twin(mix)
def mix(context, builder, signature, arguments):
    _, _, corners, pitch, parts, x, _ = arguments
    *images, target = arrays(context, builder, signature, arguments, (0, 1, 6))
    corners, width = _data(context, builder, signature.args[2], corners)
    parts, _ = _data(context, builder, signature.args[4], parts)
    fractions = [_load(builder, parts, builder.add(x, builder.mul(width, _whole(i)))) for i in range(6)]
    total = None
    for image in range(2):
        corner = _load(builder, corners, builder.add(x, builder.mul(width, _whole(image))))
        fx, fy = fractions[2 * image : 2 * image + 2]
        down, right = _weights(builder, fy), lanes(builder, _weights(builder, fx), [i // 4 for i in range(16)])
        right = builder.fmul(right, spread(builder, fractions[4 + image], WIDE))
        taps = _column(builder, images[image], builder.sext(corner, ir.IntType(64)), pitch, down)
        total = builder.fmul(taps, right) if total is None else multiply_add(builder, taps, right, total)
    for half in (8, 4):
        total = builder.fadd(lanes(builder, total, range(half)), lanes(builder, total, range(half, 2 * half)))
    place = builder.gep(target, [builder.mul(x, _whole(4))])
    builder.store(total, builder.bitcast(place, total.type.as_pointer()), align=4)


def _data(context, builder, kind, value):
    """Pointer to the values of an array, and its last dimension."""
    array = cgutils.create_struct_proxy(kind)(context, builder, value)
    return array.data, builder.extract_value(array.shape, kind.ndim - 1)


def _whole(number: int):
    return ir.Constant(ir.IntType(64), number)


def _load(builder, data, index):
    return builder.load(builder.gep(data, [index]), align=4)


def _weights(builder, fraction):
    """The weights of four taps."""
    fraction = spread(builder, fraction, QUAD)
    total = ir.Constant(QUAD, BASIS[3])
    for coefficients in BASIS[2::-1]:
        total = multiply_add(builder, total, fraction, ir.Constant(QUAD, coefficients))
    return total


def _column(builder, data, corner, pitch, down):
    """Four rows of four neighbouring pixels, added with the weights `down`: 16 lanes."""
    total = None
    for j in range(4):
        place = builder.gep(data, [builder.add(corner, builder.mul(pitch, _whole(j)))])
        row = builder.load(builder.bitcast(place, ir.VectorType(ir.FloatType(), 16).as_pointer()), align=4)
        weight = lanes(builder, down, [j] * 16)
        total = builder.fmul(row, weight) if total is None else multiply_add(builder, row, weight, total)
    return total
