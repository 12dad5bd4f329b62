"""Vectors of LANES floats in LLVM's language, and the decorator that compiles a loop.

A core multiplies LANES floats in one instruction. Whether a compiler finds that in a plain loop is
left to luck; here the instructions are written out. The functions take an LLVM builder `b` and emit
one instruction each. `vec.py` makes a Numba type of them, `tile.py` the product of a convolution.
"""
from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit
from numba.core import config
from numba.core.cgutils import get_or_insert_function

F = TypeVar('F', bound=Callable[..., Any])


def _lanes() -> int:
    """Floats in a register: 16 with AVX-512, 8 with AVX2, 4 on ARM.

    NUMBA_CPU_NAME, with which a machine compiles for another one, is asked first.
    """
    features = llvm.get_host_cpu_features()
    name = config.CPU_NAME or llvm.get_host_cpu_name()
    if features.get('avx512f') and name == llvm.get_host_cpu_name():
        return 16
    return 8 if features.get('avx2') else 4


LANES = _lanes()
FLOAT = ir.FloatType()
INT = ir.IntType(32)
SIZE = ir.IntType(64)                           # addresses and counts
FLOATS = ir.VectorType(FLOAT, LANES)
INTS = ir.VectorType(INT, LANES)
BITS = ir.VectorType(ir.IntType(1), LANES)      # a yes or no for each lane


def compiled(function: F) -> F:
    """Compile on the first call, without the interpreter's lock; keep the code for later runs."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:                        # no folder can be written
        return njit(nogil=True)(function)


def splat(b, scalar):
    """The scalar in every lane."""
    empty = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    return b.shuffle_vector(b.insert_element(empty, scalar, INT(0)), empty, ir.Constant(INTS, None))


def first_lanes(b, count):
    """Yes for the first `count` lanes; `count` is of SIZE, and may be negative or above LANES."""
    at_most = b.select(b.icmp_signed('<', count, SIZE(LANES)), count, SIZE(LANES))
    numbers = ir.Constant(INTS, list(range(LANES)))
    return b.icmp_signed('<', numbers, splat(b, b.trunc(at_most, INT)))


def load(b, pointer, mask=None):
    """LANES floats from memory; with a mask the others are 0, and their memory is not touched."""
    pointer = b.bitcast(pointer, FLOATS.as_pointer())
    if mask is None:
        value = b.load(pointer)
        value.align = 4
        return value
    return call(b, f'llvm.masked.load.v{LANES}f32.p0', FLOATS, pointer, INT(4), mask,
                ir.Constant(FLOATS, None))


def store(b, vector, pointer, mask=None):
    """Write LANES floats, or ints; with a mask the memory of the others is not touched."""
    pointer = b.bitcast(pointer, vector.type.as_pointer())
    if mask is None:
        b.store(vector, pointer).align = 4
    else:
        kind = 'f32' if vector.type == FLOATS else 'i32'
        call(b, f'llvm.masked.store.v{LANES}{kind}.p0', ir.VoidType(), vector, pointer, INT(4),
             mask)


def call(b, name, result, *args, **flags):
    """Call a function of LLVM, such as llvm.fma.v16f32."""
    signature = ir.FunctionType(result, [arg.type for arg in args])
    return b.call(get_or_insert_function(b.module, signature, name), args, **flags)
