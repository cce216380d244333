"""Cubic B-spline sampling on the CPU: prefilter a frame once, then four taps an axis give any point between its pixels.

A cubic spline through the pixels is as sharp as an 8-tap Lanczos and costs as little as a bicubic, because its
"infinite" part is a recursive filter that runs once a frame (Unser 1999, "Splines: a perfect fit", Box 2).
A prepared frame is one flat float32 array of RGB0 quadruples with a mirrored margin of 1 pixel before and 2 after:
four neighbouring pixels are then 16 consecutive floats, which one or two vector loads fetch. LLVM finds that shape in
no loop that we could write, so `at` writes it as vector IR; LLVM maps it to whatever vectors the machine has.
"""

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

POLE = np.float32(np.sqrt(3) - 2)
GAIN = np.float32(6)
LAST = GAIN * POLE / (POLE * POLE - np.float32(1))
HORIZON = 24  # pixels; POLE^24 = 2e-14
BEFORE, AFTER = 1, 2  # margin, pixels
# weight of tap i at fraction f: sum over k of BASIS[k][i] f^k
BASIS = (
    (1 / 6, 2 / 3, 1 / 6, 0.0),
    (-1 / 2, 0.0, 1 / 2, 0.0),
    (1 / 2, -1.0, 1 / 2, 0.0),
    (-1 / 6, 1 / 2, -1 / 2, 1 / 6),
)


def prepare(frame: np.ndarray) -> tuple[np.ndarray, int]:
    """(3, H, W) float32 -> the flat prepared frame, and its pitch: pixels from one row to the next."""
    height, width = frame.shape[1:]
    prepared = np.zeros((height + BEFORE + AFTER, width + BEFORE + AFTER, 4), np.float32)
    inside = prepared[BEFORE : BEFORE + height, BEFORE : BEFORE + width]
    inside[..., :3] = frame.transpose(1, 2, 0)
    if height > 1:
        _filter_columns(inside)
    if width > 1:
        _filter_rows(inside)
    prepared[:, :] = prepared[np.ix_(_mirrored(height), _mirrored(width))]
    return prepared.reshape(-1), prepared.shape[1]


def _mirrored(size: int) -> np.ndarray:
    """Row of the prepared frame that each of its rows is a copy of; only margins are not their own."""
    index = np.abs(np.arange(-BEFORE, size + AFTER))
    index = np.where(index >= size, 2 * (size - 1) - index, index)
    return index.clip(0, size - 1) + BEFORE


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


@intrinsic
def at(typing, image, corner, pitch, fx, fy):
    """Value (r, g, b) at fraction (fx, fy) of a cell; `corner` is the index of its first tap, `pitch` in floats."""
    signature = types.UniTuple(types.float32, 3)(image, corner, pitch, fx, fy)

    def generate(context, builder, signature, arguments):
        array, corner, pitch, fx, fy = arguments
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, array).data

        def lanes(vector, order):
            order = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
            return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), order)

        def multiply_add(a, b, c):
            return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

        def weights(fraction):
            quad = ir.VectorType(ir.FloatType(), 4)
            one = builder.insert_element(ir.Constant(quad, ir.Undefined), fraction, ir.Constant(ir.IntType(32), 0))
            total = ir.Constant(quad, BASIS[3])
            for coefficients in BASIS[2::-1]:
                total = multiply_add(total, lanes(one, [0] * 4), ir.Constant(quad, coefficients))
            return total

        sixteen = ir.VectorType(ir.FloatType(), 16)
        down, right = weights(fy), lanes(weights(fx), [i // 4 for i in range(16)])
        total = ir.Constant(sixteen, [0.0] * 16)
        for j in range(4):
            place = builder.gep(data, [builder.add(corner, builder.mul(pitch, ir.Constant(pitch.type, j)))])
            row = builder.load(builder.bitcast(place, sixteen.as_pointer()), align=4)
            total = multiply_add(row, lanes(down, [j] * 16), total)
        total = builder.fmul(total, right)
        for half in (8, 4):
            total = builder.fadd(lanes(total, range(half)), lanes(total, range(half, 2 * half)))
        values = [builder.extract_element(total, ir.Constant(ir.IntType(32), c)) for c in range(3)]
        return context.make_tuple(builder, signature.return_type, values)

    return signature, generate
