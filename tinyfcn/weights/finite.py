"""Weights that are nan or infinite: what a training leaves that has diverged."""
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError, printable

BLOCK = 1 << 20                 # numbers that are tested at once, which bounds the memory


def count_non_finite(arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """How many values are nan or infinite, of each array that has any.

    >>> import numpy as np
    >>> count_non_finite({'conv.w': np.ones(4), 'conv.b': np.array([0., np.nan, np.inf])})
    {'conv.b': 2}
    """
    counts = {}
    for name, array in arrays.items():
        if array.dtype.kind in 'fc' and (count := _count(array)):
            counts[name] = count
    return counts


def require_finite(arrays: Mapping[str, NDArray[Any]], path: str | os.PathLike[str]) -> None:
    """Raise FormatError for weights that are nan or infinite, with the file and the arrays.

    >>> import numpy as np
    >>> require_finite({'conv.w': np.ones(4)}, 'net.safetensors')
    """
    counts = count_non_finite(arrays)
    if counts:
        name = next(iter(counts))
        others = f' (arrays with such values: {len(counts)})' if len(counts) > 1 else ''
        raise FormatError(
            f'{printable(path, limit=None)}: {counts[name]:,} of the {arrays[name].size:,} values '
            f'of {printable(name)} are nan or infinite{others}; the training that wrote the file '
            f'diverged: take an earlier file, or train again with a smaller lr')


def _count(array: NDArray[Any]) -> int:
    flat = array.reshape(-1)
    return sum(int(flat[i:i + BLOCK].size - np.isfinite(flat[i:i + BLOCK]).sum())
               for i in range(0, flat.size, BLOCK))
