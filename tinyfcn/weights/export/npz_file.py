"""Arrays in the .npz of numpy.savez."""
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files import open_atomic
from ..note import MEMBER, note_text


def save_npz(path: str | Path, arrays: Mapping[str, NDArray[Any]],
             about: Mapping[str, Any]) -> None:
    """Write {name: array} as numpy.savez would, and `about` in a member of its own."""
    with open_atomic(path) as file, zipfile.ZipFile(file, 'w') as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER), note_text(about))     # without a date
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f'{name}.npy'), 'w', force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
