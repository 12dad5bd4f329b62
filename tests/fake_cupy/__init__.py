"""A fake CuPy on the host, to test GPU code where there is no GPU.

    with use_fake_cupy() as cupy:
        x = cupy.asarray(image)         "on the GPU": NumPy functions and arrays cannot touch it
        net.forward(x)
        cupy.stats                      uploads, downloads, synchronisations

NumPy computes; CuPy's own names, signatures, dtypes and errors are kept (see surface.json).

What it finds:
- NumPy and CuPy arrays in one expression, and implicit copies to the host
- functions, methods and arguments that CuPy does not have, or that CuPy computes in other dtypes
- waiting: every download and every question whose answer the host needs is counted
- results that depend on unwritten memory (it is full of NaN) or on the order of writes
- wrong arguments to a .cu kernel; tests/cuda_emulator.py compiles and runs the kernels themselves

What it cannot find: errors of CuPy's own kernels, a GPU's rounding and its order of atomic
additions, running out of memory, mistakes with streams, and how long anything takes. If a test
fails here, the code would fail on a GPU. If all tests pass, it may still compute something else
there: `make gpu-check` compares on a real one.

It is stricter than CuPy where that finds mistakes: NumPy arrays are rejected as indices too, and so
is a write through an index that names one place twice.

    array.py    ndarray: memory, copies to the host, indexing
    calls.py    functions, methods, ufuncs and operators
    cublas.py   products of matrices
    device.py   the runtime, streams, the memory pool
    sparse.py   cupyx.scipy.sparse
    surface.py  what CuPy has; freeze_surface.py writes surface.json from an installed CuPy
"""
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from tinyfcn.kernels.gpu import tape

from . import sparse
from .array import ndarray, stats
from .calls import CUPY, Namespace
from .cublas import BACKENDS
from .device import CORE, CUDA, LINALG, POOL, RUNTIME, make_module
from .surface import SURFACE


def asnumpy(a, stream=None, order='C', out=None, *, blocking=True):
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a, order=order)


def get_array_module(*args):
    return CUPY if any(isinstance(x, ndarray) for x in args) else np


def raw_module(*args, **kwargs):
    """The kernels of a .cu file, compiled by g++."""
    from cuda_emulator import RawModule  # here, so that tests without kernels need no compiler

    return RawModule(*args, **kwargs)


STRIDE_TRICKS = Namespace('lib.stride_tricks', np.lib.stride_tricks)
vars(CUPY).update(
    __version__=SURFACE['version'], ndarray=ndarray, stats=stats, asnumpy=asnumpy,
    get_array_module=get_array_module, RawModule=raw_module, is_available=lambda: True,
    get_default_memory_pool=lambda: POOL, cuda=CUDA, _core=CORE,
    linalg=Namespace('linalg', np.linalg), lib=SimpleNamespace(stride_tricks=STRIDE_TRICKS))
CUPYX = make_module('cupyx')
CUPYX.scipy = make_module('cupyx.scipy', sparse=make_module(
    'cupyx.scipy.sparse', csr_array=sparse.csr_array, csc_array=sparse.csc_array))
MODULES = {module.__name__: module for module in (
    CUPY, CUDA, RUNTIME, CORE, LINALG, CUPYX, CUPYX.scipy, CUPYX.scipy.sparse, *BACKENDS)}


@contextmanager
def use_fake_cupy():
    """Inside, `import cupy` imports the fake one, whose counts start at 0."""
    before = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(MODULES)
    stats.reset()
    has_tapes, tape.enabled = tape.enabled, False       # they ask the driver itself
    try:
        yield CUPY
    finally:
        tape.enabled = has_tapes
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
