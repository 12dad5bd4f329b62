"""A .npz of numpy.savez: a zip of .npy files. Arrays of objects, which are pickles, are refused.

Budget: the arrays, the largest one twice, and 20 times the list of members; 0.1 s a megabyte. What
the members hold is known from that list, so a zip bomb is refused before it is unpacked.
"""
import io
import os
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError, describe_read_errors, open_regular
from . import note
from .arrays import (
    MAX_BYTES,
    Arrays,
    check_dtype,
    check_members,
    check_size,
    largest_expansion,
    to_native,
)

# as numpy.savez writes them; of the others, LZMA may claim gigabytes to unpack a few bytes
COMPRESSIONS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {name: array}, about. float16 becomes float32. The zip has a CRC-32 of every member.

    about is empty but for files of `export_net`, which say all of their net.
    """
    with (open_regular(path) as file, describe_read_errors(path, '.npz of numpy.savez'),
          zipfile.ZipFile(file) as archive):
        members = archive.infolist()
        file_size = os.fstat(file.fileno()).st_size
        check_size(sum(member.file_size for member in members),
                   min(MAX_BYTES, largest_expansion(file_size)))
        check_members(members, file_size)
        arrays: Arrays = {}
        for member in members:
            if member.filename == note.MEMBER:
                continue
            name = member.filename.removesuffix('.npy')
            if member.filename == name or name in arrays:
                raise FormatError(f'its member {member.filename!r} is not a .npy, or is there '
                                  f'twice')
            if member.compress_type not in COMPRESSIONS:
                raise FormatError(f'its member {member.filename!r} is compressed in a way that '
                                  f'numpy.savez never does: save it again with numpy.savez')
            data = archive.read(member)         # the whole member, so that its CRC is checked
            arrays[name] = to_native(name, _array(name, data))
        return arrays, note.read_note(archive)


def _array(name: str, data: bytes) -> NDArray[Any]:
    """The array of a .npy file, whose size is compared with the file before it is allocated."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise FormatError(f'{name} is a .npy of version {version}, which weights do not need')
    if dtype.hasobject:
        raise FormatError(f'{name} holds pickled objects, which are never loaded '
                          f'(allow_pickle=False)')
    check_dtype(name, dtype)

    rest = len(data) - file.tell()
    if prod(shape) * dtype.itemsize != rest:
        raise FormatError(f'{name} is {dtype} of shape {shape}, but {rest:,} bytes follow: '
                          f'damaged; get the file again')
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)
