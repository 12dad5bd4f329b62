"""When CuPy is imported, load the stand-in's libraries first and lead CuPy's runtime to them.

CuPy's compiled modules contain the CUDA runtime. Its functions begin, from then on, with a jump to
the function of the same name in runtime.cpp.
"""
import ctypes
import json
import platform
import struct
import sys
from importlib.machinery import ExtensionFileLoader, PathFinder
from pathlib import Path

from . import driver, nvrtc, sorts
from .build import build

PAGE = 4096
READ_WRITE_EXECUTE = 7


class Importer:
    """A finder for CuPy's modules; see importlib.abc.MetaPathFinder."""

    def __init__(self, wheel):
        self.wheel = Path(wheel)
        self.driver = None

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] not in ('cupy', 'cupy_backends'):
            return None
        if self.driver is None:
            self.load()
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, ExtensionFileLoader):
            spec.loader = Loader(self, name, spec.origin)
        return spec

    def load(self):
        """Load the libraries, so that those of the same name are found where CuPy needs them."""
        if platform.machine() != 'x86_64':
            raise ImportError('the stand-in driver writes jumps of x86-64, and this is '
                              f'{platform.machine()}')
        folder = build(self.wheel)
        self.driver = ctypes.CDLL(f'{folder}/libcuda.so.1', ctypes.RTLD_GLOBAL)
        libraries = [ctypes.CDLL(str(file), ctypes.RTLD_GLOBAL)
                     for file in sorted(folder.glob('lib*.so.*')) if 'libcuda.' not in file.name]
        self.compiler = nvrtc.register(next(library for library in libraries
                                            if 'nvrtc' in library._name))
        self.functions = json.loads((folder / 'runtime.json').read_text('utf-8'))
        driver.read_environment()

    def patch(self, file):
        """Make the CUDA runtime inside a loaded module jump to runtime.cpp."""
        functions = self.functions.get(str(Path(file).relative_to(self.wheel)), {})
        if not functions:
            return
        # a handle of dlopen points to a struct that begins with where the library lies
        start = ctypes.c_void_p.from_address(ctypes.CDLL(file)._handle).value
        libc = ctypes.CDLL(None, use_errno=True)
        for name, offset in functions.items():
            function = getattr(self.driver, name, self.driver.fake_cuda_missing)
            target = ctypes.cast(function, ctypes.c_void_p).value
            jump = b'\x48\xb8' + struct.pack('<Q', target) + b'\xff\xe0'    # mov rax; jmp rax
            page = (start + offset) // PAGE * PAGE
            if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(2 * PAGE), READ_WRITE_EXECUTE):
                raise OSError(ctypes.get_errno(), f'{file} cannot be changed in memory')
            ctypes.memmove(start + offset, jump, len(jump))


class Loader(ExtensionFileLoader):
    """Patches a compiled module before its code runs."""

    def __init__(self, importer, name, path):
        super().__init__(name, path)
        self.importer = importer

    def create_module(self, spec):
        module = super().create_module(spec)
        self.importer.patch(spec.origin)
        return module

    def exec_module(self, module):
        super().exec_module(module)
        if module.__name__ == 'cupy.cuda.thrust':
            sorts.replace(module)


def install(wheel):
    """Lead CuPy to the stand-in driver as soon as it is imported."""
    sys.meta_path.insert(0, Importer(wheel))
