"""Run a function on a case, and compare two outcomes.

An outcome is a tuple of arrays; or an exception, raised by the function or about a return value
that is not what the exercise asks for; or None, if the function is not written yet.
"""
import warnings
from numbers import Real

import numpy as np

from .array_backend import DeviceArray, register_device

TOLERANCE = 1e-6            # of the largest number; other orders of summation agree to 1e-12
MAX_ERROR_LENGTH = 200      # characters


class WrongOutput(Exception):
    """The function has returned something else than the exercise asks for."""


def run_case(exercise, function, args):
    """The outcome of function(*args); the function may write into args."""
    try:
        with register_device(args), warnings.catch_warnings():
            warnings.simplefilter('ignore')             # of a division by 0: its result is shown
            returned = function(*args)
        if returned is None or returned is ...:
            return None
        return _to_arrays(returned, exercise.outputs.split())
    except KeyboardInterrupt:                           # the reader wants to stop
        raise
    except NotImplementedError:
        return None
    except BaseException as error:
        return error


def find_changed_input(exercise, args, used):
    """The name of the first argument in which `used` differs from args, or ''."""
    for name, arg, used_arg in zip(exercise.inputs.split(), args, used):
        if not np.array_equal(to_host(arg), to_host(used_arg)):
            return name
    return ''


def same_outcome(a, b):
    """Whether two outcomes agree: arrays in every number, exceptions in their text."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return not any(find_difference('', *pair) for pair in zip(a, b))
    both_errors = isinstance(a, BaseException) and isinstance(b, BaseException)
    return both_errors and describe_error(a) == describe_error(b)


def find_difference(name, mine, expected):
    """None if they agree; else (what is wrong, index of the first wrong number or None)."""
    if isinstance(mine, DeviceArray) != isinstance(expected, DeviceArray):
        message = f'{name} is {describe_type(mine)}, and x is {describe_type(expected)}'
        return message, None
    mine = to_host(mine)
    expected = to_host(expected)
    if mine.shape != expected.shape:
        return f'{name} has shape {mine.shape}, and should have {expected.shape}', None

    if expected.ndim and expected.dtype.kind == 'f':
        wrong_type = mine.dtype != expected.dtype
    else:
        wrong_type = mine.dtype.kind not in 'iuf'       # counts may be floats
    if wrong_type:
        return f'{name} is {mine.dtype}, and should be {expected.dtype}', None

    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    close = np.isclose(mine, expected, 0, TOLERANCE * largest, equal_nan=True)
    if close.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~close)[0])
    return _describe_numbers(name, mine, expected, index, close), index


def _describe_numbers(name, mine, expected, index, close):
    """'y[0, 1] is 3, and should be 4; 2 of 6 numbers are wrong'"""
    for digits in 4, 9, 17:                             # until the two look different
        a, b = (f'{array[index] + 0:.{digits}g}' for array in (mine, expected))     # + 0: never −0
        if a != b:
            break
    where = f'[{", ".join(map(str, index))}]' if index else ''
    message = f'{name}{where} is {a}, and should be {b}'
    if close.size == 1:
        return message
    wrong = (~close).sum()
    verb = 'is' if wrong == 1 else 'are'
    return f'{message}; {wrong} of {close.size} numbers {verb} wrong'


def describe_error(error):
    """An exception in one line: 'ZeroDivisionError: division by zero'."""
    try:
        text = ' '.join(str(error).split())[:MAX_ERROR_LENGTH]
    except Exception:                                   # __str__ may be broken, too
        text = ''
    name = '' if isinstance(error, WrongOutput) else type(error).__name__
    return ': '.join(filter(None, (name, text)))


def describe_type(value):
    """'a list', 'an int'"""
    if isinstance(value, DeviceArray):
        return 'an array of another module'
    name = 'NumPy array' if isinstance(value, np.ndarray) else type(value).__name__
    article = 'an' if name[:1].lower() in 'aeiou' else 'a'
    return f'{article} {name}'


def to_host(array):
    """The array as a NumPy array."""
    return array.get() if isinstance(array, DeviceArray) else array


def _to_arrays(returned, names):
    """What a function has returned as a tuple of arrays, one for each name."""
    if len(names) == 1:
        return (_to_array(returned, names[0]),)
    is_sequence = isinstance(returned, (tuple, list))
    if not is_sequence or len(returned) != len(names):
        length = f' of {len(returned)}' if is_sequence else ''
        raise WrongOutput(f'your function returns {describe_type(returned)}{length}, '
                          f'and should return {", ".join(names)}')
    return tuple(map(_to_array, returned, names))


def _to_array(returned, name):
    """A copy, for the reader's function may write into the same memory on its next call."""
    if isinstance(returned, DeviceArray):
        return returned
    if isinstance(returned, np.ndarray):
        return np.array(returned)
    if isinstance(returned, Real):                      # a Fraction too
        return np.array(returned if isinstance(returned, (int, np.generic)) else float(returned))
    if isinstance(returned, tuple) and returned and isinstance(returned[0], np.ndarray):
        raise WrongOutput(f'your function returns a tuple of {len(returned)}, '
                          f'and should return {name} alone')
    raise WrongOutput(f'{name} is {describe_type(returned)}, '
                      f'and should be a number or a NumPy array')
