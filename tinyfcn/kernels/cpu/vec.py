"""A Numba type for LANES floats, so that a loop over channels says what it computes.

    for c in range(0, x.channels, LANES):
        value = load(pixel(x, n, i, j, c), x.channels - c)
        store(pixel(y, n, i, j, c), x.channels - c, where(value < ZERO, ZERO, value))

`load` and `store` touch the first `left` floats only, so any number of channels is computed alike,
and nothing beyond an array is read or written. Vectors have + − · /, and comparisons, which give a
yes or no for each lane; `where` chooses by them. A float32 stands for the same in every lane.
"""
import operator
from functools import wraps

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, register_model

from . import simd
from .jit import compiled
from .simd import BITS, FLOAT, FLOATS, INTS, LANES

ZERO = np.float32(0)
ONE = np.float32(1)
LOWEST = np.float32(-np.inf)


# ---- The types, and how an instruction on them is named

class Vector(types.Type):
    """LANES floats, or a yes or no for each."""


floats = Vector('floats')
bits = Vector('bits')


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, FLOATS if numba_type == floats else BITS)


@lower_cast(types.float32, floats)
def _in_every_lane(context, b, number, vector, value):
    return simd.splat(b, value)


def _operator(symbol, operand, result, emit):
    """Give a Python operator its meaning for two vectors, or a vector and a float32."""
    @infer_global(symbol)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            fits = operand in args and all(arg in (operand, types.float32) for arg in args)
            return signature(result, operand, operand) if fits else None
    lower_builtin(symbol, operand, operand)(lambda context, b, sig, args: emit(b, *args))


def instruction(result, *operands):
    """Let compiled loops call the decorated function, which emits instructions with a builder b."""
    def register(emit):
        @intrinsic
        @wraps(emit)                                    # Numba looks at the names of its parameters
        def typed(typing, *args):
            return result(*operands), lambda context, b, sig, args: (
                emit(b, *args) or context.get_dummy_value())
        return typed
    return register


_operator(operator.add, floats, floats, lambda b, x, y: b.fadd(x, y))
_operator(operator.sub, floats, floats, lambda b, x, y: b.fsub(x, y))
_operator(operator.mul, floats, floats, lambda b, x, y: b.fmul(x, y))
_operator(operator.truediv, floats, floats, lambda b, x, y: b.fdiv(x, y))
_operator(operator.gt, floats, bits, lambda b, x, y: b.fcmp_ordered('>', x, y))
_operator(operator.lt, floats, bits, lambda b, x, y: b.fcmp_ordered('<', x, y))
_operator(operator.eq, floats, bits, lambda b, x, y: b.fcmp_ordered('==', x, y))
_operator(operator.and_, bits, bits, lambda b, x, y: b.and_(x, y))
_operator(operator.or_, bits, bits, lambda b, x, y: b.or_(x, y))


# ---- Memory. An address is an integer

def _at(b, address):
    return b.inttoptr(address, FLOAT.as_pointer())


@instruction(floats, types.intp, types.intp)
def load(b, address, left):
    """LANES floats; where fewer are left, zeros in place of the others."""
    return simd.load(b, _at(b, address), simd.first_lanes(b, left))


@instruction(types.void, types.intp, types.intp, floats)
def store(b, address, left, vector):
    """Write the first `left` floats."""
    simd.store(b, vector, _at(b, address), simd.first_lanes(b, left))


@instruction(types.void, types.intp, types.intp, floats)
def store_int(b, address, left, vector):
    """Write the first `left` floats, which are whole numbers, as int32."""
    simd.store(b, b.fptosi(vector, INTS), _at(b, address), simd.first_lanes(b, left))


@instruction(types.float32, types.intp)
def read(b, address):
    """One float."""
    return b.load(_at(b, address))


@instruction(types.void, types.intp, types.float32)
def write(b, address, value):
    """One float."""
    b.store(value, _at(b, address))


# ---- Lane by lane

@instruction(floats, types.float32)
def full(b, value):
    """The number in every lane."""
    return simd.splat(b, value)


@instruction(bits, types.intp)
def first_lanes(b, left):
    """Yes for the first `left` lanes."""
    return simd.first_lanes(b, left)


@instruction(floats, bits, floats, floats)
def where(b, condition, x, y):
    """x where the condition holds, else y."""
    return b.select(condition, x, y)


@instruction(bits, floats)
def is_nan(b, x):
    """Yes where x is not a number."""
    return b.fcmp_unordered('uno', x, x)


@instruction(floats, floats)
def sqrt(b, x):
    """√x."""
    return simd.call(b, f'llvm.sqrt.v{LANES}f32', FLOATS, x)


@instruction(floats, floats)
def power_of_two(b, shifted):
    """2ⁿ, given n + 1.5·2²³.

    A float as large has no place for a fraction, and the last bits of it are n.
    """
    exponent = b.add(b.bitcast(shifted, INTS), ir.Constant(INTS, [127] * LANES))
    return b.bitcast(b.shl(exponent, ir.Constant(INTS, [23] * LANES)), FLOATS)


SHIFT = np.float32(1.5 * 2 ** 23)
LOG2_E = np.float32(1.44269504)
LN_2_HIGH = np.float32(.693359375)              # few bits, so that n times it is exact
LN_2_LOW = np.float32(-2.12194440e-4)           # the rest of ln 2
SMALLEST = np.float32(-87)                      # e to a smaller power counts as 0


@compiled
def exp(x):
    """e^x = 2ⁿ·e^r, where n is the nearest to x / ln 2 and |r| ≤ ln 2 / 2.   x ≤ 88

    The polynomial is that of the Cephes library, right to two units in the last place.
    """
    shifted = x * LOG2_E + SHIFT
    n = shifted - SHIFT
    r = x - n * LN_2_HIGH - n * LN_2_LOW
    p = r * np.float32(1.9875691500e-4) + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    return where(x < SMALLEST, ZERO, (p * r * r + r + ONE) * power_of_two(shifted))


# ---- All lanes to one number

@instruction(types.float32, floats)
def total(b, x):
    """The sum of the lanes, in pairs."""
    return simd.call(b, f'llvm.vector.reduce.fadd.v{LANES}f32', FLOAT, FLOAT(0.), x,
                     fastmath=('reassoc',))


@instruction(types.float32, floats)
def largest(b, x):
    """The largest lane; none may be NaN."""
    return simd.call(b, f'llvm.vector.reduce.fmax.v{LANES}f32', FLOAT, x, fastmath=('nnan',))
