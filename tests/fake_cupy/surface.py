"""What CuPy has, as surface.json lists it: names and how they are called.

    look_up('ndarray', 'to_device')                 AttributeError: CuPy has none
    check_call('', 'sum', (x,), dict(where=m))      TypeError: its sum has no `where`
"""
import json
from functools import cache
from inspect import signature
from pathlib import Path

SURFACE = json.loads(Path(__file__).with_name('surface.json').read_text('utf-8'))
DTYPES = '?bBhHiIlLqQefd'           # by dtype.char; complex numbers are not supported here

# where CuPy's own signature is **kwargs
KEYWORDS = dict(einsum={'dtype', 'optimize'},
                pad={'constant_values', 'end_values', 'stat_length', 'reflect_type'},
                meshgrid={'indexing', 'sparse', 'copy'})
UFUNC_KEYWORDS = {'out', 'where', 'dtype', 'casting'}
HAS_REDUCE = {'add', 'multiply'}
HAS_AT = {'add', 'subtract', 'maximum', 'minimum', 'bitwise_and', 'bitwise_or', 'bitwise_xor'}
ATOMIC_ADD = 'iILQefd'              # dtypes that an atomic addition supports; int64 is not one

# these need a number from the GPU, such as the size of their result, so the host waits
SYNCHRONISING = set(
    'argwhere bincount choose compress delete extract flatnonzero histogram isin '
    'nonzero piecewise place repeat setdiff1d trim_zeros unique array_equiv item tolist '
    'tobytes dump dumps tofile save savez'.split())

# these take NumPy arrays and upload a copy
UPLOADING = set('array asarray asanyarray ascontiguousarray asfortranarray'.split())

# the names of first parameters that must be arrays: no lists
ARRAY_PARAMETERS = {'a', 'x', 'arr', 'array', 'ary', 'm'}

# the results of these keep the memory order of their argument; all others are in C order
KEEPS_ORDER = UPLOADING | set(
    'astype copy empty_like zeros_like ones_like full_like empty zeros ones full view'.split())


def full_name(space, name):
    return '.'.join(filter(None, ['cupy', space, name]))


def look_up(space, name):
    """How CuPy's entry is called; CuPy's own AttributeError where there is none."""
    if name not in SURFACE[space]:
        if space == 'ndarray':
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        raise AttributeError(f"module '{full_name(space, '')}' has no attribute {name!r}")
    return SURFACE[space][name]


@cache
def _signature(space, name):
    """'a, axis=' -> the signature (a, axis=0), where 0 says that there is a default."""
    parameters = SURFACE[space][name].replace('=', '=0')
    # eval of a file in this repository alone
    return signature(eval(f'lambda {parameters}: 0'))


def check_call(space, name, args, kwargs):
    """TypeError unless CuPy takes these arguments. -> {'a': args[0], …}"""
    called = look_up(space, name)
    is_ufunc = called.startswith('ufunc')
    allowed = UFUNC_KEYWORDS if is_ufunc else KEYWORDS.get(name, set(kwargs))
    for key in kwargs:
        if key not in allowed:
            raise TypeError(
                f'{full_name(space, name)}() got an unexpected keyword argument {key!r}')
    if is_ufunc or not called:
        return {}
    try:
        return _signature(space, name).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f'{full_name(space, name)}() {error}') from None
