"""Build the stand-in driver: NVIDIA's libraries that CuPy's wheel needs, by g++, once.

    folder = build(Path('…/site-packages'))         the folder that holds cupy and cupy_backends

CuPy's own libraries say what they need: which libraries (NEEDED), and which functions of them.
The driver, cuBLAS, cuSPARSE, NVRTC and NCCL are written here. Of these a function that is missing,
and every function of all other libraries, answers that it is not supported.
"""
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

HERE = Path(__file__).resolve().parent
CXX = 'g++', '-std=c++17', '-O2', '-Wall', '-Wextra', '-fPIC', '-shared', '-pthread'
DRIVER = 'state', 'memory', 'pinned', 'threads', 'driver', 'runtime'
# sources of a library, and the error by which its other functions answer "not supported"
WRITTEN = {'libcublas': ('cublas', 15), 'libcusparse': ('cusparse', 10), 'libnvrtc': ('nvrtc', 8),
           'libnccl': ('nccl', 3)}
OTHER_ERRORS = {'libcusolver': 9, 'libcurand': 999, 'libcufft': 16}
RUNTIME_FUNCTION = re.compile(r'cuda[A-Z]\w*')


def build(wheel):
    """The folder with the libraries and runtime.json; built where it is not there yet.

    wheel: the folder of the packages cupy and cupy_backends
    """
    key = sha1()
    for file in sorted([*HERE.glob('*.cpp'), *HERE.glob('*.h'), Path(__file__)]):
        key.update(file.read_bytes())
    extensions = find_extensions(wheel)
    for file in extensions:
        key.update(f'{file} {file.stat().st_size}'.encode())
    folder = cache_folder() / f'driver-{key.hexdigest()[:16]}'
    if not folder.exists():
        with TemporaryDirectory(dir=cache_folder(), ignore_cleanup_errors=True) as work:
            _build_all(Path(work), wheel, extensions)
            try:
                os.rename(work, folder)
            except OSError:
                if not folder.exists():         # otherwise another process was faster
                    raise
    return folder


def cache_folder():
    """Where compiled code is kept between test runs."""
    folder = Path(gettempdir()) / f'tinyfcn-fake-cuda-{os.getuid()}'
    folder.mkdir(exist_ok=True)
    return folder


def find_extensions(wheel):
    """The compiled modules of CuPy."""
    return sorted(file for package in ('cupy', 'cupy_backends')
                  for file in wheel.glob(f'{package}/**/*.so'))


def _build_all(folder, wheel, extensions):
    libraries, functions = _what_is_needed(extensions)
    sources = [str(HERE / f'{name}.cpp') for name in DRIVER]
    _run([*CXX, '-Wl,-soname,libcuda.so.1', '-o', f'{folder}/libcuda.so.1', *sources, '-ldl'])
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda soname: _build_library(folder, soname, functions.get(soname, ())),
                      libraries))
    table = {str(file.relative_to(wheel)): _runtime_functions(file) for file in extensions}
    (folder / 'runtime.json').write_text(json.dumps({k: v for k, v in table.items() if v}), 'utf-8')


def _what_is_needed(extensions):
    """-> sonames of NVIDIA's libraries, {soname: functions that CuPy calls}"""
    # CuPy loads these by name; NEEDED does not say so
    libraries = {'libnvrtc.so.13', 'libcublasLt.so.13', 'libnvJitLink.so.13'}
    functions = {}
    for file in extensions:
        needed = re.findall(r'NEEDED.*\[(lib(?:cu|nv|nccl)[\w.]+)\]', _run(['readelf', '-d', file]))
        libraries.update(name for name in needed if not name.startswith('libcuda.'))
        symbols = re.findall(r' U (\w+)(?:@+(\S+))?$', _run(['nm', '-D', '--undefined-only', file]),
                             re.M)
        for function, version in symbols:
            # most functions have their library as a version; the others go by its name
            by_name = [name for name in needed if function.startswith(name[3:].partition('.')[0])]
            for soname in [version] if '.so' in version else by_name:
                functions.setdefault(soname, set()).add(function)
    return sorted(libraries), functions


def _build_library(folder, soname, functions):
    """A library that answers "not supported" wherever this folder has no code."""
    stem = soname.partition('.')[0]
    name, error = WRITTEN.get(stem, (None, OTHER_ERRORS.get(stem, 1)))
    text = (HERE / f'{name}.cpp').read_text('utf-8') if name else ''
    missing = sorted(f for f in functions if not re.search(rf'\b{f}\(', text))
    lines = ['int unsupported(const char* function, int code);', 'extern "C" {',
             *(f'int {f}() {{ return unsupported("{f}", {error}); }}' for f in missing), '}']
    stubs = folder / f'{stem}.cpp'
    stubs.write_text('\n'.join(lines), 'utf-8')
    versions = folder / f'{stem}.map'
    versions.write_text(f'{soname} {{ global: *; }};\n', 'utf-8')
    _run([*CXX, '-O3', f'-I{HERE}', f'-Wl,-soname,{soname}', f'-Wl,--version-script,{versions}',
          '-o', folder / soname, stubs, *([HERE / f'{name}.cpp'] if name else []),
          folder / 'libcuda.so.1'])


def _runtime_functions(file):
    """{function of the CUDA runtime: where it lies in this module}"""
    symbols = re.findall(r'^([0-9a-f]+) [tT] (\w+)$', _run(['nm', '--defined-only', file]), re.M)
    return {name: int(offset, 16) for offset, name in symbols if RUNTIME_FUNCTION.fullmatch(name)}


def _run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{command[0]} failed:\n{done.stderr[:3000]}')
    return done.stdout
