"""A .safetensors that any reader can open; in one that `save` wrote, every bit is checked.

    save('fcn8s.safetensors', net.params, dict(net='fcn8s', n_class=21))
    arrays, about = load('fcn8s.safetensors')

The format itself has no checksum. A tinyfcn file has one text in its metadata, called 'tinyfcn':
the CRC-32 of a JSON text that holds `about` and, by name, the CRC-32 of every array.
"""
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from zlib import crc32

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save as serialize

from ..files import FormatError, describe_read_errors, open_atomic
from .arrays import Arrays, from_bfloat16, to_native

METADATA_KEY = 'tinyfcn'
DTYPES = dict(F64='float64', F32='float32', F16='float16', I64='int64', U64='uint64', I32='int32',
              U32='uint32', I16='int16', U16='uint16', I8='int8', U8='uint8', BOOL='bool')
T = TypeVar('T')


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
    stored = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype.name not in DTYPES.values():
            raise ValueError(f'{name} is {array.dtype}; weights are floats, integers or bools')
        stored[name] = _as_stored(array)

    checksums = {name: _checksum(name, array) for name, array in stored.items()}
    text = json.dumps(dict(about=about or {}, crc32=checksums), separators=(',', ':'))
    data = serialize(stored, {METADATA_KEY: f'{crc32(text.encode()):08x} {text}'})
    with open_atomic(path) as file:
        file.write(data)


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {name: array}, about.   Every bit of a tinyfcn file is checked before it is returned.

    A .safetensors of another program has no checksums: its about is {}, and its float16 and
    bfloat16 become float32. All other dtypes stay what they are.
    """
    with describe_read_errors(path, 'safetensors file'):
        text, arrays = _read(path)
        if text is None:
            return {name: to_native(name, array) for name, array in arrays.items()}, {}

        about, checksums = _parsed_metadata(text)
        if unlisted := checksums.keys() ^ arrays.keys():
            raise FormatError(f'damaged: {sorted(unlisted)} should be both in the list of arrays '
                              f'and in the file; get the file again')
        for name, array in arrays.items():
            if _checksum(name, array) != checksums[name]:
                raise FormatError(f'damaged: {name} is not what was saved (another CRC-32); get '
                                  f'the file again')
        return {name: arrays[name] for name in checksums}, about    # in the order of saving


def weights_only(arrays: Mapping[str, T]) -> dict[str, T]:
    """Without the optimizer's state, which only a resumed run needs: names that begin with ~."""
    return {name: array for name, array in arrays.items() if not name.startswith('~')}


def is_tinyfcn_file(path: str | Path) -> bool:
    """Whether `save` wrote this file."""
    with describe_read_errors(path, 'safetensors file'), open(path, 'rb') as file:
        return _read_metadata(file) is not None


def _read(path: str | Path) -> tuple[str | None, Arrays]:
    """-> the text of `save`, or None; and the arrays as the file has them, not yet checked"""
    with open(path, 'rb') as file:
        text = _read_metadata(file)
        file.seek(0)
        tensors = safetensors.deserialize(file.read())      # type: ignore[no-untyped-call]
        return text, {name: _array(name, **tensor) for name, tensor in tensors}


def _read_metadata(file: BinaryIO) -> str | None:
    """The text that `save` put into the metadata; None in a file of another program.

    A file whose key is damaged must not pass as one of another program: its values show it.
    """
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), 'little')
    if size < 8 + length:
        raise FormatError(f'{size:,} bytes, and the header alone has {8 + length:,}: truncated, or '
                          f'not a safetensors file; get the file again')
    header = json.loads(file.read(length))
    metadata: dict[str, str] = header.pop('__metadata__', None) or {}
    ends = (tensor['data_offsets'][1] for tensor in header.values())
    needed = 8 + length + max(ends, default=0)
    if size < needed:
        raise FormatError(f'truncated: {size:,} bytes of {needed:,}; get the file again')

    if not any(METADATA_KEY in key or 'crc32' in value for key, value in metadata.items()):
        return None
    if [*metadata] != [METADATA_KEY]:
        raise FormatError(f'damaged: a tinyfcn file with the metadata {[*metadata]}; get the file '
                          f'again')
    return metadata[METADATA_KEY]


def _parsed_metadata(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """'01234567 {"about": …, "crc32": …}' -> about, crc32"""
    checksum, _, content = text.partition(' ')
    if checksum != f'{crc32(content.encode()):08x}':
        raise FormatError('damaged: its header is not what was saved (another CRC-32); get the '
                          'file again')
    about, checksums = json.loads(content).values()
    return about, checksums


def _array(name: str, dtype: str, shape: list[int], data: bytes) -> NDArray[Any]:
    if dtype == 'BF16':
        return from_bfloat16(np.frombuffer(data, '<u2').reshape(shape))
    if dtype not in DTYPES:
        raise FormatError(f'{name} is {dtype}, which NumPy does not know')
    native = np.dtype(DTYPES[dtype])
    stored = np.frombuffer(data, native.newbyteorder('<')).reshape(shape)
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
