"""A state dict of torch.save, in its zip or in its older form, without torch.

Both hold a pickle, which `unpickle` follows, and the raw bytes of every storage.
"""
import mmap
import zipfile
from functools import lru_cache
from math import prod
from reprlib import repr as abridged
from struct import unpack_from

import numpy as np

from ..files import FormatError, reading
from .dtypes import from_bfloat16, plain
from .file import MOST
from .unpickle import ADVICE, Tensor, follow

MAGIC, VERSION = 0x1950a86a20f9469cfc6c, 1001           # how the older form begins
NESTED = 'state_dict', 'model_state_dict', 'model'      # where a checkpoint has its state dict


def load(path):
    """-> {name: array}, {}.   A .pth or .pt, of torch.save's zip or its older form.

    Halves and bfloat16 become float32. Of a checkpoint {'state_dict': …, 'epoch': …} the state
    dict is taken; what is no tensor in it is left.
    """
    with reading(path, 'state dict of torch.save'), open(path, 'rb') as file:
        if file.read(2) == b'PK':
            with zipfile.ZipFile(path) as archive:
                return _arrays(*_zipped(archive)), {}
        return _arrays(*_legacy(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))), {}


def _zipped(archive):
    """-> the object, and what gives the bytes of a storage by its key"""
    members = {member.filename: member for member in archive.infolist()}
    pickles = [name for name in members if name.split('/')[-1] == 'data.pkl']
    if len(pickles) != 1 or any(name.endswith('constants.pkl') for name in members):
        raise FormatError(f'a TorchScript archive, or no file of torch.save; {ADVICE}')
    if any(member.compress_type for member in members.values()):
        raise FormatError('packed, as torch.save never does')           # a bomb would be
    folder = pickles[0].removesuffix('data.pkl')
    if f'{folder}byteorder' in members and archive.read(f'{folder}byteorder') != b'little':
        raise FormatError('saved on a big-endian machine: save it again on a common one')
    with archive.open(pickles[0]) as file:
        found = follow(file)
    return found, lru_cache(1)(lambda key: archive.read(f'{folder}data/{key}'))


def _legacy(file):
    """Five pickles: magic, version, system, object, keys; then of each key a size and the bytes."""
    if follow(file) != MAGIC or follow(file) != VERSION:
        raise FormatError('no file of torch.save')
    follow(file)
    found, keys = follow(file, storages := {}), follow(file)
    sizes = {key: np.dtype(storage.dtype).itemsize for key, storage in storages.items()}
    where, i = {}, file.tell()
    for key in keys:
        if not isinstance(key, str):
            raise FormatError(f'{abridged(key)} is no name of a storage: damaged')
        count, = unpack_from('<q', file, i)
        where[key] = slice(i + 8, i + 8 + count * sizes[key])
        if count < 0 or where[key].stop > len(file):
            raise FormatError(f'truncated: {count:,} numbers begin at byte {i + 8:,} of '
                              f'{len(file):,}; get the file again')
        i = where[key].stop
    return found, lambda key: file[where[key]]


def _tensors(found):
    """The tensors of a state dict, or of the one in a checkpoint -> {name: Tensor}"""
    if not isinstance(found, dict):
        raise FormatError(f'a {type(found).__name__} was saved, not a dict of tensors; {ADVICE}')
    for nested in (found, *(found.get(key) for key in NESTED)):
        if isinstance(nested, dict):
            tensors = {str(name): t for name, t in nested.items() if isinstance(t, Tensor)}
            if tensors:
                return tensors
    raise FormatError(f'no tensors are in it, but {[*found][:5]}; {ADVICE}')


def _arrays(found, raw):
    tensors = _tensors(found)
    if (total := sum(_size(name, t) for name, t in tensors.items())) > MOST:
        raise FormatError(f'its tensors would fill {total:,} bytes; the limit is {MOST:,}')
    return {name: _array(name, t, raw(t.storage.key)) for name, t in tensors.items()}


def _size(name, tensor):
    """The bytes of a tensor, which is refused where it reaches beyond its storage."""
    storage, offset, shape, stride = tensor
    whole = all(type(n) is int and n >= 0 for n in (offset, *shape, *stride))
    if not whole or len(shape) != len(stride):
        raise FormatError(f'{name} has shape {abridged(shape)}, stride {abridged(stride)} and '
                          f'offset {abridged(offset)}: whole numbers are needed')
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride))
    if prod(shape) > storage.size or prod(shape) and last >= storage.size:
        raise FormatError(f'{name} {shape} reaches beyond its storage of {storage.size:,} numbers')
    return prod(shape) * np.dtype(storage.dtype).itemsize


def _array(name, tensor, raw):
    storage, offset, shape, stride = tensor
    flat = np.frombuffer(raw, storage.dtype)
    if flat.size != storage.size:
        raise FormatError(f'{name}: its storage has {flat.size:,} of {storage.size:,} numbers; '
                          f'get the file again')
    if not prod(shape):
        array = np.zeros(shape, flat.dtype)
    else:
        steps = [step * flat.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps)
    return from_bfloat16(array) if storage.dtype == '<u2' else plain(name, array)
