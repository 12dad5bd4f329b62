"""What a function makes of a case, and how two of them are compared.

An outcome is a tuple of arrays; or the error, if there was one, also of an answer that is no
array; or None, of a function that nobody has written yet.
"""
import warnings
from copy import deepcopy
from numbers import Real

import numpy as np

from .array_backend import Elsewhere, lent

TOLERANCE = 1e-6        # of the largest number: other orders of adding agree to 1e-12
LONGEST = 200           # letters of an error


class Strange(Exception):
    """What came back is not what the exercise asks for."""


def outcome(exercise, function, args):
    """function(*args), and whatever comes of it."""
    try:
        with lent(args), warnings.catch_warnings():
            warnings.simplefilter('ignore')             # of a division by 0: its result is shown
            given = function(*deepcopy(args))
        return None if given is None or given is ... else _arrays(given, exercise.gives.split())
    except KeyboardInterrupt:                           # the reader's own wish
        raise
    except NotImplementedError:
        return None
    except BaseException as error:
        return error


def agree(a, b):
    """Whether two outcomes are the same: of arrays every number, of errors their words."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return not any(difference('', *pair) for pair in zip(a, b))
    return isinstance(a, BaseException) and isinstance(b, BaseException) and words(a) == words(b)


def difference(name, mine, right):
    """None; or -> what is wrong, in words, and the index of the first wrong number, or None"""
    if isinstance(mine, Elsewhere) != isinstance(right, Elsewhere):
        return f'{kind(mine)} came back, and x is {kind(right)}', None
    mine, right = host(mine), host(right)
    if mine.shape != right.shape:
        return f'{name} has shape {mine.shape}, and should have {right.shape}', None
    exactly = right.ndim and right.dtype.kind == 'f'    # integers may be counted in floats
    if mine.dtype != right.dtype if exactly else mine.dtype.kind not in 'iuf':
        return f'{name} is {mine.dtype}, and should be {right.dtype}', None
    most = np.abs(right[np.isfinite(right)]).max(initial=1)
    close = np.isclose(mine, right, 0, TOLERANCE * most, equal_nan=True)
    if close.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    for digits in 4, 9, 17:                             # as many as it takes to see them differ
        a, b = (f'{array[at] + 0:.{digits}g}' for array in (mine, right))       # + 0: never −0
        if a != b:
            break
    index = f'[{", ".join(map(str, at))}]' * bool(at)
    wrong, verb = (~close).sum(), 'is' if (~close).sum() == 1 else 'are'
    many = f'; {wrong} of {close.size} numbers {verb} wrong' * (close.size > 1)
    return f'{name}{index} is {a}, and should be {b}{many}', at


def words(error):
    """An error in one line."""
    try:
        said = ' '.join(str(error).split())[:LONGEST]
    except Exception:                                   # an error may be broken, too
        said = ''
    named = '' if isinstance(error, Strange) else type(error).__name__
    return ': '.join(filter(None, (named, said)))


def kind(value):
    """'a list', 'an int'"""
    if isinstance(value, Elsewhere):
        return 'an array of another module'
    name = 'NumPy array' if isinstance(value, np.ndarray) else type(value).__name__
    return f'{"an" if name[:1].lower() in "aeiou" else "a"} {name}'


def host(array):
    return array.get() if isinstance(array, Elsewhere) else array


def _arrays(given, names):
    if len(names) == 1:
        return _array(given, *names),
    if not isinstance(given, (tuple, list)) or len(given) != len(names):
        many = f' of {len(given)}' if isinstance(given, (tuple, list)) else ''
        raise Strange(f'{kind(given)}{many} came back; the answer is {", ".join(names)}')
    return tuple(map(_array, given, names))


def _array(given, name):
    """A copy: the reader's function may fill the same memory again and again."""
    if isinstance(given, Elsewhere):
        return given
    if isinstance(given, np.ndarray):
        return np.array(given)
    if isinstance(given, Real):                         # a Fraction too
        return np.array(given if isinstance(given, (int, np.generic)) else float(given))
    if isinstance(given, tuple) and given and isinstance(given[0], np.ndarray):
        raise Strange(f'a tuple of {len(given)} came back; the answer is {name} alone')
    raise Strange(f'{kind(given)} came back; {name} is a number or a NumPy array')
