"""A stand-in for CuPy on the host: its names and signatures, and every refusal of its own.

    with lent() as cupy:
        x = cupy.asarray(image)                     on the card: nothing of NumPy may touch it
        net.forward(x), cupy.stats                  uploads, downloads, synchronisations

Green here does not mean that a GPU computes the same; red means that it would not. Not seen: the
kernels of CuPy itself and their rounding, the order of atomics, memory that runs out, streams.
Stricter than CuPy where that finds mistakes: host arrays are refused as indices, too; so are writes
with an index twice; memory that nobody has written to is full of NaN.
"""
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from . import sparse as strict_sparse
from .array import ndarray, stats
from .calls import CUPY, Space
from .card import CORE, CUDA, LINALG, POOL, RUNTIME, module
from .names import SURFACE


def asnumpy(a, stream=None, order='C', out=None, *, blocking=True):
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a, order=order)


def get_array_module(*args):
    return CUPY if any(isinstance(x, ndarray) for x in args) else np


def raw_module(*args, **kwargs):
    """The text of kernels, compiled by the host's own compiler."""
    from cuda_emulator import RawModule  # here: whoever launches nothing needs no compiler

    return RawModule(*args, **kwargs)


STRIDES = Space('lib.stride_tricks', np.lib.stride_tricks)
vars(CUPY).update(
    __version__=SURFACE['version'], ndarray=ndarray, stats=stats, asnumpy=asnumpy,
    get_array_module=get_array_module, RawModule=raw_module, is_available=lambda: True,
    get_default_memory_pool=lambda: POOL, cuda=CUDA, _core=CORE,
    linalg=Space('linalg', np.linalg), lib=SimpleNamespace(stride_tricks=STRIDES))
CUPYX = module('cupyx')
CUPYX.scipy = module('cupyx.scipy', sparse=module(
    'cupyx.scipy.sparse', csr_array=strict_sparse.csr_array, csc_array=strict_sparse.csc_array))
MODULES = {made.__name__: made for made in (CUPY, CUDA, RUNTIME, CORE, LINALG, CUPYX,
                                            CUPYX.scipy, CUPYX.scipy.sparse)}


@contextmanager
def lent():
    """Inside, `import cupy` gives the stand-in, and its counts begin at nothing."""
    kept = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(MODULES)
    stats.reset()
    try:
        yield CUPY
    finally:
        for name, was in kept.items():
            if was is None:
                del sys.modules[name]
            else:
                sys.modules[name] = was
