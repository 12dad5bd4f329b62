"""cupyx.scipy.sparse, as far as tinyfcn uses it: SciPy computes, and CuPy's rules are kept.

csr_array takes dense arrays, (data, (rows, columns)) and (data, indices, indptr), all on the GPU,
or a matrix of SciPy. CuPy waits for the GPU to count the entries, and once more before the first
product, to see whether an entry appears twice; only after (rows, columns) it knows that none does.
"""
import numpy as np
import scipy.sparse

from .array import ndarray, stats, unwrap, wrap

DTYPES = '?fdFD'                    # of cuSPARSE: no integers


class _compressed:
    """What csr_array and csc_array share. `_host` is SciPy's matrix."""

    __array_ufunc__ = None
    __slots__ = '_host', 'has_canonical_format', '__weakref__'

    def __init__(self, arg1, shape=None, dtype=None, copy=False):
        if isinstance(arg1, np.ndarray):
            raise TypeError('a sparse matrix on the GPU needs an array on the GPU, not one of '
                            'NumPy')
        if scipy.sparse.issparse(arg1):
            stats.uploads += 3                      # data, indices, indptr
        else:
            stats.wait()
            arg1 = unwrap(arg1)
        numbers = arg1[0] if isinstance(arg1, tuple) else arg1
        if np.dtype(dtype or numbers.dtype).char not in DTYPES:
            raise ValueError('Only bool, float32, float64, complex64 and complex128 are supported')
        scipy_class = getattr(scipy.sparse, type(self).__name__)
        self._host = scipy_class(arg1, shape=shape, dtype=dtype, copy=True)
        self._host.sum_duplicates()
        self.has_canonical_format = isinstance(arg1, tuple) and len(arg1) == 2

    data = property(lambda self: wrap(self._host.data))
    indices = property(lambda self: wrap(self._host.indices))
    indptr = property(lambda self: wrap(self._host.indptr))
    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    nnz = property(lambda self: self._host.nnz)
    T = property(lambda self: _wrap_sparse(self._host.T, self.has_canonical_format))

    def __matmul__(self, other):
        if not isinstance(other, ndarray):
            raise TypeError(f'{type(other)} is not on the GPU, and this sparse matrix is')
        if not self.has_canonical_format:
            self.has_canonical_format = bool(stats.wait(True))
        return wrap(np.asfortranarray(self._host @ other._host))      # the order of cuSPARSE

    def toarray(self, order=None, out=None):
        return wrap(self._host.toarray(order))

    def get(self, stream=None):
        stats.downloads += 3
        return stats.wait(self._host).copy()


class csr_array(_compressed):
    __module__ = 'cupyx.scipy.sparse'
    __slots__ = ()


class csc_array(_compressed):
    __module__ = 'cupyx.scipy.sparse'
    __slots__ = ()


def _wrap_sparse(matrix, has_canonical_format):
    """A matrix of SciPy as one on the GPU, without an upload."""
    result = object.__new__(dict(csr=csr_array, csc=csc_array)[matrix.format])
    result._host = matrix
    result.has_canonical_format = has_canonical_format
    return result

