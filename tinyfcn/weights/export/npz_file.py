"""Arrays in the .npz of numpy.savez."""
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files import open_atomic

# a note in front of each member, by which tinyfcn knows its own files; readers of zips skip it
NOTE = b'tinyfcn'
NOTE_ID = 0x4e46                # no program's, in the list of such notes in the format of zip


def save_npz(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write {name: array}, as numpy.savez would."""
    with open_atomic(path) as file, zipfile.ZipFile(file, 'w') as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f'{name}.npy')       # without a date
            info.extra = struct.pack('<HH', NOTE_ID, len(NOTE)) + NOTE
            with archive.open(info, 'w', force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
