"""The whole state of a run in one checked file, from which it resumes bit for bit.

The file is a file of weights as well, which tinyfcn.load reads. What only a run needs, the state of
its optimizer, has names that begin with '~'. Random numbers need no state, because they are a
function of (seed, step).

Resuming is bit for bit on one machine, with the same libraries and as many threads; elsewhere BLAS
rounds differently. So the file notes where it was written, and `machine_differences` compares.
"""
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError
from ..runtime.backend import to_numpy
from ..runtime.machine import machine_info
from ..weights import require_finite, safetensors_file

Array = NDArray[Any]
# {kind: {name of the weight: array or count}}, such as {'velocity': {'conv1.w': …}}
Memory = dict[str, dict[str, Any]]


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""
    weights: dict[str, Array]           # and running statistics
    memory: Memory                      # of the optimizer
    about: dict[str, Any]               # of the net, the run and the machine


def save(path: str | Path, weights: dict[str, Array], memory: Memory,
         about: dict[str, Any]) -> None:
    """Write a checkpoint whole, or leave the file that is there unchanged."""
    arrays = dict(weights)
    for kind, values in memory.items():
        for name, value in values.items():
            arrays[f'~{kind}/{name}'] = value
    on_host = {name: np.asarray(to_numpy(array)) for name, array in arrays.items()}
    safetensors_file.save(path, on_host, dict(about, machine=machine_info()))


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint as it was saved."""
    arrays, about = safetensors_file.load(path)
    if 'machine' not in about:
        raise FormatError(f'{path} has weights, but no state of a run to resume; start a new run '
                          f'from them with --weights {path}')
    require_finite(arrays, path)
    weights: dict[str, Array] = {}
    memory: Memory = {}
    for name, array in arrays.items():
        if name.startswith('~'):
            kind, _, name = name[1:].partition('/')
            memory.setdefault(kind, {})[name] = array if array.ndim else array.item()
        else:
            weights[name] = array
    return Checkpoint(weights, memory, about)


def machine_differences(about: dict[str, Any]) -> list[str]:
    """A line for everything that is different here and may change the last bit of a result."""
    then = about['machine']
    now = machine_info()
    return [f'{key} was {then.get(key)} and is {now.get(key)}'
            for key in sorted(then.keys() | now.keys()) if then.get(key) != now.get(key)]
