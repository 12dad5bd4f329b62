"""Labels in MATLAB files."""
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..files import ImageError, describe_read_errors, open_regular, printable
from .labels import VOID, Array

HEADER = 128                    # bytes at the beginning of a file of MATLAB 5 … 7.2
COMPRESSED = 15                 # the type of a variable that zlib has compressed
MAX_BYTES = 1 << 26             # that a file may expand to; a label of VOC has 200,000
PIECE = 1 << 12                 # bytes, which expand to 4 MB at most


def read_mat(path: Path, *keys: str) -> Array:
    """The integers in a .mat file: of a variable, or of a field within it. -> (H, W)"""
    from scipy.io import loadmat
    with open_regular(path) as file:
        if any(total > MAX_BYTES for total in _expanded_bytes(file.read(MAX_BYTES + 1))):
            raise ImageError(f'{printable(path)}: expands to more than {MAX_BYTES:,} bytes; a '
                             f'label is far smaller')
        file.seek(0)
        with describe_read_errors(path, '.mat of MATLAB 4 … 7.2'):
            value = loadmat(file)
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


def _expanded_bytes(data: bytes) -> Iterator[int]:
    """How many bytes the file and its variables have, counted up while they are expanded."""
    total = len(data)
    yield total
    order = '>' if data[126:128] == b'MI' else '<'
    at = HEADER
    while at + 8 <= len(data):
        kind, length = np.frombuffer(data, f'{order}u4', 2, at).tolist()
        at += 8
        if kind == COMPRESSED:
            decompressor = zlib.decompressobj()
            variable = data[at:at + length]
            for start in range(0, len(variable), PIECE):
                try:
                    total += len(decompressor.decompress(variable[start:start + PIECE]))
                except zlib.error:                      # which reading it will report
                    return
                yield total
        at += length


def from_one_based(label: Array) -> Array:
    """MATLAB counts classes from 1, and 0 or less is void. Here they count from 0."""
    return np.where(label <= 0, VOID, label.astype('int64') - 1)
