"""Read files that really are files, up to a size."""
import errno
import os
import stat
from typing import BinaryIO

MAX_TEXT = 1 << 26              # bytes; a list of a million names has less


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes. A pipe or a device, which may never end, is refused."""
    flags = os.O_RDONLY
    for name in 'O_NONBLOCK', 'O_CLOEXEC', 'O_BINARY':  # without O_NONBLOCK a pipe would wait here
        flags |= getattr(os, name, 0)
    handle = os.open(path, flags)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, 'rb')
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise ValueError(f'{path}: a pipe or a device, not a file; save its content into a file first')


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
