"""A .safetensors that any reader can open; in one that `save` wrote, every bit is checked.

    save('fcn8s.safetensors', net.params, dict(net='fcn8s', n_class=21))
    arrays, about = load('fcn8s.safetensors')

A file is the length of its header, the header in JSON, and then the arrays, one after another
without gaps. The format itself has no checksum. A tinyfcn file has one text in its metadata, called
'tinyfcn': the CRC-32 of a JSON text that holds `about` and, by name, the CRC-32 of every array.

Budget of `load`: the arrays, the largest one twice, and 30 times the header, which has at most
8 MiB; 0.2 s a megabyte.
"""
import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any, BinaryIO, NamedTuple, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError, describe_read_errors, open_atomic, open_regular
from .about import check_about
from .arrays import Arrays, are_sizes, from_bfloat16, to_native

METADATA_KEY = 'tinyfcn'
MAX_HEADER = 8 << 20            # bytes; that of a net of 600 arrays has 60,000
DTYPES = dict(F64='float64', F32='float32', F16='float16', I64='int64', U64='uint64', I32='int32',
              U32='uint32', I16='int16', U16='uint16', I8='int8', U8='uint8', BOOL='bool')
STORED_DTYPES = dict(DTYPES, BF16='uint16')
T = TypeVar('T')


class Entry(NamedTuple):
    """What the header says of an array."""
    dtype: str
    shape: tuple[int, ...]
    start: int                      # its first byte, and the one after its last
    end: int


class Header(NamedTuple):
    """What a file says before its arrays."""
    text: str | None                # of `save`; None in a file of another program
    entries: dict[str, Entry]


def save(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]],
         about: Mapping[str, Any] | None = None) -> None:
    """Write {name: array}, and a dict that JSON can hold. `path` is replaced as a whole or not.

    An array may have any dtype of DTYPES; it is read back as it was.

    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f'{folder}/a.safetensors', {'conv1.w': np.zeros((2, 3, 1, 1))}, dict(steps=8))
    ...     arrays, about = load(f'{folder}/a.safetensors')
    >>> arrays['conv1.w'].shape, about
    ((2, 3, 1, 1), {'steps': 8})
    """
    # here, as Python in a browser (Pyodide) has no safetensors, and reads weights without it
    from safetensors.numpy import save as serialize

    stored = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype.name not in DTYPES.values():
            raise ValueError(f'{name} is {array.dtype}; weights are floats, integers or bools')
        stored[name] = _as_stored(array)

    checksums = {name: _checksum(name, array) for name, array in stored.items()}
    text = json.dumps(dict(about=about or {}, crc32=checksums), separators=(',', ':'))
    check_about(json.loads(text)['about'])              # else `load` would refuse the file
    data = serialize(stored, {METADATA_KEY: f'{crc32(text.encode()):08x} {text}'})
    if int.from_bytes(data[:8], 'little') > MAX_HEADER:
        raise ValueError(f'{path}: {len(stored):,} arrays and what is said about them need a '
                         f'header of more than {MAX_HEADER:,} bytes')
    with open_atomic(path) as file:
        file.write(data)


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {name: array}, about.   Every bit of a tinyfcn file is checked before it is returned.

    A .safetensors of another program has no checksums: its about is {}, and its float16 and
    bfloat16 become float32. All other dtypes stay what they are.
    """
    with open_regular(path) as file, describe_read_errors(path, 'safetensors file'):
        text, entries = _read_header(file)
        if text is None:
            return {name: to_native(name, _read_array(file, name, entry))
                    for name, entry in entries.items()}, {}

        about, checksums = _parsed_metadata(text)
        if unlisted := checksums.keys() ^ entries.keys():
            raise FormatError(f'damaged: {sorted(unlisted)} should be both in the list of arrays '
                              f'and in the file; get the file again')
        arrays = {}
        for name, checksum in checksums.items():        # in the order of saving
            array = arrays[name] = _read_array(file, name, entries[name])
            if _checksum(name, array) != checksum:
                raise FormatError(f'damaged: {name} is not what was saved (another CRC-32); get '
                                  f'the file again')
        return arrays, about


def weights_only(arrays: Mapping[str, T]) -> dict[str, T]:
    """Without the optimizer's state, which only a resumed run needs: names that begin with ~."""
    return {name: array for name, array in arrays.items() if not name.startswith('~')}


def is_tinyfcn_file(path: str | Path) -> bool:
    """Whether `save` wrote this file."""
    with open_regular(path) as file, describe_read_errors(path, 'safetensors file'):
        return _read_header(file).text is not None


def _read_header(file: BinaryIO) -> Header:
    """Every size is checked here, against the file, before an array is read.

    A file whose key is damaged must not pass as one of another program: its values show it.
    """
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), 'little')
    start = 8 + length
    if size < start:
        raise FormatError(f'{size:,} bytes, and the header alone has {start:,}: truncated, or '
                          f'not a safetensors file; get the file again')
    if length > MAX_HEADER:
        raise FormatError(f'a header of {length:,} bytes; that of a net has less than '
                          f'{MAX_HEADER:,}')
    header = json.loads(file.read(length).decode())
    metadata: dict[str, str] = header.pop('__metadata__', None) or {}
    entries = {name: _entry(name, value, start) for name, value in header.items()}
    _check_spans([(entry.start, entry.end) for entry in entries.values()], start, size)

    if not any(METADATA_KEY in key or 'crc32' in value for key, value in metadata.items()):
        return Header(None, entries)
    if [*metadata] != [METADATA_KEY]:
        raise FormatError(f'damaged: a tinyfcn file with the metadata {[*metadata]}; get the file '
                          f'again')
    return Header(metadata[METADATA_KEY], entries)


def _entry(name: str, value: Any, start: int) -> Entry:
    """{'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]}, counted from byte `start`"""
    if not isinstance(value, dict) or value.keys() != {'dtype', 'shape', 'data_offsets'}:
        raise FormatError(f'{name} is described by {short_repr(value)}: damaged; get the file '
                          f'again')
    dtype, shape, span = value['dtype'], value['shape'], value['data_offsets']
    if str(dtype) not in STORED_DTYPES:
        raise FormatError(f'{name} is {dtype}, which NumPy does not know')
    itemsize = np.dtype(STORED_DTYPES[dtype]).itemsize
    if not (are_sizes(shape) and are_sizes(span) and len(span) == 2
            and span[1] - span[0] == prod(shape) * itemsize):
        raise FormatError(f'{name} is {dtype} of shape {short_repr(shape)} in the bytes '
                          f'{short_repr(span)}: damaged; get the file again')
    return Entry(dtype, tuple(shape), start + span[0], start + span[1])


def _check_spans(spans: list[tuple[int, int]], start: int, size: int) -> None:
    """The arrays fill the rest of the file, without gaps and without overlaps."""
    needed = max((end for _, end in spans), default=start)
    if size < needed:
        raise FormatError(f'truncated: {size:,} bytes of {needed:,}; get the file again')
    at = start
    for begin, end in sorted(spans):
        if begin != at:
            raise FormatError(f'an array begins at byte {begin:,}, and the one before it ends at '
                              f'byte {at:,}: damaged; get the file again')
        at = end
    if needed < size:
        raise FormatError(f'{size - needed:,} bytes follow its arrays: damaged, or not a '
                          f'safetensors file; get it again')


def _parsed_metadata(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """'01234567 {"about": …, "crc32": …}' -> about, crc32"""
    checksum, _, content = text.partition(' ')
    if checksum != f'{crc32(content.encode()):08x}':
        raise FormatError('damaged: its header is not what was saved (another CRC-32); get the '
                          'file again')
    note = json.loads(content)
    return check_about(note['about']), note['crc32']


def _read_array(file: BinaryIO, name: str, entry: Entry) -> NDArray[Any]:
    native = np.dtype(STORED_DTYPES[entry.dtype])
    file.seek(entry.start)
    stored = np.fromfile(file, native.newbyteorder('<'), prod(entry.shape)).reshape(entry.shape)
    if entry.dtype == 'BF16':
        return from_bfloat16(stored)
    array: NDArray[Any] = np.require(stored, native, ['W'])
    return array


def _checksum(name: str, array: NDArray[Any]) -> int:
    """CRC-32 over name, dtype, shape and bytes."""
    head = f'{name} {array.dtype.name} {array.shape}'.encode()
    content = _as_stored(array).reshape(-1).view('uint8')
    return crc32(content.data, crc32(head))


def _as_stored(array: NDArray[Any]) -> NDArray[Any]:
    """C order and little-endian, as in the file."""
    return np.asarray(array, array.dtype.newbyteorder('<'), order='C')
