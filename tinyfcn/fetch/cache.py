"""A folder of fetched archives and what was unpacked from them, complete or not there at all.

A download that was cut off continues at its last byte: `folder` keeps a .part for each mirror. An
unpacked archive appears under its name only when all of it is on the disk.
"""
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from ..files import open_atomic, open_regular, printable, read_text
from ..files.atomic import sync_folder
from .checksum import ALGORITHMS, checksum_problem, file_digest
from .download import Report, check_free_space, download, remove_part
from .http import Unavailable
from .source import Source
from .unpack import remove_folder, unpack

MAX_NOTE = 1 << 16                      # bytes of a file with a checksum

T = TypeVar('T')
# log(line) gets what a reader should know: which mirror failed, what could not be verified
Log = Callable[[str], object]


def ignore(line: str) -> None:
    """Log nothing."""


def fetch_archive(source: Source, folder: Path, use: Callable[[Path], T], advice: str = '',
                  report: Report | None = None, log: Log = ignore) -> T:
    """-> use(the archive in `folder`), from the first mirror that delivers the right one

    An archive that is already there is used, if it is the right one. One for which `use` raises
    ValueError is set aside. If all mirrors fail, the error says how each did, and ends with
    `advice`.
    """
    path = folder / source.file
    if path.exists():
        problem = archive_problem(path, source)
        if not problem:
            log(f'{printable(path)} exists already')
            try:
                return use(path)
            except ValueError as error:
                problem = str(error)
        set_aside(path)
        _sha256_file(path).unlink(missing_ok=True)
        log(f'{printable(path)}: {problem}; it is {path.name}.bad now, and is fetched again')
    parts = {mirror: folder / f'{source.file}.{crc32(mirror.encode()):08x}.part'
             for mirror in source.mirrors}
    problems = []
    error_type: type[Exception] = OSError
    for mirror, part in parts.items():
        problem = _download_and_verify(mirror, part, source, report)
        if not problem:
            if not source.checksum:
                _note_sha256(path, log_sha256(part, source, log))
            move_into_place(part, path)
            remove_part(part)                           # what is noted of its version
            try:
                used = use(path)
            except ValueError as error:
                problem = f'{error} (it is {set_aside(path).name} now)'
                error_type = ValueError
            else:
                for other in parts.values():
                    remove_part(other)
                return used
        log(f'{mirror}: {problem}')
        problems.append(f'  {mirror}: {problem}')
    lines = [f'{source.file} could not be fetched from any mirror:', *problems, advice]
    raise error_type('\n'.join(filter(None, lines)))


def _download_and_verify(mirror: str, part: Path, source: Source, report: Report | None) -> str:
    """-> why the archive is not there now; '' if it is"""
    try:
        download(mirror, part, source.size, report)
    except Unavailable as error:
        return str(error)
    problem = archive_problem(part, source)
    if not problem:
        return ''
    remove_part(part)
    return f'{problem}; the download is removed'


def archive_problem(path: Path, source: Source) -> str:
    """What is wrong with an archive, as far as its size and checksum are known; '' if nothing."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    if source.size and size != source.size:
        return f'{size:,} bytes instead of {source.size:,}'
    expected = source.checksum or ''
    if not expected and _sha256_file(path).exists():    # at least what it was when it was fetched
        expected = read_text(_sha256_file(path), MAX_NOTE).partition(' ')[0]
    if len(expected) not in ALGORITHMS:
        return ''
    return checksum_problem(path, expected)


def verify_archive(path: Path, source: Source, log: Log = ignore) -> None:
    """Raise if an archive is not the right one, as far as that is known."""
    if problem := archive_problem(path, source):
        raise ValueError(f'{printable(path)}: {problem}; it is another archive, or damaged: get it '
                         f'again')
    if not source.checksum:
        log_sha256(path, source, log)


def log_sha256(path: Path, source: Source, log: Log) -> str:
    """Say that an archive cannot be verified. -> its SHA-256"""
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
    """Rename a bad archive to .bad, so that the next run does not use it again."""
    bad = Path(f'{path}.bad')
    move_into_place(path, bad)
    return bad


def move_into_place(new: Path, path: Path) -> None:
    """Rename a complete file or folder, so that its name is still there after a power cut."""
    os.replace(new, path)
    sync_folder(path.parent)


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
