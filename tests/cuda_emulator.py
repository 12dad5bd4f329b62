"""cupy.RawModule on the host: the very text of a .cu file, compiled by g++ with a shim.

    kernel = RawModule(code='#define REAL float\n' + text).get_function('relu_backward')
    kernel((blocks,), (threads,), (dy, y, dx, np.int64(dy.size)))       # arrays, written in place
    with running(order='reverse'): ...                  # the last thread first
    with running(sanitize='address'): ...               # as a program of its own
    with running(sanitize='thread'): ...

A green run does not mean that a GPU computes the same: this sees indices, bounds, types, barriers
and races, and neither a GPU's rounding nor its speed. As in CUDA a Python int is passed as eight
bytes, and a float as a double; here that is refused where the kernel reads another width.
"""
import os
import re
import struct
import subprocess
from contextlib import contextmanager
from ctypes import CDLL, c_int, c_void_p
from functools import cache
from hashlib import sha1
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import pytest

from tinyfcn.kernels.gpu.launch import DTYPES, read_signatures

FLAGS = {None: ['-shared', '-fPIC', '-O1'],
         'address': ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
         'thread': ['-g', '-O1', '-fsanitize=thread']}
SHIM = Path(__file__).with_name('cuda_emulator.cpp')
_how = {'order': 'forward', 'sanitize': None}
launched = set()        # the names of the kernels that ran


@contextmanager
def running(order='forward', sanitize=None):
    """How kernels run inside: in which order, or as a program under a sanitizer."""
    before = dict(_how)
    _how.update(order=order, sanitize=sanitize)
    try:
        yield
    finally:
        _how.update(before)


def compiler():
    """The path of g++; where there is none, in CI a failure, else a skip that says so."""
    if not which('g++'):
        assert not os.environ.get('CI'), 'g++ is not here: make test-more installs it'
        pytest.skip('g++ is not here: apt-get install g++')
    return which('g++')


class RawModule:
    """One text. What CuPy takes besides, it takes too."""

    def __init__(self, code=None, *, options=(), **_):
        self.code = code
        real = re.search(r'#define REAL (\w+)', code)
        self.types = {**DTYPES, 'REAL': DTYPES[real[1] if real else 'float']}
        self.kernels = dict(read_signatures(code, 'the text'))

    def get_function(self, name):
        if name not in self.kernels:
            raise KeyError(f'the text has no kernel {name}')
        return lambda grid, block, args, shared_mem=0: self.run(name, grid, block, args)

    def run(self, name, grid, block, args):
        if len(grid) != 1 or len(block) != 1:
            raise ValueError(f'{name}: a grid of {grid} and a block of {block}; one number each')
        values = [host(x) for x in args]
        if len(values) != len(self.kernels[name]):
            raise TypeError(f'{name}: {len(values)} arguments of {len(self.kernels[name])}')
        for parameter, value in zip(self.kernels[name], values):
            if null(value) and parameter.size:
                continue
            if value.dtype not in self.types[parameter.type] \
                    or bool(value.ndim) != bool(parameter.size):
                raise TypeError(f'{name}: {parameter.name} is {value.dtype}, {value.ndim} axes; '
                                f'the kernel reads {parameter.type}{"*" * bool(parameter.size)}')
            if value.ndim and not value.flags.c_contiguous:
                raise ValueError(f'{name}: {parameter.name} is not contiguous')
        launched.add(name)
        if _how['sanitize']:
            return program(self.code, name, grid[0], block[0], values, _how['sanitize'])
        own = library(self.code)
        pointers = (c_void_p * len(values))()
        held = [np.array([value.ctypes.data], 'uintp') if value.ndim else value.reshape(1)
                for value in values]
        for i, value in enumerate(held):
            pointers[i] = value.ctypes.data
        if own.run(name.encode(), c_int(grid[0]), c_int(block[0]),
                   c_int(_how['order'] == 'reverse'), pointers):
            raise RuntimeError(f'{name}: some threads of a block wait at a barrier that others '
                               f'never reach')


def host(x):
    """The NumPy array behind a device array; a number as CUDA would pass it."""
    x = getattr(x, '_host', x)
    if isinstance(x, np.ndarray):
        return x if x.ndim else x.reshape(1)
    return np.asarray(x)


def null(value):
    """A pointer to nothing is passed as the number 0, as wide as an address."""
    return value.ndim == 0 and value.dtype == 'uintp' and value == 0


# ---- Compiling, once for each text

def source(code):
    """The shim, the text, and a table of its kernels by name."""
    calls, rows = [], []
    for name, parameters in read_signatures(code, 'the text'):
        given = ', '.join(f'*({p.type}{"*" * bool(p.size)}*)a[{i}]'
                          for i, p in enumerate(parameters))
        flags = ''.join('p' if p.size else 'v' for p in parameters)
        calls.append(f'static void call_{name}(void** a) {{ {name}({given}); }}')
        rows.append(f'{{"{name}", call_{name}, "{flags}"}}')
    barrier = '#define HAS_BARRIER\n' * ('__syncthreads' in code)
    shim, runner = SHIM.read_text('utf-8').split('// ---- the text\n')
    return '\n'.join([barrier + shim, code, *calls, 'static const Kernel kernels[] = {',
                      ',\n'.join(rows), '};', runner])


@cache
def built(code, sanitize):
    """The path of the library, or of the program with a sanitizer; kept between runs."""
    text, gxx = source(code), compiler()
    flags = [gxx, '-std=c++17', '-w', '-pthread', *FLAGS[sanitize]]
    if sanitize:
        flags.append('-DPROGRAM')
    folder = Path(gettempdir()) / f'tinyfcn-host-cuda-{os.getuid()}'
    folder.mkdir(exist_ok=True)
    path = folder / sha1(repr((flags, text)).encode()).hexdigest()
    if not path.exists():
        with TemporaryDirectory(dir=folder) as own:
            (Path(own) / 'text.cpp').write_text(text, 'utf-8')
            done = subprocess.run([*flags, '-o', f'{own}/out', f'{own}/text.cpp'],
                                  capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f'g++ refuses the text:\n{done.stderr[:2000]}')
            os.replace(f'{own}/out', path)
    return path


@cache
def library(code):
    return CDLL(str(built(code, None)))


# ---- Running as a program of its own: its arrays come from a file, and go back into it

def program(code, name, blocks, block, values, sanitize):
    path = built(code, sanitize)
    with TemporaryDirectory() as folder:
        file = Path(folder) / 'arguments'
        with file.open('wb') as out:
            for value in values:
                data = b'' if null(value) else value.tobytes()
                out.write(struct.pack('q', len(data)) + data)
        done = subprocess.run([*steady(), str(path), name, str(blocks), str(block), str(file)],
                              capture_output=True, text=True, timeout=60,
                              env={**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'})
        if done.returncode:
            raise RuntimeError(f'{name}, {sanitize}: {done.stderr[:3000] or done.returncode}')
        data = file.read_bytes()
    for value in values:
        if value.ndim:
            value.reshape(-1)[:] = np.frombuffer(data, value.dtype, value.size)
            data = data[value.nbytes:]


@cache
def steady():
    """The thread sanitizer of g++ 12 needs addresses that are not drawn by chance."""
    command = ['setarch', '-R']
    fine = which('setarch') and subprocess.run([*command, 'true'], capture_output=True)
    return command if fine and fine.returncode == 0 else []
