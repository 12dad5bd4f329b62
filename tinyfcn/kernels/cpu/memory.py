"""Copy or clear memory, in a compiled loop: memcpy and memset."""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import SIZE, call

BYTE = ir.IntType(8)
NOT_VOLATILE = ir.Constant(ir.IntType(1), 0)
FLOAT_BYTES = SIZE(4)


@intrinsic
def copy_floats(typing, target, source, count):
    """target[:count] = source[:count], both addresses."""
    def emit(context, b, sig, args):
        target, source = (b.inttoptr(address, BYTE.as_pointer()) for address in args[:2])
        call(b, 'llvm.memcpy.p0.p0.i64', ir.VoidType(), target, source,
             b.mul(args[2], FLOAT_BYTES), NOT_VOLATILE)
        return context.get_dummy_value()
    return types.void(types.intp, types.intp, types.intp), emit


@intrinsic
def clear_floats(typing, target, count):
    """target[:count] = 0, an address."""
    def emit(context, b, sig, args):
        target, count = args
        call(b, 'llvm.memset.p0.i64', ir.VoidType(), b.inttoptr(target, BYTE.as_pointer()),
             BYTE(0), b.mul(count, FLOAT_BYTES), NOT_VOLATILE)
        return context.get_dummy_value()
    return types.void(types.intp, types.intp), emit
