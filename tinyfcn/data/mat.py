"""Labels in MATLAB files."""
from pathlib import Path

import numpy as np

from ..files import ImageError, describe_read_errors, open_regular, printable
from ..files.mat import (
    KINDS,
    STRUCT,
    describe_kind,
    read_fields,
    read_numbers,
    read_variables,
    unbox,
)
from .labels import VOID, Array

MAX_BYTES = 1 << 26             # of a file, and what it expands to; a label of VOC has 200,000


def read_mat(path: Path, *keys: str) -> Array:
    """The integers in a .mat file: of a variable, or of a field within it. -> (H, W)"""
    with open_regular(path) as file:
        data = file.read(MAX_BYTES + 1)
    with describe_read_errors(path, '.mat of MATLAB 5 … 7.2'):
        if len(data) > MAX_BYTES:
            raise ValueError(f'more than {MAX_BYTES:,} bytes, and a label is far smaller')
        matrices = read_variables(memoryview(data), MAX_BYTES, 'a label')
    for key in keys:
        if key not in matrices:
            available = ', '.join(name for name in matrices if name)
            raise ImageError(f'{printable(path)}: it has no {key!r}, only '
                             f'{printable(available) or "nothing"}')
        with describe_read_errors(path, '.mat of MATLAB 5 … 7.2'):
            matrix = unbox(matrices[key])
            matrices = read_fields(matrix) if matrix.kind == STRUCT else {}
    found: object
    if matrix.kind < len(KINDS):
        found = describe_kind(matrix)
    else:
        with describe_read_errors(path, '.mat of MATLAB 5 … 7.2'):
            label = read_numbers(matrix)
        # MATLAB's default is double
        if label.dtype.kind == 'f' and (label == np.round(label)).all():
            label = label.astype('int64')
        if label.dtype.kind in 'iu' and label.ndim == 2:
            return label
        found = f'{label.dtype} {label.shape}'
    raise ImageError(f'{printable(path)}: {keys[-1]} is {found}; a label is a matrix of integers, '
                     f'one for each pixel')


def from_one_based(label: Array) -> Array:
    """MATLAB counts classes from 1, and 0 or less is void. Here they count from 0."""
    return np.where(label <= 0, VOID, label.astype('int64') - 1)
