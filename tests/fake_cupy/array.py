"""ndarray of the fake CuPy: its memory, its copies to the host, its indices.

`_host` holds the numbers. Code here that reads it without stats.wait() states that a GPU would not
have to finish its work for it.
"""
from types import SimpleNamespace

import numpy as np

from .surface import DTYPES, look_up

PLAIN_ATTRIBUTES = ('shape', 'dtype', 'ndim', 'size', 'nbytes', 'strides', 'itemsize', 'flags')


class Stats:
    """How often the host and the GPU exchanged data, and how often the host waited."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.uploads = 0
        self.downloads = 0
        self.synchronisations = 0

    def wait(self, x=None):
        """The host waits until the GPU has finished. -> the numbers of x"""
        self.synchronisations += 1
        return x._host if isinstance(x, ndarray) else x

    def __repr__(self):
        return (f'{self.uploads} uploads, {self.downloads} downloads, '
                f'{self.synchronisations} synchronisations')


stats = Stats()


class ndarray:
    """cupy.ndarray(shape, dtype) is full of garbage, as all memory that nothing has written."""

    __module__ = 'cupy'
    __slots__ = '_host', '__weakref__'
    __hash__ = None

    def __new__(cls, shape, dtype=float, order='C'):
        return fill_with_garbage(wrap(np.empty(shape, dtype, order)))

    # ---- to the host, never implicitly

    def __array__(self, *args, **kwargs):
        raise TypeError('Implicit conversion to a NumPy array is not allowed. '
                        'Please use `.get()` to construct a NumPy array explicitly.')

    def get(self, stream=None, order='C', out=None, blocking=True):
        stats.downloads += 1
        if out is None:
            return np.array(stats.wait(self), order=order)
        out[...] = stats.wait(self)
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError('Only numpy.ndarray can be set to cupy.ndarray')
        stats.uploads += 1
        self._host[...] = arr

    def __float__(self):
        return float(stats.wait(self))

    def __int__(self):
        return int(stats.wait(self))

    def __bool__(self):
        return bool(stats.wait(self))

    def __repr__(self):
        return repr(stats.wait(self))

    # ---- attributes and copies

    @property
    def data(self):
        return SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def device(self):
        return SimpleNamespace(id=0)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        if not self._host.ndim:
            raise TypeError('iteration over a 0-d array')
        return (self[i] for i in range(len(self)))

    def __copy__(self):
        return wrap(self._host.copy())

    def __deepcopy__(self, memo):
        return wrap(self._host.copy())

    # ---- indices

    def __getitem__(self, key):
        key, by_array = self._key(key)
        part = self._host[key]
        return wrap(np.array(part, order='C') if by_array else part)

    def __setitem__(self, key, value):
        if isinstance(value, (np.ndarray, list, tuple)):
            raise TypeError(f'Unsupported type {type(value)}: bring it to the GPU first')
        key, by_array = self._key(key)
        if by_array and isinstance(value, ndarray) and value._host.size > 1:
            require_unique(self._host, key)
        stats.uploads += by_array and not isinstance(value, ndarray)
        self._host[key] = unwrap(value)

    def _key(self, key):
        """The key for `_host`, and whether it contains an array. Integers outside wrap around."""
        key = list(key if isinstance(key, tuple) else (key,))
        if not any(k is Ellipsis for k in key):
            key.append(Ellipsis)                    # so that a single number is still a view
        remaining = self._host.ndim - sum(map(_axes, key))
        axis = 0
        by_array = False
        for i, k in enumerate(key):
            if isinstance(k, (np.ndarray, list)):
                raise TypeError(f'Unsupported type {type(k)} as an index: CuPy would upload it '
                                f'implicitly')
            if isinstance(k, ndarray):
                by_array = True
                if k._host.dtype == bool:
                    key[i] = stats.wait(k)          # the size of the result must be known
                else:
                    key[i] = k._host % max(1, self._host.shape[axis])
            axis += remaining if k is Ellipsis else _axes(k)
        return tuple(key), by_array


def _axes(k):
    """How many axes of an array a part of a key takes."""
    if k is None or k is Ellipsis:
        return 0
    return k._host.ndim if isinstance(k, ndarray) and k._host.dtype == bool else 1


def wrap(value):
    """NumPy arrays and scalars as arrays of the fake CuPy, also inside tuples and lists."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = np.asarray(value)
        if value.dtype.char not in DTYPES:
            raise ValueError(f'Unsupported dtype {value.dtype}')
        x = object.__new__(ndarray)
        x._host = value
        return x
    if type(value) in (tuple, list):
        return type(value)(map(wrap, value))
    return value


def unwrap(value):
    """The opposite of wrap. A NumPy array is rejected, also inside tuples and lists."""
    if isinstance(value, np.ndarray):
        raise TypeError(f'Unsupported type {type(value)}: one array is on the GPU and one is not')
    if type(value) in (tuple, list):
        return type(value)(map(unwrap, value))
    return value._host if isinstance(value, ndarray) else value


def fill_with_garbage(x):
    """Fill x like memory that nothing has written: NaN, or a number that is not a valid index."""
    kind = x._host.dtype.kind
    if kind == 'f':
        x._host[...] = np.nan
    elif kind == 'b':
        x._host[...] = True
    else:
        x._host[...] = np.iinfo(x._host.dtype).max - 7
    return x


def require_unique(memory, key):
    """Reject a key that names a place twice: a GPU may write the two values in either order."""
    places = np.arange(memory.size).reshape(memory.shape)[key]
    if np.unique(places).size < places.size:
        raise ValueError('an index appears twice: what a[index] = v writes there is undefined on '
                         'a GPU; add.at adds both')


def get_attribute(x, name, method):
    """x.name, if CuPy's arrays have it: a number, an array, or method(name, x)."""
    if name.startswith('_'):
        raise AttributeError(name)
    look_up('ndarray', name)
    value = getattr(x._host, name)
    if name in PLAIN_ATTRIBUTES:
        return value
    return method(name, x) if callable(value) else wrap(value)
