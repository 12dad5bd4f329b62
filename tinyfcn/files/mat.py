"""The MATLAB 5 format, which .mat files have up to version 7.2: as much of it as is needed here.

SciPy reads more, but its compiled reader ends the process at some damaged files.

A file is a list of elements: a type, a length, and so many bytes. A matrix is an element whose
bytes are elements again: flags, dimensions, a name, then numbers, or the fields of a struct. What
is wrong in a file is a ValueError.
"""
import struct
import zlib
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER = 128                    # bytes at the beginning of a file
PIECE = 1 << 12                 # bytes of compressed data, which expand to 4 MB at most
MAX_ITEMS = 10_000              # of a cell array, or of an array of structs
MAX_AXES = 32

# types of elements
NUMBERS = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 9: 'f8', 12: 'i8',
           13: 'u8'}
ENCODINGS = {1: 'latin-1', 2: 'latin-1', 4: 'utf-16', 16: 'utf-8', 17: 'utf-16'}
MATRIX = 14
COMPRESSED = 15
# kinds of matrices, from 6 on of numbers
KINDS = ['nothing', 'a cell array', 'a struct', 'an object', 'text', 'a sparse matrix']
CELL = 1
STRUCT = 2
TEXT = 4
COMPLEX = 0x800                 # among the flags


class Matrix(NamedTuple):
    """A variable or a field: its head, and the elements that follow it."""

    name: str
    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    content: Iterator[tuple[int, memoryview]]
    order: str                  # of bytes: '<' or '>'


def read_variables(data: memoryview, max_bytes: int, what: str) -> dict[str, Matrix]:
    """The matrices of a file, by name.

    max_bytes: what compressed variables may expand to; `what` is far smaller
    """
    order = {b'IM': '<', b'MI': '>'}.get(bytes(data[126:HEADER]))
    if order is None:
        raise ValueError('no header of MATLAB 5')
    version, = struct.unpack_from(f'{order}H', data, 124)
    if version != 0x100:
        raise ValueError('MATLAB 7.3, which is HDF5: save it with -v7')
    matrices = {}
    bytes_left = max_bytes
    for kind, content in _elements(data[HEADER:], order):
        if kind == COMPRESSED:
            expanded = _decompress(content, bytes_left, what)
            bytes_left -= len(expanded)
            kind, content = _take(_elements(memoryview(expanded), order))
        if kind == MATRIX:
            matrix = _parse(content, order)
            matrices[matrix.name] = matrix
    return matrices


def unbox(matrix: Matrix) -> Matrix:
    """What is in a cell array of one cell; MATLAB puts fields into such."""
    while matrix.kind == CELL and prod(matrix.shape) == 1:
        matrix = _parse(_take(matrix.content)[1], matrix.order)
    return matrix


def read_cells(matrix: Matrix) -> Iterator[Matrix]:
    """The matrices in a cell array, one after another."""
    for _ in range(_count_items(matrix)):
        yield _parse(_take(matrix.content)[1], matrix.order)


def read_structs(matrix: Matrix) -> Iterator[dict[str, Matrix]]:
    """The fields of each struct in an array of structs."""
    length, = struct.unpack_from(f'{matrix.order}i', _take(matrix.content)[1])
    text = bytes(_take(matrix.content)[1])
    if length < 1:
        raise ValueError(f'names of {length} characters')
    names = [text[at:at + length].partition(b'\0')[0].decode('latin-1')
             for at in range(0, len(text), length)]
    if len(names) > MAX_ITEMS:
        raise ValueError(f'a struct of {len(names)} fields')
    for _ in range(_count_items(matrix)):
        yield {name: _parse(_take(matrix.content)[1], matrix.order) for name in names}


def read_fields(matrix: Matrix) -> dict[str, Matrix]:
    """The fields of a single struct."""
    if prod(matrix.shape) != 1:
        raise ValueError(f'an array of {matrix.shape} structs')
    fields, = read_structs(matrix)
    return fields


def read_text(matrix: Matrix) -> str:
    """The characters of a row of text; '' of an empty one."""
    if matrix.kind != TEXT:
        raise ValueError(f'{describe_kind(matrix)} where text is needed')
    if not prod(matrix.shape):
        return ''
    kind, content = _take(matrix.content)
    encoding = ENCODINGS.get(kind, '')
    if encoding == 'utf-16':
        encoding = f'utf-16-{"le" if matrix.order == "<" else "be"}'
    return bytes(content).decode(encoding)


def read_numbers(matrix: Matrix) -> NDArray[Any]:
    """The numbers of a matrix, in the type in which they are stored."""
    kind, content = _take(matrix.content)
    if kind not in NUMBERS or matrix.is_complex:
        raise ValueError('complex numbers' if matrix.is_complex else f'numbers of type {kind}')
    numbers = np.frombuffer(content, f'{matrix.order}{NUMBERS[kind]}')
    array: NDArray[Any] = numbers.reshape(matrix.shape, order='F')
    return array.astype(array.dtype.newbyteorder('='))


def describe_kind(matrix: Matrix) -> str:
    return KINDS[matrix.kind] if matrix.kind < len(KINDS) else 'numbers'


def _count_items(matrix: Matrix) -> int:
    count = prod(matrix.shape)
    if not 0 <= count <= MAX_ITEMS:
        raise ValueError(f'an array of {count:,} items')
    return count


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


def _decompress(data: memoryview, max_bytes: int, what: str) -> bytes:
    """zlib's inverse; an error comes before more than max_bytes + 4 MB are in memory."""
    decompressor = zlib.decompressobj()
    pieces = []
    total = 0
    for start in range(0, len(data), PIECE):
        pieces.append(decompressor.decompress(data[start:start + PIECE]))
        total += len(pieces[-1])
        if total > max_bytes:
            raise ValueError(f'expands to more than {max_bytes:,} bytes, and {what} is far smaller')
    if not decompressor.eof:                            # the checksum follows the data
        raise ValueError('cut short')
    return b''.join(pieces)


def _parse(data: memoryview, order: str) -> Matrix:
    """The head of a matrix. One without any bytes is empty."""
    if not data:
        return Matrix('', 6, False, (0, 0), iter([(1, data)]), order)
    content = _elements(data, order)
    flags, = struct.unpack_from(f'{order}I', _take(content)[1])
    shape = np.frombuffer(_take(content)[1], f'{order}i4').tolist()
    if len(shape) > MAX_AXES:
        raise ValueError(f'a matrix of {len(shape)} axes')
    name = bytes(_take(content)[1]).decode('latin-1')
    return Matrix(name, flags & 0xFF, bool(flags & COMPLEX), tuple(shape), content, order)
