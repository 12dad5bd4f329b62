"""Files that are written whole or not at all, and read with errors that name the file."""
import os
from contextlib import contextmanager, suppress
from pathlib import Path


class FormatError(ValueError):
    """A file of weights that cannot be read: which one, what was found in it, what to do."""


@contextmanager
def reading(path, what):
    """Whatever a damaged file sets off in here becomes a FormatError that names the file."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f'{path}: {error}') from None
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise                                           # these say themselves what is wrong
    except Exception as error:
        raise FormatError(f'{path}: damaged, or no {what} ({type(error).__name__}: {error}); '
                          f'get the file again') from None


@contextmanager
def replacing(path):
    """-> an open new file that takes the place of `path` when all has gone well, or vanishes.

    A name in a folder changes in one step: a reader finds the old file or the new one, and as
    file and folder are flushed also after a power cut.
    """
    path = Path(os.path.realpath(path))                 # of a link, the file it leads to
    new = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    for left in path.parent.glob(f'.{path.name}.*.tmp'):
        if os.name == 'posix' and _is_over(left.suffixes[-2][1:]):      # its process was killed
            left.unlink(missing_ok=True)
    try:
        with open(new, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException as error:                      # Ctrl-C leaves no litter either
        with suppress(OSError):                         # a locked folder has nothing to remove
            new.unlink()
        if isinstance(error, OSError) and error.errno:  # a full disk says not which file it was
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    if os.name == 'posix':                              # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_over(pid):
    """Whether no such process runs any more; elsewhere than on POSIX to ask could end it."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, OSError) as error:
        return isinstance(error, ProcessLookupError)
    return False
