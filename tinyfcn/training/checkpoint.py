"""The whole state of a run in one checked file, from which it resumes bit for bit.

The file is a file of weights as well, which tinyfcn.load reads. What only a run needs, the state of
its optimizer, has names that begin with '~'. Random numbers need no state, because they are a
function of (seed, step).

Resuming is bit for bit on one machine, with the same libraries and as many threads; elsewhere BLAS
rounds differently. So the file notes where it was written, and `machine_differences` compares.
"""
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import weights as weights_module
from ..data.fingerprint import is_fingerprint
from ..files import FormatError, printable
from ..runtime.backend import to_numpy
from ..runtime.machine import machine_info
from ..weights import safetensors_file
from .diverged import require_finite

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
    """Write a checkpoint whole, or leave the file that is there unchanged.

    Where a value is nan or infinite, Diverged is raised and nothing is written.
    """
    arrays = {**weights, **memory_arrays(memory)}
    on_host = {name: np.asarray(to_numpy(array)) for name, array in arrays.items()}
    require_finite(on_host)
    safetensors_file.save(path, on_host, dict(about, machine=machine_info()))


def memory_arrays(memory: Memory) -> dict[str, Any]:
    """The memory of an optimizer by the names that a checkpoint gives it.

    >>> memory_arrays({'velocity': {'conv1.w': 0.}})
    {'~velocity/conv1.w': 0.0}
    """
    return {f'~{kind}/{name}': value for kind, values in memory.items()
            for name, value in values.items()}


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint as it was saved."""
    arrays, about = safetensors_file.load(path)
    if 'machine' not in about:
        raise FormatError(f'{path} has weights, but no state of a run to resume; start a new run '
                          f'from them with --weights {path}')
    weights_module.require_finite(arrays, path)
    weights: dict[str, Array] = {}
    memory: Memory = {}
    for name, array in arrays.items():
        if name.startswith('~'):
            kind, _, name = name[1:].partition('/')
            memory.setdefault(kind, {})[name] = array if array.ndim else array.item()
        else:
            weights[name] = array
    return Checkpoint(weights, memory, about)


def require_run_state(path: str | Path, about: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its run: step, best mean IU, recipe, seed, data set.

    Raises FormatError if it does not say so as `RunWriter` does. A checkpoint of version 0.1 knows
    no data set, and not at which step the mean IU was the best.
    """
    run = about.get('run')
    accepts: dict[str, Callable[[Any], bool]] = dict(
        step=lambda value: type(value) is int and value >= 0,
        best=lambda value: type(value) in (int, float) and 0 <= value <= 1,
        best_step=lambda value: value is None or type(value) is int and value >= 0,
        recipe=lambda value: isinstance(value, dict),
        seed=lambda value: type(value) is int,
        data=lambda value: value is None or is_fingerprint(value))
    if not isinstance(run, dict):
        raise _not_resumable(path, f'run is {run!r}')
    for key, is_right in accepts.items():
        if not is_right(run.get(key)):
            raise _not_resumable(path, f'its {key} is {run.get(key)!r}')
    if not isinstance(about.get('preprocess'), dict) or not isinstance(about['machine'], dict):
        raise _not_resumable(path, 'it does not say how images are preprocessed, and where')
    return run


def _not_resumable(path: str | Path, reason: str) -> FormatError:
    return FormatError(f'{printable(path)}: not a checkpoint of a run ({printable(reason)}); start '
                       f'a new run from its weights with --weights {printable(path)}')


def machine_differences(about: dict[str, Any]) -> list[str]:
    """A line for everything that is different here and may change the last bit of a result.

    Version 0.1 did not note its number of threads.
    """
    then = about['machine']
    now = machine_info()
    return [f'{key} was {then.get(key)} and is {now.get(key)}'
            for key in sorted(then.keys() | now.keys())
            if then.get(key) != now.get(key) and (key in then or key != 'threads')]
