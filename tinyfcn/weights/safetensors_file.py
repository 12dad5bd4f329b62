"""tinyfcn's own file: a .safetensors that any reader can open, and whose every bit is checked.

    save('fcn8s.safetensors', net.params, dict(net='fcn8s', n_class=21))
    arrays, about = load('fcn8s.safetensors')

The format itself carries no checksum. Ours has one note in its metadata, called 'tinyfcn': the
CRC-32 of a JSON text that holds `about` and, by name, the CRC-32 of every array.
"""
import json
import os
from zlib import crc32

import numpy as np
import safetensors
from safetensors.numpy import save as packed

from ..files import FormatError, reading, replacing
from .dtypes import from_bfloat16, plain

KEY = 'tinyfcn'
DTYPES = dict(F64='float64', F32='float32', F16='float16', I64='int64', U64='uint64', I32='int32',
              U32='uint32', I16='int16', U16='uint16', I8='int8', U8='uint8', BOOL='bool')


def save(path, arrays, about=None):
    """Write {name: array}, and a dict that JSON knows. `path` is replaced whole, or left as it is.

    An array may have any dtype of DTYPES; it is read back as it was.
    """
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES.values():
            raise ValueError(f'{name} is {array.dtype}; weights are floats, integers or bools')
        arrays[name] = _little(array)
    sums = {name: _crc(name, array) for name, array in arrays.items()}
    text = json.dumps(dict(about=about or {}, crc32=sums), separators=(',', ':'))
    data = packed(arrays, {KEY: f'{crc32(text.encode()):08x} {text}'})
    with replacing(path) as file:
        file.write(data)


def load(path):
    """-> {name: array}, about.   Every bit of an own file is checked before anything is given.

    A .safetensors from elsewhere has nothing to check by: its about is {}, and its float16 and
    bfloat16 become float32. All other dtypes stay what they are.
    """
    with reading(path, 'safetensors file'):
        note, arrays = _parts(path)
        if note is None:
            return {name: plain(name, array) for name, array in arrays.items()}, {}
        about, sums = _checked(note)
        if odd := sums.keys() ^ arrays.keys():
            raise FormatError(f'damaged: {sorted(odd)} should be both in the list of arrays and '
                              f'in the file; get the file again')
        for name, array in arrays.items():
            if _crc(name, array) != sums[name]:
                raise FormatError(f'damaged: {name} is not what was saved (another CRC-32); get '
                                  f'the file again')
        return {name: arrays[name] for name in sums}, about     # in the order of saving


def weights_only(arrays):
    """Without what only a run needs that goes on from its checkpoint: names that begin with ~."""
    return {name: array for name, array in arrays.items() if not name.startswith('~')}


def is_ours(path):
    """Whether `save` wrote this file."""
    with reading(path, 'safetensors file'), open(path, 'rb') as file:
        return _note(file) is not None


def _parts(path):
    """-> the note, or None; and the arrays as they lie in the file"""
    with open(path, 'rb') as file:
        note = _note(file)
        file.seek(0)
        return note, {name: _array(name, **tensor)
                      for name, tensor in safetensors.deserialize(file.read())}


def _note(file):
    """Our text in the metadata; a damaged key must not make of our file a file from elsewhere."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), 'little')
    if size < 8 + length:
        raise FormatError(f'{size:,} bytes, and the header alone has {8 + length:,}: truncated, or '
                          f'no safetensors file; get the file again')
    header = json.loads(file.read(length))
    metadata = header.pop('__metadata__', None) or {}
    needed = 8 + length + max((tensor['data_offsets'][1] for tensor in header.values()), default=0)
    if size < needed:
        raise FormatError(f'truncated: {size:,} bytes of {needed:,}; get the file again')
    if not any(KEY in key or 'crc32' in value for key, value in metadata.items()):
        return None
    if [*metadata] != [KEY]:
        raise FormatError(f'damaged: a file of tinyfcn with the metadata {[*metadata]}; get the '
                          f'file again')
    return metadata[KEY]


def _checked(note):
    """'01234567 {"about": …, "crc32": …}' -> about, crc32"""
    crc, _, text = note.partition(' ')
    if crc != f'{crc32(text.encode()):08x}':
        raise FormatError('damaged: its header is not what was saved (another CRC-32); get the '
                          'file again')
    return json.loads(text).values()


def _array(name, dtype, shape, data):
    if dtype == 'BF16':
        return from_bfloat16(np.frombuffer(data, '<u2').reshape(shape))
    if dtype not in DTYPES:
        raise FormatError(f'{name} is {dtype}, which NumPy does not know')
    little = np.dtype(DTYPES[dtype]).newbyteorder('<')
    return np.require(np.frombuffer(data, little).reshape(shape), DTYPES[dtype], 'W')


def _crc(name, array):
    """CRC-32 over name, dtype, shape and bytes."""
    head = f'{name} {array.dtype.name} {array.shape}'.encode()
    return crc32(_little(array).reshape(-1).view('uint8'), crc32(head))


def _little(array):
    """Row by row, the lowest byte of a number first: as it lies in the file."""
    return np.asarray(array, array.dtype.newbyteorder('<'), order='C')
