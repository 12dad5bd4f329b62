"""The backend is the array: whoever made x computes with x. No flag can disagree with the data."""
import sys

import numpy as np


def array_module(x):
    """numpy or cupy, whichever made x; whoever made a cupy array has imported cupy already."""
    if isinstance(x, np.ndarray):
        return np
    if type(x).__module__.split('.')[0] == 'cupy':
        return sys.modules['cupy']
    raise TypeError(f'{type(x).__name__} is no array: numpy.asarray makes one')


def sparse_module(x):
    """scipy.sparse or cupyx.scipy.sparse, whichever multiplies x."""
    if array_module(x) is np:
        import scipy.sparse
        return scipy.sparse
    import cupyx.scipy.sparse
    return cupyx.scipy.sparse
