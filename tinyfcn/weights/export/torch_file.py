"""A state dict in the zip of torch.save, without torch: a pickle, and a member for each tensor.

`torch.load(path, weights_only=True)` reads it. The pickle is a program that makes an OrderedDict
of tensors; it is written here opcode by opcode, because `pickle` names only what it can import.
"""
import io
import pickle
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files import open_atomic
from ..note import MEMBER, note_text

PROTOCOL = 2                    # of pickle, as torch.save has it
FOLDER = 'tinyfcn'              # in the zip; torch takes any
STORAGES = dict(float32='FloatStorage', float64='DoubleStorage')
# opcodes
PROTO = b'\x80\x02'
GLOBAL, PERSISTENT_ID, REDUCE, SET_ITEMS, STOP = b'c', b'Q', b'R', b'u', b'.'
MARK, TUPLE, EMPTY_TUPLE, FALSE = b'(', b't', b')', b'\x89'


def save_state_dict(path: str | Path, arrays: Mapping[str, NDArray[Any]],
                    about: Mapping[str, Any]) -> None:
    """Write {name: array} of float32 or float64, and `about` in a member of its own."""
    stored = {name: np.asarray(array, array.dtype.newbyteorder('<'), order='C')
              for name, array in arrays.items()}
    with open_atomic(path) as file, zipfile.ZipFile(file, 'w') as archive:
        archive.writestr(member('data.pkl'), pickle_state_dict(stored))
        archive.writestr(member('byteorder'), 'little')
        for key, array in enumerate(stored.values()):
            archive.writestr(member(f'data/{key}'), array.reshape(-1).view('uint8').data)
        archive.writestr(member('version'), '3\n')
        archive.writestr(member(MEMBER), note_text(about))


def member(name: str) -> zipfile.ZipInfo:
    """A member without a date: the same weights give the same file."""
    return zipfile.ZipInfo(f'{FOLDER}/{name}')


def pickle_state_dict(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """OrderedDict({name: tensor, …}); the storage of tensor i is called 'i'."""
    items = b''.join(pickle_value(name) + pickle_tensor(str(key), array)
                     for key, (name, array) in enumerate(arrays.items()))
    return PROTO + pickle_empty_dict() + MARK + items + SET_ITEMS + STOP


def pickle_tensor(key: str, array: NDArray[Any]) -> bytes:
    """_rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks)"""
    stride = tuple(prod(array.shape[axis + 1:]) for axis in range(array.ndim))
    storage = (MARK + pickle_value('storage') + pickle_global('torch', STORAGES[array.dtype.name])
               + pickle_value(key) + pickle_value('cpu') + pickle_value(array.size) + TUPLE
               + PERSISTENT_ID)
    arguments = (storage + pickle_value(0) + pickle_value(array.shape) + pickle_value(stride)
                 + FALSE + pickle_empty_dict())
    return pickle_global('torch._utils', '_rebuild_tensor_v2') + MARK + arguments + TUPLE + REDUCE


def pickle_empty_dict() -> bytes:
    return pickle_global('collections', 'OrderedDict') + EMPTY_TUPLE + REDUCE


def pickle_global(module: str, name: str) -> bytes:
    return GLOBAL + f'{module}\n{name}\n'.encode()


def pickle_value(value: str | int | tuple[int, ...]) -> bytes:
    """A value that needs no import, without the opcodes that begin and end a pickle."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, PROTOCOL)
    pickler.fast = True                                 # no memo: its numbers would repeat
    pickler.dump(value)
    return file.getvalue().removeprefix(PROTO).removesuffix(STOP)
