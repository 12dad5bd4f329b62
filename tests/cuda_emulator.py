"""The kernels of .cu files, compiled by g++ with cuda_emulator.cpp, to look for races.

    with use_emulator(): ...                            # inside, these kernels run here
    with emulate(order='reverse'): ...                  # the last thread first
    with emulate(sanitize='address'): ...               # in a process with the address sanitizer
    with emulate(sanitize='thread'): ...                # in a process with the thread sanitizer

Arrays are those of CuPy over the stand-in driver (fake_cuda/), whose device memory is the host's.

It finds wrong indices, bounds and types, barriers that some threads miss, and races. It knows
nothing of a GPU's rounding and speed. CuPy passes a Python int as eight bytes and a float as a
double; here that is an error where the kernel reads another width.
"""
import os
import re
import struct
import subprocess
from contextlib import contextmanager
from ctypes import CDLL, c_char, c_int, c_void_p
from functools import cache
from hashlib import sha1
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import pytest

from tinyfcn.kernels.gpu import launch, tape
from tinyfcn.kernels.gpu.launch import DTYPES, read_signatures
from tinyfcn.runtime.backend import is_cupy

FLAGS = {None: ['-shared', '-fPIC', '-O1'],
         'address': ['-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
         'thread': ['-g', '-O1', '-fsanitize=thread']}
RUNTIME = Path(__file__).with_name('cuda_emulator.cpp')
KERNELS_HERE = '// ---- the .cu file\n'         # where in RUNTIME the kernels are inserted
_settings = {'order': 'forward', 'sanitize': None}
launched = set()        # the names of the kernels that ran


@contextmanager
def use_emulator():
    """Inside, kernels of .cu files run here, those too that CuPy has compiled before."""
    import cupy
    with pytest.MonkeyPatch.context() as change:
        change.setattr(cupy, 'RawModule', RawModule)
        change.setattr(tape, 'enabled', False)          # a tape calls the driver itself
        change.setattr(launch, '_plans', {})
        for name in '_module', '_compiled':
            change.setattr(launch, name, cache(getattr(launch, name).__wrapped__))
        yield


@contextmanager
def emulate(order='forward', sanitize=None):
    """Set how kernels run inside: the order of threads, or a process with a sanitizer."""
    before = dict(_settings)
    _settings.update(order=order, sanitize=sanitize)
    try:
        yield
    finally:
        _settings.update(before)


def require_compiler():
    """The path of g++. Without it a test is skipped; in CI it fails."""
    if not which('g++'):
        assert not os.environ.get('CI'), 'g++ is not installed: make test-more installs it'
        pytest.skip('g++ is not installed: apt-get install g++')
    return which('g++')


class RawModule:
    """The kernels of one .cu file. Other arguments of CuPy's RawModule are accepted and ignored."""

    def __init__(self, code=None, *, options=(), **_):
        self.code = code
        real = re.search(r'#define REAL (\w+)', code)
        self.types = {**DTYPES, 'REAL': DTYPES[real[1] if real else 'float']}
        self.kernels = dict(read_signatures(code, 'the code'))

    def get_function(self, name):
        if name not in self.kernels:
            raise KeyError(f'the code has no kernel {name}')
        return lambda grid, block, args, shared_mem=0: self.run(name, grid, block, args)

    def run(self, name, grid, block, args):
        if len(grid) != 1 or len(block) != 1:
            raise ValueError(
                f'{name}: a grid of {grid} and a block of {block}; one number each is needed')
        values = [to_numpy(x) for x in args]
        if len(values) != len(self.kernels[name]):
            raise TypeError(f'{name}: {len(values)} arguments of {len(self.kernels[name])}')
        for parameter, value in zip(self.kernels[name], values):
            if is_null(value) and parameter.size:
                continue
            if (value.dtype not in self.types[parameter.type]
                    or bool(value.ndim) != bool(parameter.size)):
                raise TypeError(f'{name}: {parameter.name} is {value.dtype}, {value.ndim} axes; '
                                f'the kernel reads {parameter.type}{"*" * bool(parameter.size)}')
            if value.ndim and not value.flags.c_contiguous:
                raise ValueError(f'{name}: {parameter.name} is not contiguous')
        launched.add(name)
        if _settings['sanitize']:
            run_program(self.code, name, grid[0], block[0], values, _settings['sanitize'])
        else:
            self.run_in_process(name, grid[0], block[0], values)

    def run_in_process(self, name, blocks, block, values):
        # a kernel is called with an array of pointers, one to each argument
        arguments = [np.array([value.ctypes.data], 'uintp') if value.ndim else value.reshape(1)
                     for value in values]
        pointers = (c_void_p * len(values))()
        for i, argument in enumerate(arguments):
            pointers[i] = argument.ctypes.data
        reverse = c_int(_settings['order'] == 'reverse')
        stuck = load_library(self.code).run(name.encode(), c_int(blocks), c_int(block), reverse,
                                            pointers)
        if stuck:
            raise RuntimeError(f'{name}: some threads of a block wait at a barrier that others '
                               f'never reach')


def to_numpy(x):
    """An array of CuPy as one of NumPy in the same memory; a number as CUDA would pass it."""
    if not is_cupy(x):
        return np.asarray(x)
    memory = (c_char * x.nbytes).from_address(x.data.ptr)
    return np.ndarray(x.shape or 1, x.dtype, memory, strides=x.strides or None)


def is_null(value):
    """Whether this is a null pointer: the number 0, as wide as an address."""
    return value.ndim == 0 and value.dtype == 'uintp' and value == 0


# ---- Compiling, once for each file

def make_source(code):
    """The emulator, the kernels, and a table of the kernels by name."""
    calls = []
    rows = []
    for name, parameters in read_signatures(code, 'the code'):
        arguments = ', '.join(f'*({p.type}{"*" * bool(p.size)}*)a[{i}]'
                              for i, p in enumerate(parameters))
        flags = ''.join('p' if p.size else 'v' for p in parameters)
        calls.append(f'static void call_{name}(void** a) {{ {name}({arguments}); }}')
        rows.append(f'{{"{name}", call_{name}, "{flags}"}}')
    barrier = '#define HAS_BARRIER\n' if '__syncthreads' in code else ''
    before, after = RUNTIME.read_text('utf-8').split(KERNELS_HERE)
    return '\n'.join([barrier + before, code, *calls, 'static const Kernel kernels[] = {',
                      ',\n'.join(rows), '};', after])


@cache
def build(code, sanitize):
    """The path of the library, or of the program with a sanitizer; kept between test runs."""
    source = make_source(code)
    command = [require_compiler(), '-std=c++17', '-w', '-pthread', *FLAGS[sanitize]]
    if sanitize:
        command.append('-DPROGRAM')
    folder = Path(gettempdir()) / f'tinyfcn-host-cuda-{os.getuid()}'
    folder.mkdir(exist_ok=True)
    path = folder / sha1(repr((command, source)).encode()).hexdigest()
    if not path.exists():
        with TemporaryDirectory(dir=folder) as work:
            (Path(work) / 'kernels.cpp').write_text(source, 'utf-8')
            done = subprocess.run([*command, '-o', f'{work}/out', f'{work}/kernels.cpp'],
                                  capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f'g++ does not compile the code:\n{done.stderr[:2000]}')
            os.replace(f'{work}/out', path)
    return path


@cache
def load_library(code):
    return CDLL(str(build(code, None)))


# ---- Running with a sanitizer

def run_program(code, name, blocks, block, values, sanitize):
    """Run in a process of its own, which reads the arrays from a file and writes them back."""
    path = build(code, sanitize)
    with TemporaryDirectory() as folder:
        file = Path(folder) / 'arguments'
        with file.open('wb') as out:
            for value in values:
                data = b'' if is_null(value) else value.tobytes()
                out.write(struct.pack('q', len(data)) + data)
        command = [*fixed_addresses(), str(path), name, str(blocks), str(block), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60,
                              env={**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'})
        if done.returncode:
            raise RuntimeError(f'{name}, {sanitize}: {done.stderr[:3000] or done.returncode}')
        data = file.read_bytes()
    for value in values:
        if value.ndim:
            value.reshape(-1)[:] = np.frombuffer(data, value.dtype, value.size)
            data = data[value.nbytes:]


@cache
def fixed_addresses():
    """A command prefix that turns off address randomisation, for g++ 12's thread sanitizer."""
    command = ['setarch', '-R']
    if not which('setarch'):
        return []
    works = subprocess.run([*command, 'true'], capture_output=True).returncode == 0
    return command if works else []
