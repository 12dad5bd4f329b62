"""Vectors of floats, as the CPU has them: how wide, how many, and the instructions in LLVM's terms.

A vector register holds LANES floats, and one instruction computes with all of them: 16 with
AVX-512, 8 with AVX2, 4 on ARM. Numba does not know such registers, so the kernels that need them
are emitted instruction by instruction, as *intrinsics*: functions that a compiled loop may call,
whose body is written with an LLVM builder, `b` everywhere below. Addresses are integers.

The last vector of a row of channels is masked: lanes beyond the row neither read nor write memory.
"""
import platform
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic


def vector_unit(machine: str, features: set[str], is_other_cpu: bool) -> tuple[int, int]:
    """(floats in a register, registers); (0, 0) where there is no fused multiply-add.

    With NUMBA_CPU_NAME the code is for another CPU than this one: then AVX2 is all that is assumed.
    """
    if machine.lower() in ('arm64', 'aarch64'):
        return 4, 32
    if 'avx512f' in features and not is_other_cpu:
        return 16, 32
    if {'avx2', 'fma'} <= features:
        return 8, 16
    return 0, 0


def cpu_features() -> set[str]:
    """What the CPU that Numba compiles for can do, by LLVM's names."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(',') if name.startswith('+')}
    found = llvm.get_host_cpu_features()
    return {name for name, has in found.items() if has and (config.ENABLE_AVX or 'avx' not in name)}


LANES, REGISTERS = vector_unit(platform.machine(), cpu_features(),
                               config.CPU_NAME not in (None, llvm.get_host_cpu_name()))
if not LANES:
    raise ImportError('this CPU has no vector instructions that the compiled kernels could use')

FLOAT = ir.FloatType()
INT32 = ir.IntType(32)
INT64 = ir.IntType(64)
BYTES = ir.IntType(8).as_pointer()
VECTOR = ir.VectorType(FLOAT, LANES)
MASK = ir.VectorType(ir.IntType(1), LANES)
INDICES = ir.VectorType(INT32, LANES)
ADDRESS = types.uintp                           # Numba's type of an address
ZEROS = ir.Constant(VECTOR, None)


def call(b: ir.IRBuilder, name: str, result: ir.Type, *args: Any) -> Any:
    """Call an instruction that LLVM offers as a function, such as llvm.fma.v16f32."""
    function = get_or_insert_function(
        b.module, ir.FunctionType(result, [a.type for a in args]), name)
    return b.call(function, args)


def splat(b: ir.IRBuilder, value: Any) -> Any:
    """A vector with `value` in every lane."""
    undefined = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = b.insert_element(undefined, value, INT32(0))
    return b.shuffle_vector(first, undefined, ir.Constant(INDICES, None))


def first_lanes(b: ir.IRBuilder, count: Any) -> Any:
    """The mask of the first `count` lanes; of all where there are fewer."""
    numbers = ir.Constant(INDICES, list(range(LANES)))
    return b.icmp_signed('<', numbers, splat(b, b.trunc(count, INT32)))


def load(b: ir.IRBuilder, pointer: Any, mask: Any = None) -> Any:
    """LANES floats from memory; 0, and nothing is read, where the mask says no."""
    pointer = b.bitcast(pointer, VECTOR.as_pointer())
    if mask is not None:
        return call(b, f'llvm.masked.load.v{LANES}f32.p0', VECTOR, pointer, INT32(4), mask, ZEROS)
    vector = b.load(pointer)
    vector.align = 4
    return vector


def store(b: ir.IRBuilder, vector: Any, pointer: Any, mask: Any = None) -> None:
    """LANES floats to memory; nothing is written where the mask says no."""
    pointer = b.bitcast(pointer, VECTOR.as_pointer())
    if mask is not None:
        call(b, f'llvm.masked.store.v{LANES}f32.p0', ir.VoidType(), vector, pointer, INT32(4), mask)
    else:
        b.store(vector, pointer).align = 4


def multiply_add(b: ir.IRBuilder, x: Any, y: Any, z: Any) -> Any:
    """x · y + z, rounded once."""
    return call(b, f'llvm.fma.v{LANES}f32', VECTOR, x, y, z)


@intrinsic
def copy_lanes(typingctx, target, source, count):
    """target[:LANES] = source[:count], and zeros behind it."""
    def emit(context, b, signature, args):
        target, source = (b.inttoptr(a, FLOAT.as_pointer()) for a in args[:2])
        store(b, load(b, source, first_lanes(b, args[2])), target)
        return context.get_dummy_value()
    return types.void(ADDRESS, ADDRESS, types.intp), emit


@intrinsic
def copy_floats(typingctx, target, source, count):
    """target[:count] = source[:count]."""
    def emit(context, b, signature, args):
        target, source = (b.inttoptr(a, BYTES) for a in args[:2])
        call(b, 'llvm.memcpy.p0.p0.i64', ir.VoidType(), target, source, b.mul(args[2], INT64(4)),
             ir.IntType(1)(0))
        return context.get_dummy_value()
    return types.void(ADDRESS, ADDRESS, types.intp), emit


@intrinsic
def clear_floats(typingctx, target, count):
    """target[:count] = 0."""
    def emit(context, b, signature, args):
        call(b, 'llvm.memset.p0.i64', ir.VoidType(), b.inttoptr(args[0], BYTES), ir.IntType(8)(0),
             b.mul(args[1], INT64(4)), ir.IntType(1)(0))
        return context.get_dummy_value()
    return types.void(ADDRESS, types.intp), emit
