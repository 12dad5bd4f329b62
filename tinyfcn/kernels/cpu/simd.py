"""Vectors of LANES floats in LLVM's language.

A core multiplies LANES floats in one instruction. Whether a compiler finds that in a plain loop is
left to luck; here the instructions are written out. The functions take an LLVM builder `b` and emit
one instruction each. `vec.py` makes a Numba type of them, `tile.py` the product of a convolution.
"""
import platform

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import config
from numba.core.cgutils import get_or_insert_function

from .jit import compiled as compiled


def vector_unit(machine: str, features: set[str], is_other_cpu: bool) -> tuple[int, int]:
    """(floats in a register, registers); (0, 0) without a fused multiply-add.

    16 floats with AVX-512, 8 with AVX2, 4 on ARM. With NUMBA_CPU_NAME a machine compiles for
    another one, which is taken to have AVX2.
    """
    if machine.lower() in ('arm64', 'aarch64'):
        return 4, 32
    if 'avx512f' in features and not is_other_cpu:
        return 16, 32
    return (8, 16) if {'avx2', 'fma'} <= features else (0, 0)


def cpu_features() -> set[str]:
    """What the CPU can do, by LLVM's names."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(',') if name.startswith('+')}
    features = llvm.get_host_cpu_features()
    return {name for name, has in features.items() if has and (config.ENABLE_AVX
                                                               or not name.startswith('avx'))}


LANES, REGISTERS = vector_unit(platform.machine(), cpu_features(),
                               config.CPU_NAME not in (None, llvm.get_host_cpu_name()))
if not LANES:
    raise ImportError('this CPU has no vector instructions that the compiled kernels could use')

FLOAT = ir.FloatType()
INT = ir.IntType(32)
SIZE = ir.IntType(64)                           # addresses and counts
FLOATS = ir.VectorType(FLOAT, LANES)
INTS = ir.VectorType(INT, LANES)
BITS = ir.VectorType(ir.IntType(1), LANES)      # a yes or no for each lane


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
