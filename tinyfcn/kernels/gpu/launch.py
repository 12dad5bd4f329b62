"""The one door to the .cu files: a text is compiled once, its arguments are checked at each launch.

CuPy hands over whatever it is given; so a signature says of each array how many values it has,
in its integers, and launch() compares:

    extern "C" __global__ void relu_backward(const REAL* dy,    // count
                                             const REAL* y,     // count
                                             REAL* dx,          // count
                                             long long count)

REAL is float or double, as the arrays are. None stands for an array of no values.
"""
import re
from functools import cache
from numbers import Real
from operator import index
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent
BLOCKS = 1 << 16        # a grid has at most so many: each thread strides on until all is done

DTYPES = {type: tuple(map(np.dtype, dtypes)) for type, dtypes in {
    'int': ['int32'], 'long long': ['int64'], 'unsigned char': ['uint8', 'bool'],
    'float': ['float32'], 'double': ['float64']}.items()}
LIMITS = {'int': (-1 << 31, 1 << 31), 'long long': (-1 << 63, 1 << 63), 'unsigned char': (0, 256)}
_KERNEL = re.compile(r'^extern "C" __global__ void (\w+)\((.*?)\)\s*\{', re.S | re.M)
_PARAMETER = re.compile(r'(?:const )?(unsigned char|long long|int|double|REAL)\s*(\*?)\s*'
                        r'(?:__restrict__ )?(\w+)')


class Parameter(NamedTuple):
    """One of a kernel's arguments; its size, where it is an array, is an expression."""
    type: str
    name: str
    size: object = None


def launch(file, name, count, *args, block=256, blocks=None):
    """Kernel `name` of kernels/<file>.cu, on `count` threads in blocks of `block`.

    A kernel that works block by block says by blocks= how many there are.
    """
    import cupy
    path = f'{FOLDER}/{file}.cu'
    kernels = signatures(path)
    if name not in kernels:
        raise ValueError(f'{file}.cu has no kernel {name}; it has {", ".join(kernels)}')
    if len(args) != len(kernels[name]):
        raise TypeError(f'{name} takes {len(kernels[name])} arguments and was given {len(args)}: '
                        f'{", ".join(parameter.name for parameter in kernels[name])}')
    device, given = cupy.cuda.runtime.getDevice(), [*zip(kernels[name], args)]
    real = next((known for parameter, x in given if parameter.type == 'REAL' and parameter.size
                 for known in ('float', 'double') if getattr(x, 'dtype', None) in DTYPES[known]),
                'float')
    types = {**DTYPES, 'REAL': DTYPES[real]}
    numbers = {parameter.name: _number(name, parameter, value)
               for parameter, value in given if not parameter.size}
    ready = [_array(name, parameter, value, types, numbers, cupy.ndarray, device)
             if parameter.size else types[parameter.type][0].type(numbers[parameter.name])
             for parameter, value in given]
    if blocks is None:
        blocks = min(-(-count // block), BLOCKS)
    if blocks:
        _compiled(cupy, path, name, real, device)((blocks,), (block,), tuple(ready))


@cache
def signatures(path):
    """{kernel: its parameters} of a text."""
    return dict(read_signatures(Path(path).read_text('utf-8'), Path(path).name))


def read_signatures(text, where):
    """-> name, [Parameter] of each kernel; `where` names the text in a complaint"""
    for name, inside in _KERNEL.findall(text):
        parameters = []
        for line in inside.split('\n'):
            code, _, size = line.partition('//')
            for said in filter(None, map(str.strip, code.split(','))):
                known = _PARAMETER.fullmatch(said)
                if not known:
                    raise ValueError(f'{where}: {name} has an argument {said!r}; an argument is '
                                     f'one of {", ".join(DTYPES)}, REAL, or an array of them')
                type, star, argument = known.groups()
                if star and not size.strip():
                    raise ValueError(f'{where}: {name} does not say how many values {argument} '
                                     f'has: write it behind, as in  {said},  // n * c')
                parameters.append(Parameter(type, argument, star and compile(
                    size.strip(), f'{where}, {name}, {argument}', 'eval')))
        yield name, parameters


@cache
def _compiled(cupy, path, name, real, device):
    return _module(cupy, path, real, device).get_function(name)


@cache
def _module(cupy, path, real, device):
    path = Path(path)
    code = f'#define REAL {real}\n#line 1 "{path.name}"\n' + path.read_text('utf-8')
    return cupy.RawModule(code=code, options=('--std=c++17',))


def suited(*arrays):
    """Whether all are float32, or all float64, on the GPU, and an int counts their values."""
    dtype = arrays[0].dtype
    return dtype.char in 'fd' and all(
        x.dtype == dtype and 0 < x.size < 1 << 31 and type(x).__module__.split('.')[0] == 'cupy'
        for x in arrays)


def _number(kernel, parameter, value):
    """A number that the kernel can hold; CuPy would pass whatever came in eight bytes."""
    what, limits = f'{kernel}: {parameter.name}', LIMITS.get(parameter.type)
    if limits is None:
        if not isinstance(value, Real):
            raise TypeError(f'{what} is {_said(value)}; a number is needed')
        return value
    try:
        value = index(value)
    except TypeError:
        raise TypeError(f'{what} is {_said(value)}; a whole number is needed') from None
    if not limits[0] <= value < limits[1]:
        raise ValueError(f'{what} is {value}, which {parameter.type} cannot hold')
    return value


def _array(kernel, parameter, x, types, numbers, ndarray, device):
    what, size = f'{kernel}: {parameter.name}', eval(parameter.size, {}, numbers)
    if x is None and size == 0:
        return np.uintp(0)
    if not isinstance(x, ndarray):
        raise TypeError(f'{what} is {_said(x)}; an array on the GPU is needed')
    if x.dtype not in types[parameter.type]:
        raise TypeError(f'{what} is {x.dtype}; this kernel reads '
                        f'{" or ".join(map(str, types[parameter.type]))}')
    if x.size != size:
        raise ValueError(f'{what} has {x.size} values, {x.shape}; the kernel reads {size}')
    if not x.flags.c_contiguous:
        raise ValueError(f'{what} is not C-contiguous: cupy.ascontiguousarray makes it so')
    if x.device.id != device:
        raise ValueError(f'{what} is on GPU {x.device.id}; the kernel would run on GPU {device}')
    return x


def _said(value):
    return f'a {type(value).__module__}.{type(value).__name__}'
