"""A state dict of torch.save, in its zip or in its older form, without torch.

Both hold a pickle, which `unpickle` interprets without running it, and the raw bytes of every
storage.

Budget: the tensors, the largest storage once more, and 80 times the pickles, which take at most
MAX_OPCODES steps each; 1 s a megabyte of pickle, and .1 s a megabyte of tensors. Storages together
are no larger than the file, and each is read once.
"""
import mmap
import os
import zipfile
from collections.abc import Callable
from io import BytesIO
from math import prod
from pathlib import Path
from struct import unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError, describe_read_errors, open_regular
from .arrays import (
    MAX_BYTES,
    Arrays,
    are_sizes,
    check_members,
    check_size,
    from_bfloat16,
    largest_expansion,
    to_native,
)
from .note import read_note
from .unpickle import ADVICE, Storage, Tensor, interpret, short_repr

# how the older form begins
MAGIC = 0x1950a86a20f9469cfc6c
VERSION = 1001
# where a checkpoint has its state dict, and how deep one may lie in others
NESTED = ('state_dict', 'model_state_dict', 'model_state', 'model', 'net', 'network', 'weights',
          'params', 'module')
MAX_DEPTH = 3

ReadStorage = Callable[[str], bytes]                    # the key of a storage -> its bytes


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {name: array}, about.   A .pth or .pt, of torch.save's zip or its older form.

    float16 and bfloat16 become float32. Of a checkpoint {'state_dict': …, 'epoch': …} the tensors
    of the state dict are read, and of what stands beside it only `arch`, the name of the net, is
    returned. about is empty otherwise, but for files of `export_net`, which say all of their net.
    """
    with open_regular(path) as file, describe_read_errors(path, 'state dict of torch.save'):
        size = os.fstat(file.fileno()).st_size
        if file.read(2) == b'PK':
            with zipfile.ZipFile(file) as archive:
                check_members(archive.infolist(), size)
                found, read_storage, note = _read_zip(archive)
                return _arrays(found, read_storage, size), note or _about(found)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        found, read_storage = _read_legacy(data)
        return _arrays(found, read_storage, size), _about(found)


def _read_zip(archive: zipfile.ZipFile) -> tuple[Any, ReadStorage, dict[str, Any]]:
    """-> the pickled object, a function that reads a storage, and the note of `export_net`"""
    members = {member.filename: member for member in archive.infolist()}
    pickles = [name for name in members if name.split('/')[-1] == 'data.pkl']
    if len(pickles) != 1 or any(name.endswith('constants.pkl') for name in members):
        raise FormatError(f'a TorchScript archive, or not a file of torch.save; {ADVICE}')
    if any(member.compress_type for member in members.values()):
        # torch.save never compresses; a zip bomb would be compressed
        raise FormatError('compressed, which torch.save never does')
    folder = pickles[0].removesuffix('data.pkl')
    if f'{folder}byteorder' in members and archive.read(f'{folder}byteorder') != b'little':
        raise FormatError('saved on a big-endian machine: save it again on a little-endian one')
    found = interpret(BytesIO(archive.read(pickles[0])))
    return found, lambda key: archive.read(f'{folder}data/{key}'), read_note(archive, folder)


def _read_legacy(file: mmap.mmap) -> tuple[Any, ReadStorage]:
    """Five pickles: magic, version, system, object, keys; then of each key a size and the bytes."""
    if interpret(file) != MAGIC or interpret(file) != VERSION:
        raise FormatError('not a file of torch.save')
    interpret(file)
    storages: dict[str, Storage] = {}
    found = interpret(file, storages)
    keys = interpret(file)

    spans: dict[str, slice] = {}
    i = file.tell()
    for key in keys:
        if not isinstance(key, str):
            raise FormatError(f'{short_repr(key)} is not the name of a storage: damaged')
        count, = unpack_from('<q', file, i)
        start = i + 8
        end = start + count * np.dtype(storages[key].dtype).itemsize
        if count < 0 or end > len(file):
            raise FormatError(f'truncated: {count:,} numbers begin at byte {start:,} of '
                              f'{len(file):,}; get the file again')
        spans[key] = slice(start, end)
        i = end
    return found, lambda key: file[spans[key]]


def _arrays(found: Any, read_storage: ReadStorage, file_size: int) -> Arrays:
    tensors = _tensors(found)
    limit = min(MAX_BYTES, largest_expansion(file_size))
    check_size(sum(_size(name, t) for name, t in tensors.items()), limit, 'tensors')
    storages = {t.storage.key: t.storage for t in tensors.values()}
    total = sum(storage.size * np.dtype(storage.dtype).itemsize for storage in storages.values())
    if total > file_size:
        raise FormatError(f'truncated: its {len(storages):,} storages have {total:,} bytes, and '
                          f'the file {file_size:,}; get the file again')

    arrays = {}
    key = None
    for name in sorted(tensors, key=lambda name: tensors[name].storage.key):
        if tensors[name].storage.key != key:            # each storage is read once
            key = tensors[name].storage.key
            data = read_storage(key)
        arrays[name] = _array(name, tensors[name], data)
    return {name: arrays[name] for name in tensors}


def _about(found: dict[str, Any]) -> dict[str, Any]:
    arch = found.get('arch')
    return dict(arch=arch) if isinstance(arch, str) else {}


def _tensors(found: Any) -> dict[str, Tensor]:
    """The tensors of a state dict, or of the one in a checkpoint."""
    if not isinstance(found, dict):
        raise FormatError(f'a {type(found).__name__} was saved, not a dict of tensors; {ADVICE}')
    candidates = {id(found): found}
    for _ in range(MAX_DEPTH):
        candidates |= {id(candidate[key]): candidate[key] for candidate in [*candidates.values()]
                       for key in NESTED if isinstance(candidate.get(key), dict)}
    outer, *nested = ({str(name): value for name, value in candidate.items()
                       if isinstance(value, Tensor)} for candidate in candidates.values())
    # a step or a loss that is a tensor may stand beside a state dict
    if tensors := max(nested, key=len, default={}) or outer:
        return tensors
    raise FormatError(f'no tensors are in it, but {[*found][:5]}; {ADVICE}')


def _size(name: str, tensor: Tensor) -> int:
    """The bytes of a tensor, which is refused if it reaches beyond its storage."""
    storage, offset, shape, stride = tensor
    is_valid = are_sizes(shape) and are_sizes(stride) and are_sizes([offset, storage.size])
    if not is_valid or len(shape) != len(stride):
        raise FormatError(f'{name} has shape {short_repr(shape)}, stride {short_repr(stride)} and '
                          f'offset {short_repr(offset)}: whole numbers are needed')
    count = prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride))
    if count > storage.size or count > 0 and last >= storage.size:
        raise FormatError(f'{name} {shape} reaches beyond its storage of {storage.size:,} numbers')
    return count * np.dtype(storage.dtype).itemsize


def _array(name: str, tensor: Tensor, data: bytes) -> NDArray[Any]:
    storage, offset, shape, stride = tensor
    flat = np.frombuffer(data, storage.dtype)
    if flat.size != storage.size:
        raise FormatError(f'{name}: its storage has {flat.size:,} of {storage.size:,} numbers; '
                          f'get the file again')
    array: NDArray[Any]
    if not prod(shape):
        array = np.zeros(shape, flat.dtype)
    else:
        steps = [step * flat.itemsize for step in stride]
        array = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps)
    return from_bfloat16(array) if storage.dtype == '<u2' else to_native(name, array)
