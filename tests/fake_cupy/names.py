"""What CuPy has, as surface.json keeps it: names and how they are called.

    known('ndarray', 'to_device')           AttributeError: CuPy has none
    fits('', 'sum', (x,), dict(where=m))    TypeError: its sum has no where
"""
import json
from functools import cache
from inspect import signature
from pathlib import Path

SURFACE = json.loads(Path(__file__).with_name('surface.json').read_text('utf-8'))
KINDS = '?bBhHiIlLqQefd'                            # of numbers; what else CuPy has is not here

# CuPy's own signature is **kwargs here, and says no more
KEYWORDS = dict(einsum={'dtype', 'optimize'}, pad={'constant_values', 'end_values', 'stat_length',
                                                   'reflect_type'},
                meshgrid={'indexing', 'sparse', 'copy'})
OF_A_UFUNC = {'out', 'where', 'dtype', 'casting'}
REDUCE, AT = {'add', 'multiply'}, {'add', 'subtract', 'maximum', 'minimum', 'bitwise_and',
                                   'bitwise_or', 'bitwise_xor'}
ADDED = 'iILQefd'                                   # what an atomic add can add, and no int64

# These ask the card how many there are, or bring numbers to the host: they wait for it
WAIT = set('argwhere bincount choose compress delete extract flatnonzero histogram isin '
           'nonzero piecewise place repeat setdiff1d trim_zeros unique array_equiv item tolist '
           'tobytes dump dumps tofile save savez'.split())

# What they are given may come from the host, and is copied up
CREATE = set('array asarray asanyarray ascontiguousarray asfortranarray'.split())

# What a function computes with, as CuPy names it: an array, and no list
FIRST = {'a', 'x', 'arr', 'array', 'ary', 'm'}

# These keep the order that memory has; all others give C order
KEEP = CREATE | set('astype copy empty_like zeros_like ones_like full_like empty zeros ones full '
                    'view'.split())


def dotted(space, name):
    return '.'.join(filter(None, ['cupy', space, name]))


def known(space, name):
    """How CuPy's entry is called; AttributeError, in its own words, if it has none."""
    if name not in SURFACE[space]:
        if space == 'ndarray':
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        raise AttributeError(f"module '{dotted(space, '')}' has no attribute {name!r}")
    return SURFACE[space][name]


@cache
def _signature(space, name):
    """'a, axis=' -> the signature (a, axis=0), where 0 says that there is a default."""
    text = SURFACE[space][name].replace('=', '=0')
    return signature(eval(f'lambda {text}: 0'))     # of a file in this repository alone


def fits(space, name, args, kwargs):
    """TypeError unless CuPy takes these arguments. -> {'a': args[0], …}"""
    called = known(space, name)
    allowed = OF_A_UFUNC if called.startswith('ufunc') else KEYWORDS.get(name, set(kwargs))
    for key in kwargs:
        if key not in allowed:
            raise TypeError(f'{dotted(space, name)}() got an unexpected keyword argument {key!r}')
    if called.startswith('ufunc') or not called:
        return {}
    try:
        return _signature(space, name).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f'{dotted(space, name)}() {error}') from None
