"""The backend is the array: whoever made x computes with x. No flag can disagree with the data."""
import sys

import numpy as np


def is_cupy(x: object) -> bool:
    """Whether x is an array of CuPy; CuPy itself is not imported to find out."""
    return type(x).__module__.split('.')[0] == 'cupy'


def array_module(x):
    """numpy or cupy, whichever made x; whoever made a cupy array has imported cupy already."""
    if isinstance(x, np.ndarray):
        return np
    if is_cupy(x):
        return sys.modules['cupy']
    raise TypeError(f'{type(x).__name__} is no array: numpy.asarray makes one')


def sparse_module(x):
    """scipy.sparse or cupyx.scipy.sparse, whichever multiplies x."""
    if array_module(x) is np:
        import scipy.sparse
        return scipy.sparse
    import cupyx.scipy.sparse
    return cupyx.scipy.sparse


def to_numpy(x):
    """x on the host: a NumPy array or number as it is, a GPU's as a copy, which waits for it."""
    return x.get() if is_cupy(x) else x


def to_device_of(x, other):
    """x to where `other` is: as it is, or a copy on the other device."""
    if array_module(x) is array_module(other):
        return x
    return to_numpy(x) if on_host(other) else array_module(other).asarray(x)


def on_host(*arrays):
    """Whether values may be looked at. A GPU would have to stop: check before they go up."""
    return all(array_module(x) is np for x in arrays)


# ---- The GPU -------------------------------------------------------------------------------------


# ---- The machine ---------------------------------------------------------------------------------
