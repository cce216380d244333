"""What inverse search asks of one patch of 8x8 pixels: its difference from a moved patch, its gradients, and its vote;
each as plain loops and as vector IR. All pixels of a patch move alike, so that a moved patch is eight shifted rows of
eight pixels.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types

from lolblur_synth.kernels.llvm import (
    ROW,
    SIDE,
    constant,
    load,
    multiply_add,
    pointer,
    rows,
    spread,
    sum_of_lanes,
    twin,
    unpacked,
)  # fmt: skip

PATCH = SIDE  # px a side
ZERO, ONE = constant(0), constant(1)
F = np.float32


class Level(NamedTuple):
    """One level of a pyramid. Arrays are flat float32 images with a margin of PAD pixels on each side."""

    image: np.ndarray  # grey, 8-bit code values
    along_x: np.ndarray  # its gradients, code values a pixel
    along_y: np.ndarray
    height: int  # px, without the margin
    width: int
    pitch: int  # px from one row to the next, the margin included


class Point(NamedTuple):
    """A place between the pixels of a flat image."""

    base: int  # index of the pixel above and to the left
    fx: np.float32  # fraction of a pixel to the right of it, 0..1
    fy: np.float32  # and below it


class Votes(NamedTuple):
    """Sums over the patches that cover each pixel of a level, each flat float32, height * width."""

    u: np.ndarray  # weight times motion along x, px
    v: np.ndarray
    weight: np.ndarray


class Difference(NamedTuple):
    """Sums over a patch of its difference d from a moved patch, float32."""

    total: np.float32  # d, code values
    squares: np.float32  # d^2
    by_x: np.float32  # d times the gradient along x
    by_y: np.float32


@njit
def _difference(target, at, point, pitch, value):
    """`target` at index `at` and the fractions of `point`, bilinear, less a value."""
    above = target[at] + point.fx * (target[at + 1] - target[at])
    below = target[at + pitch] + point.fx * (target[at + pitch + 1] - target[at + pitch])
    return above + point.fy * (below - above) - value


@njit
def compare(level, place, target, point):
    """The patch of a Level at index `place` against the one of the image `target` at a Point: Difference.

    As vectors 40 times as fast.
    """
    total = squares = by_x = by_y = F(0)
    for y in range(PATCH):
        for x in range(PATCH):
            at = place + y * level.pitch + x
            error = _difference(target, point.base + y * level.pitch + x, point, level.pitch, level.image[at])
            total += error
            squares += error * error
            by_x += error * level.along_x[at]
            by_y += error * level.along_y[at]
    return Difference(total, squares, by_x, by_y)


@twin(compare, types.NamedUniTuple(types.float32, len(Difference._fields), Difference))
def compare(context, builder, signature, arguments):
    level, place, target, point = unpacked(context, builder, signature, arguments)
    places = rows(builder, place, level.pitch, PATCH)
    sums = [ZERO] * 4
    for error, at in zip(_errors(builder, level, places, target, point), places, strict=True):
        factors = ONE, error, load(builder, level.along_x, at), load(builder, level.along_y, at)
        sums = [multiply_add(builder, error, factor, total) for factor, total in zip(factors, sums, strict=True)]
    return [sum_of_lanes(builder, total) for total in sums]


@njit
def moments(level, place):
    """Sums over the patch of a Level at index `place` of its gradients x and y, and of their products xx, xy and yy.

    As vectors 11 times as fast.
    """
    sum_x = sum_y = xx = xy = yy = F(0)
    for row in range(PATCH):
        for column in range(PATCH):
            at = place + row * level.pitch + column
            x, y = level.along_x[at], level.along_y[at]
            sum_x += x
            sum_y += y
            xx += x * x
            xy += x * y
            yy += y * y
    return sum_x, sum_y, xx, xy, yy


@twin(moments, types.UniTuple(types.float32, 5))
def moments(context, builder, signature, arguments):
    level, place = unpacked(context, builder, signature, arguments)
    sums = [ZERO] * 5
    for at in rows(builder, place, level.pitch, PATCH):
        x, y = load(builder, level.along_x, at), load(builder, level.along_y, at)
        products = (x, ONE), (y, ONE), (x, x), (x, y), (y, y)
        sums = [multiply_add(builder, *pair, total) for pair, total in zip(products, sums, strict=True)]
    return [sum_of_lanes(builder, total) for total in sums]


@njit
def vote(level, place, target, point, u, v, votes, first):
    """Add w u, w v and w to the Votes of the pixels under a patch, from index `first` on; w = 1 / max(1, |d|), d its
    difference there, see `compare`.

    As vectors 27 times as fast.
    """
    for y in range(PATCH):
        for x in range(PATCH):
            value, to = level.image[place + y * level.pitch + x], first + y * level.width + x
            error = _difference(target, point.base + y * level.pitch + x, point, level.pitch, value)
            share = F(1) / max(F(1), abs(error))
            votes.u[to] += share * u
            votes.v[to] += share * v
            votes.weight[to] += share


@twin(vote)
def vote(context, builder, signature, arguments):
    level, place, target, point, u, v, votes, first = unpacked(context, builder, signature, arguments)
    absolute = builder.module.declare_intrinsic("llvm.fabs.v8f32", (), ir.FunctionType(ROW, [ROW]))
    factors, places = (spread(builder, u), spread(builder, v), ONE), rows(builder, place, level.pitch, PATCH)
    errors = _errors(builder, level, places, target, point)
    for error, at in zip(errors, rows(builder, first, level.width, PATCH), strict=True):
        error = builder.call(absolute, [error])
        share = builder.fdiv(ONE, builder.select(builder.fcmp_ordered(">", error, ONE), error, ONE))
        for data, factor in zip(votes, factors, strict=True):
            total = multiply_add(builder, share, factor, load(builder, data, at))
            builder.store(total, pointer(builder, data, at), align=4)


def _errors(builder, level, places, target, point):
    """Row by row: the patch of `target` at a point, bilinear, less that of the level at `places`."""
    fx, fy, lines = spread(builder, point.fx), spread(builder, point.fy), []
    for at in rows(builder, point.base, level.pitch, PATCH + 1):
        left, right = load(builder, target, at), load(builder, target, builder.add(at, ir.Constant(at.type, 1)))
        lines.append(multiply_add(builder, fx, builder.fsub(right, left), left))
    for above, below, at in zip(lines, lines[1:], places, strict=False):
        moved = multiply_add(builder, fy, builder.fsub(below, above), above)
        yield builder.fsub(moved, load(builder, level.image, at))
