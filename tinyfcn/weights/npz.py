"""A .npz of numpy.savez: a zip of .npy files. Arrays of objects, which are pickles, are refused."""
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..files import FormatError, describe_read_errors
from .arrays import MAX_BYTES, Arrays, check_size, to_native


def load(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """-> {name: array}, {}. float16 becomes float32. The zip has a CRC-32 of every member."""
    with describe_read_errors(path, '.npz of numpy.savez'), zipfile.ZipFile(path) as archive:
        check_size(sum(member.file_size for member in archive.infolist()), MAX_BYTES)
        arrays: Arrays = {}
        for member in archive.namelist():
            name = member.removesuffix('.npy')
            if member == name or name in arrays:
                raise FormatError(f'its member {member!r} is not a .npy, or is there twice')
            data = archive.read(member)         # the whole member, so that its CRC is checked
            array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            arrays[name] = to_native(name, array)
        return arrays, {}
