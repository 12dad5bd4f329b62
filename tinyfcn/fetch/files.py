"""Files from mirrors in a folder: each complete and verified, or not there at all.

An interrupted download continues at its last byte: the folder keeps a .part for each mirror. A file
gets its name only when all of it is on the disk.
"""
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from ..files import open_atomic, open_regular, printable, read_text
from ..files.atomic import sync_folder
from .cache import Log, ignore
from .checksum import ALGORITHMS, PREFIX_DIGITS, checksum_problem, describe_agreement, file_digest
from .download import (
    Report,
    can_continue,
    check_free_space,
    download,
    open_no_link,
    remove_part,
)
from .http import Unavailable
from .interrupt import DownloadStopped
from .source import Source

MAX_NOTE = 1 << 16                      # bytes of a .sha256
CHUNK = 1 << 20

T = TypeVar('T')


def find_file(sources: Sequence[Source], folder: Path, use: Callable[[Path], T],
              log: Log = ignore) -> T | None:
    """-> use(path) of the first of the files that is in `folder`; None if none is

    A file that is not the right one, or for which `use` raises ValueError, is renamed to .bad.
    """
    for source in sources:
        path = folder / source.file
        if not path.exists():
            continue
        problem = file_problem(path, source)
        if not problem:
            log(f'{printable(path)} exists already')
            try:
                used = use(path)
            except ValueError as error:
                problem = str(error)
            else:
                with suppress(OSError):                 # the folder may be read-only
                    _remove_parts(sources, folder)
                return used
        set_aside(path)
        _sha256_file(path).unlink(missing_ok=True)
        log(f'{printable(path)}: {problem}; it is {path.name}.bad now, and is fetched again')
    return None


def download_file(sources: Sequence[Source], folder: Path, use: Callable[[Path], T],
                  advice: str = '', report: Report | None = None, log: Log = ignore) -> T:
    """-> use(path) of the file in `folder`, from the first mirror that delivers the right one

    The files of several sources serve the same purpose. A file for which `use` raises ValueError is
    renamed to .bad. If all mirrors fail, the error has a line for each, and ends with `advice`; the
    log has these lines only if a later mirror delivers.
    """
    lines = []
    failures: list[str] = []
    error_type: type[Exception] = OSError
    for source in sources:
        lines.append(f'{source.file} could not be fetched from any mirror:')
        for mirror in source.mirrors:
            part = _part(mirror, source, folder)
            problem = _download_and_verify(mirror, part, source, report)
            if not problem:
                while failures:
                    log(failures.pop(0))
                path = take_part(part, source, folder, log)
                try:
                    used = use(path)
                except ValueError as error:
                    problem = f'{error} (it is {set_aside(path).name} now)'
                    error_type = ValueError
                else:
                    _remove_parts(sources, folder)
                    return used
            failures.append(f'{mirror}: {problem}')
            lines.append(f'  {mirror}: {problem}')
    if any(can_continue(_part(mirror, source, folder))
           for source in sources for mirror in source.mirrors):
        lines.append('The part that has arrived is kept: the same command continues there.')
    raise error_type('\n'.join(filter(None, [*lines, advice])))


def copy_file(users_file: Path, source: Source, folder: Path, report: Report | None = None,
              log: Log = ignore) -> Path:
    """Copy a file that the user has into `folder`, verified like a download. -> its path"""
    part = _copy_part(source, folder)
    with open_regular(users_file) as file:
        size = os.fstat(file.fileno()).st_size
        part.unlink(missing_ok=True)                    # of a process that was killed
        check_free_space(folder, size)
        try:
            with open(part, 'xb', opener=open_no_link) as copy:
                while chunk := file.read(CHUNK):
                    copy.write(chunk)
                    if report:
                        report(copy.tell(), size, users_file.name)
            if problem := file_problem(part, source):
                raise ValueError(f'{printable(users_file)}: {problem}; it is another file, or '
                                 f'damaged')
            path = take_part(part, source, folder, log)
        finally:
            part.unlink(missing_ok=True)
    _remove_parts([source], folder)
    return path


def take_part(part: Path, source: Source, folder: Path, log: Log) -> Path:
    """Give a file that has been verified its name. -> its path"""
    path = folder / source.file
    if not source.checksum:
        _note_sha256(path, log_sha256(part, source, log))
    elif len(source.checksum) in PREFIX_DIGITS:
        log(f'{source.file} {describe_agreement(source.checksum)}')
    _sync_file(part)                                    # before the name that says it is complete
    move_into_place(part, path)
    remove_part(part)                                   # the note of its version
    return path


def _part(mirror: str, source: Source, folder: Path) -> Path:
    """Where the partial download from one mirror is kept."""
    return folder / f'{source.file}.{crc32(mirror.encode()):08x}.part'


def _copy_part(source: Source, folder: Path) -> Path:
    """Where a user's file is copied to before it is verified."""
    return folder / f'{source.file}.copy.part'


def _remove_parts(sources: Sequence[Source], folder: Path) -> None:
    for source in sources:
        _copy_part(source, folder).unlink(missing_ok=True)
        for mirror in source.mirrors:
            remove_part(_part(mirror, source, folder))


def _sync_file(path: Path) -> None:
    with open(path, 'r+b') as file:
        os.fsync(file.fileno())


def _download_and_verify(mirror: str, part: Path, source: Source, report: Report | None) -> str:
    """Complete a part from its mirror. -> what is wrong with it then; '' if nothing

    If the continuation of an earlier download is not the right file, all of it is downloaded again.
    """
    problem = ''
    attempts = 2 if part.exists() else 1
    for _ in range(attempts):
        try:
            download(mirror, part, source.size, report)
        except Unavailable as error:
            return str(error)
        except KeyboardInterrupt as stop:
            if can_continue(part):
                raise DownloadStopped(f'stopped; the part of {source.file} that has arrived is '
                                      f'kept: the same command continues there') from stop
            raise
        problem = file_problem(part, source)
        if not problem:
            return ''
        remove_part(part)
    return f'{problem}; the download is removed'


def file_problem(path: Path, source: Source) -> str:
    """What is wrong with a file, as far as its size and checksum are known; '' if nothing."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    if source.size and size != source.size:
        return f'{size:,} bytes instead of {source.size:,}'
    if source.checksum:
        return checksum_problem(path, source.checksum)
    if not _sha256_file(path).exists():
        return ''
    noted = read_text(_sha256_file(path), MAX_NOTE).partition(' ')[0]
    # without a published checksum, the one from when the file was fetched
    return checksum_problem(path, noted) if len(noted) in ALGORITHMS else ''


def verify_file(path: Path, source: Source, log: Log = ignore) -> None:
    """Raise if a file is not the right one, as far as that is known."""
    if problem := file_problem(path, source):
        raise ValueError(f'{printable(path)}: {problem}; it is another file, or damaged: get it '
                         f'again')
    if not source.checksum:
        log_sha256(path, source, log)


def log_sha256(path: Path, source: Source, log: Log) -> str:
    """Log that a file cannot be verified. -> its SHA-256"""
    found = file_digest(path, 'sha256')
    log(f'no checksum of {source.file} is published, so it cannot be verified; the SHA-256 of this '
        f'file is {found}')
    return found


def _sha256_file(path: Path) -> Path:
    return Path(f'{path}.sha256')


def _note_sha256(path: Path, digest: str) -> None:
    with open_atomic(_sha256_file(path)) as file:
        file.write(f'{digest}  {path.name}\n'.encode())


def set_aside(path: Path) -> Path:
    """Rename a bad file to .bad, so that the next run does not use it again."""
    bad = Path(f'{path}.bad')
    move_into_place(path, bad)
    return bad


def move_into_place(new: Path, path: Path) -> None:
    """Rename a complete file or folder, so that its name is still there after a power cut."""
    os.replace(new, path)
    sync_folder(path.parent)
