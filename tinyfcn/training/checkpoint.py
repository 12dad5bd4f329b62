"""The whole state of a run in one checked file: to go on from it is as if nothing had happened.

It is a file of weights as well, which tinyfcn.load reads: what only a run needs, the memory of its
optimiser, has a name that begins with '~'. Chance needs no place in it, being a function of (seed,
step). The promise holds on one machine, with the same libraries and as many threads: BLAS gives
other last bits elsewhere. So the file says where it was written, and `changes` what is different.
"""
import numpy as np

from ..runtime.backend import to_numpy
from ..runtime.machine import machine
from ..weights import safetensors_file as storage


def save(path, weights, memory, about):
    """weights {name: array}; memory {kind: {name: array or int}}, such as of an optimiser."""
    kept = {f'~{kind}/{name}': value for kind, values in memory.items()
            for name, value in values.items()}
    arrays = {name: np.asarray(to_numpy(array)) for name, array in {**weights, **kept}.items()}
    storage.save(path, arrays, dict(about, machine=machine()))


def load(path):
    """-> weights, memory, about, as they were saved"""
    arrays, about = storage.load(path)
    if 'machine' not in about:
        raise storage.FormatError(f'{path}: weights, but no state of a run to go on with; begin '
                                  f'one with them: --weights {path}')
    weights, memory = {}, {}
    for name, array in arrays.items():
        if name.startswith('~'):
            kind, _, name = name[1:].partition('/')
            memory.setdefault(kind, {})[name] = array if array.ndim else array.item()
        else:
            weights[name] = array
    return weights, memory, about


def changes(about):
    """What has changed since the file was written, of all that can change a last bit. -> [str]"""
    then, now = about['machine'], machine()
    return [f'{key} was {then.get(key)} and is {now.get(key)}'
            for key in sorted(then.keys() | now.keys()) if then.get(key) != now.get(key)]
