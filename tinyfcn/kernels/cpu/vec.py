"""A Numba type for LANES floats, so that a loop over channels says what it computes.

    for c in range(0, x.channels, LANES):
        value = load(pixel(x, n, i, j, c), x.channels - c)
        store(pixel(y, n, i, j, c), x.channels - c, where(value < full(ZERO), full(ZERO), value))

`load` and `store` touch the first `left` floats only, so any number of channels is computed alike,
and nothing beyond an array is read or written. Vectors have + − · /, and comparisons, which give a
yes or no for each lane; `where` chooses by them.
"""
import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

from . import simd
from .jit import compiled
from .simd import BITS, FLOAT, FLOATS, INTS, LANES

ZERO = np.float32(0)
ONE = np.float32(1)
LOWEST = np.float32(-np.inf)


# ---- The types

class Vector(types.Type):
    """LANES floats, or a yes or no for each."""


floats = Vector('floats')
bits = Vector('bits')


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, FLOATS if numba_type == floats else BITS)


def _operator(symbol, operand, result, emit):
    """Give a Python operator its meaning for two vectors."""
    @infer_global(symbol)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            return signature(result, *args) if args == (operand, operand) else None
    lower_builtin(symbol, operand, operand)(lambda context, b, sig, args: emit(b, *args))


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


@intrinsic
def load(typing, address, left):
    """LANES floats; where fewer are left, zeros in place of the others."""
    def emit(context, b, sig, args):
        address, left = args
        return simd.load(b, _at(b, address), simd.first_lanes(b, left))
    return floats(types.intp, types.intp), emit


@intrinsic
def store(typing, address, left, vector):
    """Write the first `left` floats."""
    def emit(context, b, sig, args):
        address, left, vector = args
        simd.store(b, vector, _at(b, address), simd.first_lanes(b, left))
        return context.get_dummy_value()
    return types.void(types.intp, types.intp, floats), emit


@intrinsic
def store_int(typing, address, left, vector):
    """Write the first `left` floats, which are whole numbers, as int32."""
    def emit(context, b, sig, args):
        address, left, vector = args
        simd.store(b, b.fptosi(vector, INTS), _at(b, address), simd.first_lanes(b, left))
        return context.get_dummy_value()
    return types.void(types.intp, types.intp, floats), emit


@intrinsic
def read(typing, address):
    """One float."""
    def emit(context, b, sig, args):
        return b.load(_at(b, *args))
    return types.float32(types.intp), emit


@intrinsic
def write(typing, address, value):
    """One float."""
    def emit(context, b, sig, args):
        address, value = args
        b.store(value, _at(b, address))
        return context.get_dummy_value()
    return types.void(types.intp, types.float32), emit


# ---- Lane by lane

@intrinsic
def full(typing, value):
    """The number in every lane."""
    return floats(types.float32), lambda context, b, sig, args: simd.splat(b, args[0])


@intrinsic
def first(typing, left):
    """Yes for the first `left` lanes."""
    return bits(types.intp), lambda context, b, sig, args: simd.first_lanes(b, args[0])


@intrinsic
def where(typing, condition, x, y):
    """x where the condition holds, else y."""
    return floats(bits, floats, floats), lambda context, b, sig, args: b.select(*args)


@intrinsic
def is_nan(typing, x):
    """Yes where x is not a number."""
    return bits(floats), lambda context, b, sig, args: b.fcmp_unordered('uno', args[0], args[0])


@intrinsic
def is_number(typing, x):
    """Yes where x is not NaN."""
    return bits(floats), lambda context, b, sig, args: b.fcmp_ordered('ord', args[0], args[0])


@intrinsic
def sqrt(typing, x):
    """√x."""
    def emit(context, b, sig, args):
        return simd.call(b, f'llvm.sqrt.v{LANES}f32', FLOATS, *args)
    return floats(floats), emit


@intrinsic
def power_of_two(typing, shifted):
    """2ⁿ, given n + 1.5·2²³.

    A float as large has no place for a fraction, and the last bits of it are n.
    """
    def emit(context, b, sig, args):
        n = b.bitcast(args[0], INTS)
        exponent = b.add(n, ir.Constant(INTS, [127] * LANES))
        return b.bitcast(b.shl(exponent, ir.Constant(INTS, [23] * LANES)), FLOATS)
    return floats(floats), emit


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
    shifted = x * full(LOG2_E) + full(SHIFT)
    n = shifted - full(SHIFT)
    r = x - n * full(LN_2_HIGH) - n * full(LN_2_LOW)
    p = full(np.float32(1.9875691500e-4)) * r + full(np.float32(1.3981999507e-3))
    p = p * r + full(np.float32(8.3334519073e-3))
    p = p * r + full(np.float32(4.1665795894e-2))
    p = p * r + full(np.float32(1.6666665459e-1))
    p = p * r + full(np.float32(5.0000001201e-1))
    power = (p * r * r + r + full(ONE)) * power_of_two(shifted)
    return where(x < full(SMALLEST), full(ZERO), power)


# ---- All lanes to one number

@intrinsic
def total(typing, x):
    """The sum of the lanes, in pairs."""
    def emit(context, b, sig, args):
        return simd.call(b, f'llvm.vector.reduce.fadd.v{LANES}f32', FLOAT, FLOAT(0.), *args,
                         fastmath=('reassoc',))
    return types.float32(floats), emit


@intrinsic
def largest(typing, x):
    """The largest lane; none may be NaN."""
    def emit(context, b, sig, args):
        return simd.call(b, f'llvm.vector.reduce.fmax.v{LANES}f32', FLOAT, *args,
                         fastmath=('nnan',))
    return types.float32(floats), emit
