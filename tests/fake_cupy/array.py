"""An array on a card that is not there: its memory, its way to the host, its indices.

`_host` holds the numbers. Whoever reads it without stats.wait() says by this that a GPU would not
have to stop for it.
"""
from types import SimpleNamespace

import numpy as np

from .names import KINDS, known

PLAIN = 'shape', 'dtype', 'ndim', 'size', 'nbytes', 'strides', 'itemsize', 'flags'


class Stats:
    """How often the host and the card spoke: what a step should do but once."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.uploads = self.downloads = self.synchronisations = 0

    def wait(self, x=None):
        """The host stops until the card is done. -> the numbers of x"""
        self.synchronisations += 1
        return x._host if isinstance(x, ndarray) else x

    def __repr__(self):
        return (f'{self.uploads} uploads, {self.downloads} downloads, '
                f'{self.synchronisations} synchronisations')


stats = Stats()


class ndarray:
    """cupy.ndarray(shape, dtype) is garbage, as is all memory that nobody has written to."""
    __module__ = 'cupy'
    __slots__ = '_host', '__weakref__'
    __hash__ = None

    def __new__(cls, shape, dtype=float, order='C'):
        return garbage(device(np.empty(shape, dtype, order)))

    # ---- to the host, never by accident

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

    # ---- what it is

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
        return device(self._host.copy())

    def __deepcopy__(self, memo):
        return device(self._host.copy())

    # ---- indices

    def __getitem__(self, key):
        key, by_array = self._key(key)
        part = self._host[key]
        return device(np.array(part, order='C') if by_array else part)

    def __setitem__(self, key, value):
        if isinstance(value, (np.ndarray, list, tuple)):
            raise TypeError(f'Unsupported type {type(value)}: bring it to the card first')
        key, by_array = self._key(key)
        if by_array and isinstance(value, ndarray) and value._host.size > 1:
            once(self._host, key)
        stats.uploads += by_array and not isinstance(value, ndarray)
        self._host[key] = host(value)

    def _key(self, key):
        """A key for `_host`, wrapped where it lies outside; whether an array is in it."""
        key, axis, by_array = list(key if isinstance(key, tuple) else (key,)), 0, False
        if not any(k is Ellipsis for k in key):
            key.append(Ellipsis)                    # so that a single number is still a view
        left = self._host.ndim - sum(map(_axes, key))
        for i, k in enumerate(key):
            if isinstance(k, (np.ndarray, list)):
                raise TypeError(f'Unsupported type {type(k)} as an index: CuPy would bring it to '
                                f'the card in silence')
            if isinstance(k, ndarray):
                by_array, mask = True, k._host.dtype == bool
                # how many are true must be known, and a number outside goes round
                key[i] = stats.wait(k) if mask else k._host % max(1, self._host.shape[axis])
            axis += left if k is Ellipsis else _axes(k)
        return tuple(key), by_array


def _axes(k):
    """How many axes of an array a part of a key takes."""
    if k is None or k is Ellipsis:
        return 0
    return k._host.ndim if isinstance(k, ndarray) and k._host.dtype == bool else 1


def device(value):
    """What came of the host's arrays, on the card: also a single number is an array there."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = np.asarray(value)
        if value.dtype.char not in KINDS:
            raise ValueError(f'Unsupported dtype {value.dtype}')
        x = object.__new__(ndarray)
        x._host = value
        return x
    if type(value) in (tuple, list):
        return type(value)(map(device, value))
    return value


def host(value):
    """The numbers of what is on the card. An array of the host is refused, wherever it hides."""
    if isinstance(value, np.ndarray):
        raise TypeError(f'Unsupported type {type(value)}: one array is on the card and one is not')
    if type(value) in (tuple, list):
        return type(value)(map(host, value))
    return value._host if isinstance(value, ndarray) else value


def garbage(x):
    """What stands in memory that nobody has written to: NaN, or a number that is no index."""
    kind = x._host.dtype.kind
    x._host[...] = (np.nan if kind == 'f' else True if kind == 'b'
                    else np.iinfo(x._host.dtype).max - 7)
    return x


def once(memory, key):
    """Refuse a key that names a place twice: which of two values is written last, nobody knows."""
    places = np.arange(memory.size).reshape(memory.shape)[key]
    if np.unique(places).size < places.size:
        raise ValueError('an index stands here twice: what a[index] = v leaves there is left to '
                         'chance on a GPU; add.at adds')


def attribute(x, name, method):
    """x.name, if CuPy's arrays have one: a number, an array, or method(name, x)."""
    if name.startswith('_'):
        raise AttributeError(name)
    known('ndarray', name)
    thing = getattr(x._host, name)
    if name in PLAIN:
        return thing
    return method(name, x) if callable(thing) else device(thing)
