"""Labels that MATLAB has saved."""
import numpy as np

from ..files import reading
from .images import ImageError
from .labels import VOID
from .lists import existing


def read_mat(path, *keys):
    """The whole numbers of a .mat: of a variable, or of a field within it. -> (H, W)"""
    from scipy.io import loadmat
    with reading(existing(path), '.mat of MATLAB 4 … 7.2'):
        value = loadmat(path)
    there = [name for name in value if not name.startswith('__')]
    for key in keys:
        if key not in there:
            raise ImageError(f'{path}: no {key!r} in it; there is '
                               f'{", ".join(there) or "nothing"}')
        value = value[key]
        while value.dtype == object and value.size == 1:        # a field lies in a box
            value = value.item()
        there = value.dtype.names or []
    if value.dtype.kind == 'f' and (value == np.round(value)).all():        # MATLAB's own kind
        value = value.astype('int64')
    if value.dtype.kind not in 'iu' or value.ndim != 2:
        raise ImageError(f'{path}: {keys[-1]} is {value.dtype} {value.shape}; a label is a table '
                           f'of whole numbers, a row for each row of pixels')
    return value


def from_one(label):
    """MATLAB counts classes from 1, and 0 or less is void; here they count from 0."""
    return np.where(label <= 0, VOID, label.astype('int64') - 1)
