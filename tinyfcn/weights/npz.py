"""A .npz of numpy.savez: a zip of .npy files. Arrays of objects, which are pickles, are refused."""
import io
import zipfile

import numpy as np

from ..files import FormatError, reading
from .dtypes import plain
from .file import MOST


def load(path):
    """-> {name: array}, {}. Halves become float32. The zip has a CRC-32 of every member."""
    with reading(path, '.npz of numpy.savez'), zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MOST:
            raise FormatError(f'its arrays would fill {unpacked:,} bytes; the limit is {MOST:,}')
        arrays = {}
        for member in archive.namelist():                   # read whole, which checks the CRC
            name = member.removesuffix('.npy')
            if member == name or name in arrays:
                raise FormatError(f'its member {member!r} is no .npy, or is there twice')
            array = np.lib.format.read_array(io.BytesIO(archive.read(member)), allow_pickle=False)
            arrays[name] = plain(name, array)
        return arrays, {}
