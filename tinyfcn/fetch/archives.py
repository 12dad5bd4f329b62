"""Archives unpacked into a folder that is complete or not there at all."""
import os
from collections.abc import Callable
from pathlib import Path

from .download import Report, check_free_space
from .files import move_into_place
from .unpack import remove_folder, unpack


def unpack_to(archive: Path, target: Path, find_root: Callable[[Path], Path],
              report: Report | None = None) -> Path:
    """Unpack into the new folder `target`, which appears only when it is complete.

    find_root(folder) -> the folder in it that holds the data, or it raises, and then nothing is
    left. -> that folder, below `target`
    """
    new = target.with_name(f'.{target.name}.part')
    if os.path.lexists(new):
        remove_folder(new)                              # left by a run that was killed
    check_free_space(new.parent, archive.stat().st_size)
    try:
        unpack(archive, new, report)
        root = find_root(new).relative_to(new)
        if hasattr(os, 'sync'):
            os.sync()                                   # the files must be on the disk before …
        move_into_place(new, target)                    # … the name that says they are complete
    except BaseException:
        remove_folder(new)
        raise
    return target / root
