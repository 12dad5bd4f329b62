"""A lock on a folder, which other processes meet with a message."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_handles: set[int] = set()


@contextmanager
def lock_folder(folder: str | os.PathLike[str], message: str) -> Iterator[None]:
    """Keep other processes, and other threads, out of a folder inside the block.

    The system releases the lock when the process ends, however it ends. If the folder is locked,
    ValueError is raised with the message. File systems without locks, and Windows, have none.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(Path(folder), os.O_RDONLY)
    _handles.add(handle)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f'{folder}: {message}') from None
        except OSError:                                 # some file systems have no locks
            pass
        yield
    finally:
        if handle in _handles:                          # else this is a forked process
            _handles.remove(handle)
            os.close(handle)


def _close_in_child() -> None:
    """A forked process would keep the lock if it outlived its parent."""
    for handle in _handles:
        os.close(handle)
    _handles.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_close_in_child)
