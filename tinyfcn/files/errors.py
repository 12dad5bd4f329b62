"""Errors of files that cannot be read."""
import os
from collections.abc import Iterator
from contextlib import contextmanager


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
