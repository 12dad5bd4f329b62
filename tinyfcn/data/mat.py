"""Labels in MATLAB files."""
from pathlib import Path

import numpy as np

from ..files import ImageError, describe_read_errors, printable
from .labels import VOID, Array
from .paths import require_file


def read_mat(path: Path, *keys: str) -> Array:
    """The integers in a .mat file: of a variable, or of a field within it. -> (H, W)"""
    from scipy.io import loadmat
    with describe_read_errors(require_file(path), '.mat of MATLAB 4 … 7.2'):
        value = loadmat(path)
    available = [name for name in value if not name.startswith('__')]
    for key in keys:
        if key not in available:
            raise ImageError(f'{printable(path)}: it has no {key!r}, only '
                             f'{printable(", ".join(available)) or "nothing"}')
        value = value[key]
        while value.dtype == object and value.size == 1:        # MATLAB boxes fields
            value = value.item()
        available = value.dtype.names or []
    label: Array = value
    if label.dtype.kind == 'f' and (label == np.round(label)).all():   # MATLAB's default is double
        label = label.astype('int64')
    if label.dtype.kind not in 'iu' or label.ndim != 2:
        raise ImageError(f'{printable(path)}: {keys[-1]} is {label.dtype} {label.shape}; a label '
                         f'is a matrix of integers, one for each pixel')
    return label


def from_one_based(label: Array) -> Array:
    """MATLAB counts classes from 1, and 0 or less is void. Here they count from 0."""
    return np.where(label <= 0, VOID, label.astype('int64') - 1)
