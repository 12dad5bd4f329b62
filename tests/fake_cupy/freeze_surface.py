"""Write the names and signatures of CuPy into surface.json, for machines without CuPy.

    python tests/fake_cupy/freeze_surface.py    where cupy-cuda12x is installed; no GPU needed

An entry says how a name is called. 'a, axis=, out=' has one required parameter; a 'ufunc ff->f
dd->d' computes in these dtypes and no others; of '' no more is known than that it exists.
"""
import inspect
import json
import re
from pathlib import Path

SURFACE = Path(__file__).with_name('surface.json')
SPACES = ('', 'cuda', 'cuda.runtime', 'lib.stride_tricks', 'linalg', 'ndarray')
SPARSE = 'csr_array', 'csc_array'


def read_surface():
    """{'': {'add': 'ufunc ??->? …', 'sum': 'a, axis=, …'}, 'ndarray': {…}, …} of this CuPy."""
    import cupy
    import cupyx.scipy.sparse as sparse

    owners = {space: cupy for space in SPACES}
    for space in SPACES[1:]:
        for name in space.split('.'):
            owners[space] = getattr(owners[space], name)
    owners |= {f'sparse.{name}': getattr(sparse, name) for name in SPARSE}
    found = {'version': cupy.__version__}
    for space, owner in sorted(owners.items()):
        found[space] = {name: describe_call(name, getattr(owner, name))
                        for name in sorted(dir(owner)) if is_public(name, owner)}
    return found


def is_public(name, owner):
    """Whether a name is listed. Of a class also __add__ and the like: they are its operators."""
    return not name.startswith('_') or isinstance(owner, type) and name.endswith('__')


def describe_call(name, value):
    """How it is called: by the types of a ufunc, by its signature, or by its docstring."""
    if hasattr(value, 'types') and not isinstance(value, type):
        return ' '.join(['ufunc', *value.types])
    if name.startswith('_') or not callable(value) or isinstance(value, type):
        return ''
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):                 # of Cython: the first line of the docstring
        match = re.search(r'\w(\(.*\))', (value.__doc__ or '').split('\n')[0])
        text = match[1] if match else ''
    return ', '.join(map(shorten, parameters(text)))


def parameters(text):
    """'(self, a, b=(1, 2)) -> ndarray' -> ['a', 'b=(1, 2)']"""
    found = ['']
    depth = 0
    for letter in text[1:]:
        depth += (letter in '([{') - (letter in ')]}')
        if depth < 0:
            break
        if letter == ',' and not depth:
            found.append('')
        else:
            found[-1] += letter
    return [part.strip() for part in found if part.strip() not in ('', 'self')]


def shorten(text):
    """'int axis: X = -1' -> 'axis=': of a default only that there is one."""
    name, default, _ = text.partition('=')
    return name.partition(':')[0].split()[-1] + default


if __name__ == '__main__':
    SURFACE.write_text(json.dumps(read_surface(), indent=0, sort_keys=True) + '\n', 'utf-8')
