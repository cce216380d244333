"""Pieces of vector IR, for kernels whose loops LLVM does not vectorise: Numba tests whether each index is negative, and
LLVM then does not see neighbouring values as one vector. LLVM maps the IR to the vectors that the machine has.

Arrays are flat and float32; a row is eight neighbouring values.
"""

import inspect
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

SIDE = 8
ROW = ir.VectorType(ir.FloatType(), SIDE)


def twin(plain: Callable, returns=types.void) -> Callable:
    """Decorates a maker of vector IR, which then replaces `plain`, a Numba function of the same arguments.

    `plain` is the specification, kept in the attribute `plain`. The maker takes (context, builder, signature,
    arguments) and returns the LLVM value of the type `returns`, the values if it is a tuple type, or nothing.
    """

    def decorate(make: Callable):
        def typed(typing, *arguments):
            def generate(context, builder, signature, values):
                results = make(context, builder, signature, values)
                if returns is types.void:
                    return context.get_dummy_value()
                return (
                    context.make_tuple(builder, returns, results) if isinstance(returns, types.BaseTuple) else results
                )

            return returns(*arguments), generate

        named = list(inspect.signature(plain.py_func).parameters.values())
        context = inspect.Parameter("typing", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        typed.__signature__ = inspect.Signature([context, *named])
        typed.__name__, typed.__doc__ = make.__name__, plain.__doc__
        vectorised = intrinsic(typed)
        vectorised.plain = plain
        return vectorised

    return decorate


def arrays(context, builder, signature, arguments, which):
    """Pointers to the values of the arguments of these numbers."""
    return [cgutils.create_struct_proxy(signature.args[k])(context, builder, arguments[k]).data for k in which]


def unpacked(context, builder, signature, arguments):
    """The arguments, arrays as pointers to their values; those that are NamedTuples as such, of the same kind."""
    return [_unpacked(context, builder, kind, value) for kind, value in zip(signature.args, arguments, strict=True)]


def _unpacked(context, builder, kind, value):
    if isinstance(kind, types.Array):
        return cgutils.create_struct_proxy(kind)(context, builder, value).data
    if isinstance(kind, types.BaseNamedTuple):
        members = cgutils.unpack_tuple(builder, value, len(kind.fields))
        pairs = zip(kind.types, members, strict=True)
        return kind.instance_class(*(_unpacked(context, builder, *pair) for pair in pairs))
    return value


def rows(builder, first, pitch, count=SIDE):
    """Indices of `count` rows; pitch: from one to the next, a value or a number."""
    pitch = ir.Constant(first.type, pitch) if isinstance(pitch, int) else pitch
    return [builder.add(first, builder.mul(pitch, ir.Constant(pitch.type, row))) for row in range(count)]


def pointer(builder, data, index):
    """To the row that begins at an index."""
    return builder.bitcast(builder.gep(data, [index]), ROW.as_pointer())


def load(builder, data, index):
    """The row that begins at an index."""
    return builder.load(pointer(builder, data, index), align=4)


def spread(builder, value, kind=ROW):
    """A scalar in every lane."""
    vector = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return lanes(builder, vector, [0] * kind.count)


def lanes(builder, vector, order):
    """The lanes of a vector in this order."""
    order = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), order)


def constant(value):
    """A number in every lane of a row."""
    return ir.Constant(ROW, [float(np.float32(value))] * SIDE)


def sum_of_lanes(builder, vector):
    """The sum of the eight lanes of a row: halves, then quarters, then the last two."""
    for half in (4, 2, 1):
        vector = builder.fadd(lanes(builder, vector, range(half)), lanes(builder, vector, range(half, 2 * half)))
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def multiply_add(builder, a, b, c):
    """a b + c, fused where the machine can."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))
