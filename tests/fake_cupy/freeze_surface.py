"""Freeze the names and signatures of CuPy into surface.json, for machines without its wheel.

    python tests/fake_cupy/freeze_surface.py    where cupy-cuda12x is installed; no GPU needed

An entry says what a call may look like. 'a, axis=, out=' has one argument that must be given; a
'ufunc ff->f dd->d' computes these kinds and no other; '' is there, and CuPy says no more of it.
"""
import inspect
import json
import re
from pathlib import Path

SURFACE = Path(__file__).with_name('surface.json')
SPACES = ('', 'cuda', 'cuda.runtime', 'lib.stride_tricks', 'linalg', 'ndarray')
SPARSE = 'csr_array', 'csc_array'


def surface():
    """{'': {'add': 'ufunc ??->? …', 'sum': 'a, axis=, …'}, 'ndarray': {…}, …}, read off CuPy."""
    import cupy
    import cupyx.scipy.sparse as sparse

    homes = {space: cupy for space in SPACES}
    for space in SPACES[1:]:
        for name in space.split('.'):
            homes[space] = getattr(homes[space], name)
    homes |= {f'sparse.{name}': getattr(sparse, name) for name in SPARSE}
    return {'version': cupy.__version__,
            **{space: {name: call(name, getattr(home, name)) for name in sorted(dir(home))
                       if is_public(name, home)} for space, home in sorted(homes.items())}}


def is_public(name, home):
    """Of a class also __add__: an array without __index__ is no index."""
    return not name.startswith('_') or isinstance(home, type) and name.endswith('__')


def call(name, thing):
    """How it is called: from the types of a ufunc, from its signature, or from what its text says.
    """
    if hasattr(thing, 'types') and not isinstance(thing, type):
        return ' '.join(['ufunc', *thing.types])
    if name.startswith('_') or not callable(thing) or isinstance(thing, type):
        return ''
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):                 # of Cython: the first line of the docstring
        text = re.search(r'\w(\(.*\))', (thing.__doc__ or '').split('\n')[0])
        text = text[1] if text else ''
    return ', '.join(map(argument, arguments(text)))


def arguments(text):
    """'(self, a, b=(1, 2)) -> ndarray' -> ['a', 'b=(1, 2)']"""
    found, depth = [''], 0
    for letter in text[1:]:
        depth += (letter in '([{') - (letter in ')]}')
        if depth < 0:
            break
        if letter == ',' and not depth:
            found.append('')
        else:
            found[-1] += letter
    return [argument.strip() for argument in found if argument.strip() not in ('', 'self')]


def argument(text):
    """'int axis: X = -1' -> 'axis=': of what it is unless told only that it has one."""
    name, default, _ = text.partition('=')
    return name.partition(':')[0].split()[-1] + default


if __name__ == '__main__':
    SURFACE.write_text(json.dumps(surface(), indent=0, sort_keys=True) + '\n', 'utf-8')
