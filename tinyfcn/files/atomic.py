"""Write files completely or not at all."""
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

OPEN_FILES = '/proc/self/fd'            # on Linux, a link for each open file of this process


@contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new binary file that replaces `path` at the end of the block; on an error it vanishes.

    Renaming is atomic: a reader finds the old file or the new one, never a part of one. Both the
    file and its folder are flushed to the disk, so this holds after a power cut, too. Where the
    system allows it, the new file has no name until it is complete: if this process is killed,
    nothing of it stays. It has the permissions of the old one. A link, pipe or device at `path` is
    refused.
    """
    path = Path(path)
    mode = _replaceable_mode(path)
    _remove_leftovers(path)
    new = path.with_name(f'{_temporary_prefix(path)}{os.getpid()}.{secrets.token_hex(4)}.tmp')
    try:
        unnamed = _create_unnamed(path.parent)
        with os.fdopen(_create(new) if unnamed is None else unnamed, 'wb') as file:
            yield file
            file.flush()
            if mode is not None and hasattr(os, 'fchmod'):
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            if unnamed is not None:
                _give_name(unnamed, new)
        os.replace(new, path)
    except BaseException as error:                      # also Ctrl-C
        with suppress(OSError):
            new.unlink()
        if isinstance(error, OSError) and error.errno:  # of a full disk, which names no file
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    sync_folder(path.parent)


def _temporary_prefix(path: Path) -> str:
    """What the names of temporary files for `path` begin with; a name has 255 bytes at most."""
    return f'.{path.name[:50]}.'


def _replaceable_mode(path: Path) -> int | None:
    """The permissions of the file at `path`; None if there is none."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(mode):
        raise ValueError(f'{path}: a link to {os.readlink(path)}; remove the link, or name the '
                         f'file itself')
    if not stat.S_ISREG(mode):
        raise ValueError(f'{path}: not a file, so it cannot be replaced; choose another name')
    return stat.S_IMODE(mode)


def _create(path: Path) -> int:
    """A new file that this process alone has opened, so no link can be in its place."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for name in 'O_NOFOLLOW', 'O_CLOEXEC', 'O_BINARY':
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o666)                  # less the umask


def _create_unnamed(folder: Path) -> int | None:
    """A new file without a name, on the disk of this folder; None where that cannot be."""
    if not hasattr(os, 'O_TMPFILE') or not os.path.isdir(OPEN_FILES):
        return None
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666)
    except OSError:                                     # a file system that has no such files, or
        return None                                     # a reason that `_create` will report


def _give_name(handle: int, path: Path) -> None:
    """Let a file without a name appear at `path`, where nothing may be."""
    # os.link follows the link to the open file only where it is given a folder to begin at
    folder = os.open(OPEN_FILES, os.O_RDONLY)
    try:
        os.link(str(handle), path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, that are still there after a power cut."""
    folder = Path(folder)
    if not folder.is_dir():
        above = make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(above)
    return folder


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    if os.name != 'posix':                              # elsewhere a folder cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote `path`."""
    if os.name != 'posix':                              # os.kill would end the process there
        return
    prefix = _temporary_prefix(path)
    for leftover in path.parent.iterdir() if path.parent.is_dir() else ():
        if leftover.name.startswith(prefix) and leftover.suffix == '.tmp':
            process = leftover.name[len(prefix):].partition('.')[0]
            if _has_ended(process):
                leftover.unlink(missing_ok=True)


def _has_ended(process: str) -> bool:
    try:
        os.kill(int(process), 0)                        # signal 0 only asks
    except (ValueError, OverflowError, OSError) as error:
        return isinstance(error, ProcessLookupError)
    return False
