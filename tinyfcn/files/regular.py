"""Read files that really are files, up to a size."""
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, BinaryIO

from .folders import describe_folder
from .text import printable

MAX_TEXT = 1 << 26              # bytes; a list of a million names has less


class ReadError(OSError):
    """A file that was opened and cannot be read, as from a broken disk: which file, and why."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes. A pipe or a device, which may never end, is refused."""
    flags = os.O_RDONLY
    for name in 'O_NONBLOCK', 'O_CLOEXEC', 'O_BINARY':  # without O_NONBLOCK a pipe would wait here
        flags |= getattr(os, name, 0)
    name = printable(path, limit=None)
    try:
        handle = os.open(path, flags)
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode):
            return BufferedReader(_NamedFile(handle, name))
        os.close(handle)
    except FileNotFoundError:
        folder = describe_folder(Path(path).parent)
        raise FileNotFoundError(f'{name}: no such file; {folder}') from None
    except PermissionError as error:
        raise PermissionError(f'{name}: cannot be read ({error.strerror})') from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise FileNotFoundError(f'{printable(path)}: no such file; its name is too long') from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f'{name}: cannot be read (Is a directory)')
    raise ValueError(f'{name}: a pipe or a device, not a file; save its content into a file first')


class _NamedFile(FileIO):
    """A file whose errors name it; those of the system say only what went wrong."""

    def __init__(self, handle: int, name: str) -> None:
        super().__init__(handle)
        self._shown = name

    def readinto(self, buffer: Any) -> int | None:
        with self._name_errors():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with self._name_errors():
            return super().readall()

    @contextmanager
    def _name_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ReadError(f'{self._shown}: cannot be read ({error.strerror}); use a copy of it '
                            f'from another disk') from None


def read_text(path: str | os.PathLike[str], limit: int = MAX_TEXT) -> str:
    """The text of a file in UTF-8. One of more than `limit` bytes is refused."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f'{path}: more than {limit:,} bytes; this is no list or description')
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b'\n') + 1
        raise ValueError(f'{path}:{line}: not UTF-8 at byte {error.start:,}; save the file as '
                         f'UTF-8') from None
