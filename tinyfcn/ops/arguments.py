"""What every op asks of its arrays: nothing is cast, broadcast or moved in silence."""
from ..backend import array_module


def floats(rank=None, **arrays):
    """Refuse all but float32 or float64 arrays of one dtype, one module and, where given, one rank. -> the module"""
    (first, x), *_ = arrays.items()
    for name, array in arrays.items():
        try:
            module = array_module(array)
        except TypeError as error:
            raise TypeError(f'{name}: {error}') from None
        if array.dtype not in ('float32', 'float64'):
            raise TypeError(f'{name} has dtype {array.dtype}; ops take float32 or float64: {name}.astype("float32")')
        if module is not array_module(x):
            raise TypeError(f'{name} is a {module.__name__} array and {first} a {array_module(x).__name__} array: '
                            f'bring both to one device')
        if array.dtype != x.dtype:
            raise TypeError(f'{name} is {array.dtype} and {first} is {x.dtype}: cast one of them, ops never do')
        if rank is not None and array.ndim != rank:
            raise ValueError(f'{name} has shape {array.shape}; {rank} axes are needed'
                             + (': (N, C, H, W)' if rank == 4 else ''))
    return module


def integers(rank, **arrays):
    """The same for arrays of whole numbers: labels and switches. -> the module"""
    for name, array in arrays.items():
        try:
            module = array_module(array)
        except TypeError as error:
            raise TypeError(f'{name}: {error}') from None
        if array.dtype.kind not in 'iu':
            raise TypeError(f'{name} has dtype {array.dtype}; whole numbers are needed')
        if array.ndim != rank:
            raise ValueError(f'{name} has shape {array.shape}; {rank} axes are needed')
    return module


def on_host(array):
    """Whether a value may be looked at: a GPU would have to stop and wait, so what goes up was checked before."""
    return array_module(array).__name__ == 'numpy'


def shaped(shape, why, **arrays):
    """Refuse arrays of another shape, which NumPy would broadcast."""
    for name, array in arrays.items():
        if array.shape != tuple(shape):
            raise ValueError(f'{name} has shape {array.shape}; {tuple(shape)} is needed, {why}')


def gradient(dy, shape, **beside):
    """dy has the shape of y, and the dtype of the arrays that it meets."""
    floats(dy=dy, **beside)
    shaped(shape, 'the shape of y', dy=dy)


def numbered(xs):
    """(a, b, …) -> {'x1': a, 'x2': b, …}, for ops that read any number of arrays."""
    if not xs:
        raise ValueError('at least one array is needed')
    return {f'x{i}': x for i, x in enumerate(xs, start=1)}
