"""Write files completely or not at all, and read files with errors that name the file."""
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


class FormatError(ValueError):
    """A weight file that cannot be read: which file, what was found in it, what to do."""


@contextmanager
def describe_read_errors(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Inside, every error that a damaged file causes becomes a FormatError that names the file.

    what: the format, as in 'safetensors file'
    """
    try:
        yield
    except FormatError as error:
        raise FormatError(f'{path}: {error}') from None
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise                                           # their own messages name the file
    except Exception as error:
        raise FormatError(f'{path}: damaged, or not a {what} ({type(error).__name__}: {error}); '
                          f'get the file again') from None


@contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new binary file that replaces `path` at the end of the block; on an error it vanishes.

    Renaming is atomic: a reader finds the old file or the new one, never a part of one. Both the
    file and its folder are flushed to the disk, so this holds after a power cut, too.
    """
    path = Path(os.path.realpath(path))                 # write through a link, to its target
    new = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    _remove_leftovers(path)
    try:
        with open(new, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException as error:                      # also Ctrl-C
        with suppress(OSError):
            new.unlink()
        if isinstance(error, OSError) and error.errno:  # of a full disk, which names no file
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    if os.name == 'posix':                              # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote `path`."""
    if os.name != 'posix':                              # os.kill would end the process there
        return
    for leftover in path.parent.glob(f'.{path.name}.*.tmp'):
        process = leftover.suffixes[-2][1:]
        if _has_ended(process):
            leftover.unlink(missing_ok=True)


def _has_ended(process: str) -> bool:
    try:
        os.kill(int(process), 0)                        # signal 0 only asks
    except (ValueError, OSError) as error:
        return isinstance(error, ProcessLookupError)
    return False
