"""Memory in a compiled loop: copy it, clear it, or access every so many bytes of it."""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import FLOAT, FLOATS, INT, LANES, SIZE, call, first_lanes, splat
from .vec import floats

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


@intrinsic
def load_strided(typing, address, stride, left):
    """LANES floats, each `stride` bytes behind the last; where fewer are left, zeros for others."""
    def emit(context, b, sig, args):
        address, stride, left = args
        return call(b, f'llvm.masked.gather.v{LANES}f32.v{LANES}p0', FLOATS,
                    _pointers(b, address, stride), INT(4), first_lanes(b, left),
                    ir.Constant(FLOATS, None))
    return floats(types.intp, types.intp, types.intp), emit


@intrinsic
def store_strided(typing, address, stride, left, vector):
    """Write the first `left` floats, each `stride` bytes behind the last."""
    def emit(context, b, sig, args):
        address, stride, left, vector = args
        call(b, f'llvm.masked.scatter.v{LANES}f32.v{LANES}p0', ir.VoidType(), vector,
             _pointers(b, address, stride), INT(4), first_lanes(b, left))
        return context.get_dummy_value()
    return types.void(types.intp, types.intp, types.intp, floats), emit


def _pointers(b, address, stride):
    """address, address + stride, … for each lane."""
    numbers = ir.Constant(ir.VectorType(SIZE, LANES), list(range(LANES)))
    addresses = b.add(splat(b, address), b.mul(numbers, splat(b, stride)))
    return b.inttoptr(addresses, ir.VectorType(FLOAT.as_pointer(), LANES))
