"""Errors of files that cannot be read."""
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .regular import ReadError
from .text import printable

MAX_MESSAGE = 2000              # characters


class FormatError(ValueError):
    """A weight file that cannot be read: which file, what was found in it, what to do."""


@contextmanager
def describe_read_errors(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Inside, every error that a damaged file causes becomes a FormatError that names the file.

    what: the format, as in 'safetensors file'. What the message quotes of the file is printable.
    """
    name = printable(path, limit=None)
    try:
        yield
    except FormatError as error:
        raise FormatError(f'{name}: {printable(error, limit=MAX_MESSAGE)}') from None
    except (FileNotFoundError, IsADirectoryError, PermissionError, ReadError):
        raise                                           # their own messages name the file
    except MemoryError:
        raise                                           # not the fault of the file
    except Exception as error:
        raise FormatError(f'{name}: damaged, or not a {what} ({type(error).__name__}: '
                          f'{printable(error)}); get the file again') from None
