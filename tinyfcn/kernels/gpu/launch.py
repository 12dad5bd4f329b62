"""Compile a .cu file once, check the arguments of every launch, launch.

CuPy passes on whatever it is given, and a kernel that reads beyond an array computes nonsense or
stops the process. So a signature says how many values each array has, as an expression of its
integers, and launch() compares:

    extern "C" __global__ void relu_backward(const REAL* dy,    // count
                                             const REAL* y,     // count
                                             REAL* dx,          // count
                                             long long count)

REAL is float or double, as the arrays are. None may be passed for an array of no values. What
follows from the integers alone, such as these sizes, is worked out once and kept as a Plan.
"""
import re
from functools import cache
from numbers import Real
from operator import index, itemgetter
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from ...runtime.backend import is_cupy
from .tape import note_launch

FOLDER = Path(__file__).parent
MAX_BLOCKS = 1 << 16    # of a grid: each thread goes on in strides until everything is computed
MAX_PLANS = 1 << 14     # launches that are remembered, for each size of image some hundred

# the types of a signature, and which arrays and numbers each may be given
DTYPES = {name: tuple(map(np.dtype, dtypes)) for name, dtypes in {
    'int': ['int32'], 'long long': ['int64'], 'unsigned char': ['uint8', 'bool'],
    'float': ['float32'], 'double': ['float64']}.items()}
LIMITS = {'int': (-1 << 31, 1 << 31), 'long long': (-1 << 63, 1 << 63), 'unsigned char': (0, 256)}
_KERNEL = re.compile(r'^extern "C" __global__ void (\w+)\((.*?)\)\s*\{', re.S | re.M)
_PARAMETER = re.compile(rf'(const )?({"|".join(DTYPES)}|REAL)\s*(\*?)\s*'
                        r'(?:__restrict__ )?(\w+)')


class Parameter(NamedTuple):
    """One argument of a kernel."""

    type: str
    name: str
    size: CodeType | None = None        # of an array: an expression of the integers
    is_written: bool = False            # whether it is an array that is not const


class Plan(NamedTuple):
    """A launch with given integers and a given REAL, checked, but for its arrays and floats."""

    kernel: Any         # of CuPy; None where there is nothing to compute
    blocks: int
    arguments: list     # of the types that CUDA passes on; None in place of an array or a float
    arrays: list        # (index, dtypes, size)
    floats: list        # (index, type)


_plans: dict[tuple, Plan] = {}          # by all that a plan depends on


def launch(file, name, count, *args, block=256, blocks=None):
    """Run kernel `name` of <file>.cu on `count` threads, in blocks of `block` threads.

    For a kernel that works block by block, blocks= is their number, and `count` plays no part.
    """
    import cupy
    path = f'{FOLDER}/{file}.cu'
    parameters, integers_of = _signature(path, name)
    if len(args) != len(parameters):
        raise TypeError(f'{name} takes {len(parameters)} arguments and was given {len(args)}: '
                        f'{", ".join(parameter.name for parameter in parameters)}')

    device = cupy.cuda.runtime.getDevice()
    real = _real_type(parameters, args)
    key = path, name, real, device, count, block, blocks, integers_of(args)
    plan = _plans.get(key)
    if plan is None:
        if len(_plans) >= MAX_PLANS:
            _plans.clear()
        plan = _plans[key] = _make_plan(cupy, *key[:-1], parameters, args)

    arguments = plan.arguments.copy()
    for i, dtypes, size in plan.arrays:
        arguments[i] = _check_array(name, parameters[i], args[i], dtypes, size, cupy.ndarray,
                                    device)
    for i, float_type in plan.floats:
        arguments[i] = float_type(_check_number(name, parameters[i], args[i]))
    if plan.kernel:
        plan.kernel((plan.blocks,), (block,), tuple(arguments))
        note_launch(plan.kernel, plan.blocks, block, parameters, arguments)


def _make_plan(cupy, path, name, real, device, count, block, blocks, parameters, args):
    """Check the integers of a launch, and evaluate the sizes of its arrays."""
    types = {**DTYPES, 'REAL': DTYPES[real]}
    integers = {parameter.name: _check_number(name, parameter, value)
                for parameter, value in zip(parameters, args) if _is_integer(parameter)}
    arguments = [None] * len(parameters)
    arrays = []
    floats = []
    for i, parameter in enumerate(parameters):
        dtypes = types[parameter.type]
        if parameter.size:              # an expression of our own .cu file
            arrays.append((i, dtypes, eval(parameter.size, {}, integers)))
        elif parameter.name in integers:
            # of the very type: CuPy passes a Python int as eight bytes
            arguments[i] = dtypes[0].type(integers[parameter.name])
        else:
            floats.append((i, dtypes[0].type))
    if blocks is None:
        blocks = min(-(-count // block), MAX_BLOCKS)
    kernel = _compiled(cupy, path, name, real, device) if blocks else None
    return Plan(kernel, blocks, arguments, arrays, floats)


def _real_type(parameters, args):
    """'float' or 'double', as the first REAL array is."""
    for parameter, x in zip(parameters, args):
        if parameter.type == 'REAL' and parameter.size:
            for name in ('float', 'double'):
                # None equals float64: it is NumPy's default
                if hasattr(x, 'dtype') and x.dtype in DTYPES[name]:
                    return name
    return 'float'


@cache
def _signature(path, name):
    """-> the parameters of a kernel, and a function that picks the integers from its arguments"""
    kernels = signatures(path)
    if name not in kernels:
        raise ValueError(f'{Path(path).name} has no kernel {name}; it has {", ".join(kernels)}')
    parameters = kernels[name]
    places = [i for i, parameter in enumerate(parameters) if _is_integer(parameter)]
    return parameters, itemgetter(*places) if places else lambda args: ()


def _is_integer(parameter):
    return parameter.type in LIMITS and not parameter.size


@cache
def signatures(path):
    """{kernel: its parameters} of a .cu file."""
    return dict(read_signatures(Path(path).read_text('utf-8'), Path(path).name))


def read_signatures(text, file):
    """-> name, [Parameter] of each kernel in `text`; errors name the file."""
    for name, inside in _KERNEL.findall(text):
        parameters = []
        for line in inside.split('\n'):
            code, _, size = line.partition('//')
            for declaration in filter(None, map(str.strip, code.split(','))):
                parameters.append(_read_parameter(file, name, declaration, size.strip()))
        yield name, parameters


def _read_parameter(file, kernel, declaration, size):
    """'const REAL* x' and 'n * c', the comment behind it -> Parameter."""
    match = _PARAMETER.fullmatch(declaration)
    if not match:
        raise ValueError(f'{file}: {kernel} has an argument {declaration!r}; an argument is '
                         f'one of {", ".join(DTYPES)}, REAL, or an array of them')
    const, type, star, name = match.groups()
    if not star:
        return Parameter(type, name)
    if not size:
        raise ValueError(f'{file}: {kernel} does not say how many values {name} has: add a '
                         f'comment with the number, such as  {declaration},  // n * c')
    code = compile(size, f'{file}, {kernel}, {name}', 'eval')
    return Parameter(type, name, code, is_written=not const)


@cache
def _compiled(cupy, path, name, real, device):
    return _module(cupy, path, real, device).get_function(name)


@cache
def _module(cupy, path, real, device):
    path = Path(path)
    code = f'#define REAL {real}\n#line 1 "{path.name}"\n' + path.read_text('utf-8')
    return cupy.RawModule(code=code, options=('--std=c++17',))


def are_gpu_floats(*arrays):
    """Whether all are float32, or all float64, on the GPU, not empty, and indexed by an int."""
    dtype = arrays[0].dtype
    return dtype.char in 'fd' and all(
        x.dtype == dtype and 0 < x.size < 1 << 31 and is_cupy(x) for x in arrays)


def _check_number(kernel, parameter, value):
    """The number, if its type can hold it; CuPy would pass whatever it is as eight bytes."""
    argument = f'{kernel}: {parameter.name}'
    limits = LIMITS.get(parameter.type)
    if limits is None:
        if not isinstance(value, Real):
            raise TypeError(f'{argument} is {_type_name(value)}; a number is needed')
        return value
    try:
        value = index(value)
    except TypeError:
        raise TypeError(f'{argument} is {_type_name(value)}; a whole number is needed') from None
    if not limits[0] <= value < limits[1]:
        raise ValueError(f'{argument} is {value}, which {parameter.type} cannot hold')
    return value


def _check_array(kernel, parameter, x, dtypes, size, ndarray, device):
    """The array, if the kernel can read it; for None a null pointer."""
    argument = f'{kernel}: {parameter.name}'
    if x is None and size == 0:
        return np.uintp(0)
    if not isinstance(x, ndarray):
        raise TypeError(f'{argument} is {_type_name(x)}; an array on the GPU is needed')
    if x.dtype not in dtypes:
        raise TypeError(f'{argument} is {x.dtype}; this kernel reads '
                        f'{" or ".join(map(str, dtypes))}')
    if x.size != size:
        raise ValueError(f'{argument} has {x.size} values, {x.shape}; the kernel reads {size}')
    if not x.flags.c_contiguous:
        raise ValueError(f'{argument} is not C-contiguous: cupy.ascontiguousarray makes it so')
    if x.device.id != device:
        raise ValueError(
            f'{argument} is on GPU {x.device.id}; the kernel would run on GPU {device}')
    return x


def _type_name(value):
    return f'a {type(value).__module__}.{type(value).__name__}'
