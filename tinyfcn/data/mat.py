"""Labels in MATLAB files: as much of the format as they need.

SciPy reads more, but its compiled reader ends the process at some damaged files.

A file is a list of elements: a type, a length, and so many bytes. A matrix is an element whose
bytes are elements again: flags, dimensions, a name, then numbers, or the fields of a struct.
"""
import struct
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import ImageError, describe_read_errors, open_regular, printable
from .labels import VOID, Array

HEADER = 128                    # bytes at the beginning of a file
MAX_BYTES = 1 << 26             # of a file, and what it expands to; a label of VOC has 200,000
PIECE = 1 << 12                 # bytes of compressed data, which expand to 4 MB at most

# types of elements
NUMBERS = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 9: 'f8', 12: 'i8',
           13: 'u8'}
MATRIX = 14
COMPRESSED = 15
# kinds of matrices, from 6 on of numbers
KINDS = ['nothing', 'a cell array', 'a struct', 'an object', 'text', 'a sparse matrix']
CELL = 1
STRUCT = 2
COMPLEX = 0x800                 # among the flags


class Matrix(NamedTuple):
    """A variable or a field: its head, and the elements that follow it."""

    name: str
    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    content: Iterator[tuple[int, memoryview]]
    order: str                  # of bytes: '<' or '>'


def read_mat(path: Path, *keys: str) -> Array:
    """The integers in a .mat file: of a variable, or of a field within it. -> (H, W)"""
    with open_regular(path) as file:
        data = file.read(MAX_BYTES + 1)
    with describe_read_errors(path, '.mat of MATLAB 5 … 7.2'):
        matrices = _variables(data)
    for key in keys:
        if key not in matrices:
            available = ', '.join(name for name in matrices if name)
            raise ImageError(f'{printable(path)}: it has no {key!r}, only '
                             f'{printable(available) or "nothing"}')
        with describe_read_errors(path, '.mat of MATLAB 5 … 7.2'):
            matrix = _unbox(matrices[key])
            matrices = _fields(matrix) if matrix.kind == STRUCT else {}
    found: object
    if matrix.kind < len(KINDS):
        found = KINDS[matrix.kind]
    else:
        with describe_read_errors(path, '.mat of MATLAB 5 … 7.2'):
            label = _numbers(matrix)
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


# ---- the format ----------------------------------------------------------------------------------

def _variables(data: bytes) -> dict[str, Matrix]:
    """The matrices of a file, by name."""
    if len(data) > MAX_BYTES:
        raise ValueError(_too_large())
    order = {b'IM': '<', b'MI': '>'}.get(data[126:HEADER])
    if order is None:
        raise ValueError('no header of MATLAB 5')
    version, = struct.unpack_from(f'{order}H', data, 124)
    if version != 0x100:
        raise ValueError('MATLAB 7.3, which is HDF5: save it with -v7')
    matrices = {}
    bytes_left = MAX_BYTES
    for kind, content in _elements(memoryview(data)[HEADER:], order):
        if kind == COMPRESSED:
            expanded = _decompress(content, bytes_left)
            bytes_left -= len(expanded)
            kind, content = _take(_elements(memoryview(expanded), order))
        if kind == MATRIX:
            matrix = _parse(content, order)
            matrices[matrix.name] = matrix
    return matrices


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """-> the type and the bytes of one element after another"""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError('cut short')
        kind, length = struct.unpack_from(f'{order}II', data, at)
        start = at + 8
        following = start + length + (0 if kind == COMPRESSED else -length % 8)
        if kind >> 16:                                  # 4 bytes or less stand in place of a length
            kind, length = kind & 0xFFFF, kind >> 16
            start = at + 4
            following = at + 8
        if start + length > min(len(data), following):
            raise ValueError('cut short')
        yield kind, data[start:start + length]
        at = following


def _take(elements: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    for element in elements:
        return element
    raise ValueError('cut short')


def _decompress(data: memoryview, max_bytes: int) -> bytes:
    """zlib's inverse; an error comes before more than max_bytes + 4 MB are in memory."""
    decompressor = zlib.decompressobj()
    pieces = []
    total = 0
    for start in range(0, len(data), PIECE):
        pieces.append(decompressor.decompress(data[start:start + PIECE]))
        total += len(pieces[-1])
        if total > max_bytes:
            raise ValueError(_too_large())
    if not decompressor.eof:                            # the checksum follows the data
        raise ValueError('cut short')
    return b''.join(pieces)


def _too_large() -> str:
    return f'expands to more than {MAX_BYTES:,} bytes, and a label is far smaller'


def _parse(data: memoryview, order: str) -> Matrix:
    """The head of a matrix. One without any bytes is empty."""
    if not data:
        return Matrix('', 6, False, (0, 0), iter([(1, data)]), order)
    content = _elements(data, order)
    flags, = struct.unpack_from(f'{order}I', _take(content)[1])
    shape = np.frombuffer(_take(content)[1], f'{order}i4').tolist()
    name = bytes(_take(content)[1]).decode('latin-1')
    return Matrix(name, flags & 0xFF, bool(flags & COMPLEX), tuple(shape), content, order)


def _unbox(matrix: Matrix) -> Matrix:
    """What is in a cell array of one cell; MATLAB puts fields into such."""
    while matrix.kind == CELL and prod(matrix.shape) == 1:
        matrix = _parse(_take(matrix.content)[1], matrix.order)
    return matrix


def _fields(matrix: Matrix) -> dict[str, Matrix]:
    """The fields of a struct."""
    length, = struct.unpack_from(f'{matrix.order}i', _take(matrix.content)[1])
    text = bytes(_take(matrix.content)[1])
    if length < 1 or prod(matrix.shape) != 1:
        raise ValueError(f'an array of {matrix.shape} structs')
    names = [text[at:at + length].partition(b'\0')[0] for at in range(0, len(text), length)]
    return {name.decode('latin-1'): _parse(_take(matrix.content)[1], matrix.order)
            for name in names}


def _numbers(matrix: Matrix) -> Array:
    """The numbers of a matrix, in the type in which they are stored."""
    kind, content = _take(matrix.content)
    if kind not in NUMBERS or matrix.is_complex:
        raise ValueError('complex numbers' if matrix.is_complex else f'numbers of type {kind}')
    numbers = np.frombuffer(content, f'{matrix.order}{NUMBERS[kind]}')
    array: Array = numbers.reshape(matrix.shape, order='F')
    return array.astype(array.dtype.newbyteorder('='))
