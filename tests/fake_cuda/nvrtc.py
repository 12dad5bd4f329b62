"""In place of NVRTC: kernels, CuPy's own and ours, compiled by g++ and kept between test runs."""
import ctypes
import os
import re
import subprocess
from functools import cache
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory

from .build import cache_folder

INCLUDE = Path(__file__).parent / 'include'
CXX = 'g++', '-std=c++17', '-O1', '-w', '-fPIC', '-fpermissive'
LINK = '-shared', '-nostdlib', '-Wl,-Bsymbolic'
WAITS = '__syncthreads', '__syncwarp', '__shfl'
AFTER = '''
extern "C" char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));
extern "C" void cuda_shared(char** start, size_t* bytes)
{{
    *start = __start_shared_memory;
    *bytes = __stop_shared_memory - __start_shared_memory;
}}
extern "C" const int cuda_has_barrier = {has_barrier};
{calls}
'''
_Compile = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p,
                            ctypes.c_char_p)


def register(library):
    """Make the stand-in's libnvrtc compile by compile_kernels. -> what must be kept alive"""
    @_Compile
    def compile(program, source, options, expressions):
        path, log = compile_kernels(*(text.decode() for text in (source, options, expressions)))
        image = f'HOST:{path}' if path else ''
        library.fake_nvrtc_result(ctypes.c_void_p(program), image.encode(), log.encode())
        return path is not None

    library.fake_nvrtc_compiler(compile)
    return compile


def compile_kernels(source, options, expressions):
    """-> the path of the library, or None; the messages of g++"""
    flags = [option for option in options.splitlines() if option.startswith(('-D', '-I'))]
    text = make_source(source, expressions.splitlines(), flags)
    includes = [flag for flag in flags if flag.startswith('-I') and '/cupy/' in flag]
    header = precompiled_header(tuple(includes))
    path = cache_folder() / 'kernels' / f'{sha1((str(header) + text).encode()).hexdigest()}.so'
    if path.exists():
        return path, ''
    path.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=cache_folder()) as work:
        file = Path(work) / 'kernels.cpp'
        file.write_text(text, 'utf-8')
        done = subprocess.run([*CXX, *LINK, '-include', header, f'-I{INCLUDE}', *includes,
                               '-o', f'{work}/kernels.so', file], capture_output=True, text=True)
        if done.returncode:
            return None, done.stderr[:5000]
        os.replace(f'{work}/kernels.so', path)
    return path, ''


def make_source(source, expressions, flags):
    """The kernels, and for each a function that calls one thread of it."""
    names = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\w+\) )?(\w+)\(', source)
    calls = {name: name for name in names}
    calls.update({f'expression_{i}': expression for i, expression in enumerate(expressions)})
    macros = [f'#define {flag[2:].replace("=", " ", 1)}' for flag in flags if flag.startswith('-D')]
    wrappers = [f'extern "C" void call_{name}(void** a) {{ cuda_call({kernel}, a); }}'
                for name, kernel in calls.items()]
    after = AFTER.format(has_barrier=int(any(word in source for word in WAITS)),
                         calls='\n'.join(wrappers))
    return '\n'.join([*macros, '#line 1', source, after])


@cache
def precompiled_header(includes):
    """cuda_kernel.h and CuPy's arrays, which g++ reads ten times faster than their text."""
    text = f'#include "{INCLUDE}/cuda_kernel.h"\n'
    if includes:
        text += '#include <cupy/carray.cuh>\n#include <cupy/math_constants.h>\n'
    key = sha1((text + repr((CXX, includes))).encode())
    for file in sorted(INCLUDE.rglob('*.*')):
        key.update(file.read_bytes())
    header = cache_folder() / f'header-{key.hexdigest()[:16]}' / 'kernel.h'
    if not header.exists():
        with TemporaryDirectory(dir=cache_folder()) as work:
            (Path(work) / 'kernel.h').write_text(text, 'utf-8')
            subprocess.run([*CXX, f'-I{INCLUDE}', *includes, '-x', 'c++-header', '-o',
                            f'{work}/kernel.h.gch', f'{work}/kernel.h'], check=True)
            header.parent.mkdir(exist_ok=True)
            for name in 'kernel.h.gch', 'kernel.h':
                os.replace(f'{work}/{name}', header.parent / name)
    return header
