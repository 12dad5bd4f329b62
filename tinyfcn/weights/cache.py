"""Weights by name in the user's cache folder: each file complete and verified, or not there at all.

    path = cached_weights('squeezenet') or fetch_weights('squeezenet')

A file gets its name only after its checksum was verified. Its size and modification time then are
noted beside it, in .verified; while they are the same, it is not verified again. A file that was
put there by hand, or that has changed, is verified when it is next used.
"""
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..fetch.cache import Log, cache_folder, ignore, wait_for_lock
from ..fetch.checksum import describe_agreement, describe_checksum
from ..fetch.download import Report
from ..fetch.files import copy_file, download_file, file_problem, find_file
from ..fetch.source import Source
from ..files import make_folder, open_atomic, printable, read_text
from . import caffe
from .detect import detect_format
from .sources import SOURCES, WeightsSource, source_name, unknown_name

MAX_NOTE = 1 << 10                      # bytes of a .verified


def weights_folder() -> Path:
    """The folder of all weights, with a folder for each name; it may not exist yet."""
    return cache_folder() / 'weights'


def cached_weights(name: str) -> Path | None:
    """The file of these weights, if it is in the cache; None if not, or if there is no such name.

    It is verified first, unless a note says that this has been done.
    """
    row = source_name(name)
    if row is None:
        return None
    try:
        folder = weights_folder() / row
    except ValueError:                                  # no home folder: nothing is in a cache
        return None
    for source in SOURCES[row].files:
        path = folder / source.file
        if path.is_file() and (_is_noted(path, source) or _verify(path, source)):
            return path
    return None


def fetch_weights(name: str, file: str | Path | None = None, report: Report | None = None,
                  log: Log = ignore) -> Path:
    """Download weights, if they are not in the cache, and verify them. -> their file there

    file: a copy that the user has, which is verified and copied into the cache instead
    report(done, total or None, mirror or file) is called with bytes as they arrive; log(line) gets
    messages, such as which mirror failed, and the licence and citation of new weights.
    """
    row = source_name(name)
    if row is None:
        raise ValueError(unknown_name(name))
    weights = SOURCES[row]
    files = weights.files

    def use(path: Path) -> Path:
        return _require_weights(path, _source_of(path, files))

    folder = _make_folder(weights_folder() / row)
    with wait_for_lock(folder, log):
        path = find_file(files, folder, use, log)
        if path is None:
            if file:
                path = _copy(Path(file), files, folder, report, log)
            else:
                path = download_file(files, folder, use, _advice(row, files), report, log)
            _describe(path, weights, log)
        _note(path, _source_of(path, files))
    return path


def _make_folder(folder: Path) -> Path:
    try:
        return make_folder(folder)
    except OSError as error:
        # error.filename is the one of the folders above at which it fails
        raise OSError(f'{printable(error.filename or folder)}: cannot be made a folder '
                      f'({error.strerror}); name another for fetched files in the environment '
                      f'variable TINYFCN_CACHE') from None


def _require_weights(path: Path, source: Source) -> Path:
    """Raise if a file without a checksum has no weights, as a web page or a truncated file. -> path

    A .caffemodel is read to its end; the files of other formats have checksums.
    """
    if not source.checksum and detect_format(path) == 'caffe':
        caffe.load(path)
    return path


def _copy(users_file: Path, sources: Sequence[Source], folder: Path, report: Report | None,
          log: Log) -> Path:
    """Copy a file of the user into the cache, if it is one of the sources. -> its path there"""
    problems = []
    for source in sources:
        problem = file_problem(users_file, source)
        if not problem and not source.checksum and users_file.name != source.file:
            problem = 'no checksum is published, so only a file of this name is taken for it'
        if not problem:
            _require_weights(users_file, source)
            return copy_file(users_file, source, folder, report, log)
        problems.append(f'  {source.file}: {problem}')
    raise ValueError('\n'.join([f'{printable(users_file)} is another file than these, or damaged:',
                                *problems]))


def _source_of(path: Path, sources: Sequence[Source]) -> Source:
    return next(source for source in sources if source.file == path.name)


def _advice(name: str, sources: Sequence[Source]) -> str:
    """What to do if nothing can be downloaded."""
    lines = ['Get one of these files in another way:' if len(sources) > 1 else
             'Get this file in another way:']
    for source in sources:
        known = [f'{source.size:,} bytes'] if source.size else []
        if source.checksum:
            known.append(describe_checksum(source.checksum))
        lines.append(f'  {source.file}' + (f' ({", ".join(known)})' if known else ''))
    return '\n'.join([*lines, f'and then: tinyfcn weights get {name} --from {sources[0].file}'])


def _describe(path: Path, weights: WeightsSource, log: Log) -> None:
    """Log the checksum, licence, citation and remark of a new file."""
    checksum = _source_of(path, weights.files).checksum
    if checksum and len(checksum) >= 32:                # `take_part` logs a shorter one
        log(f'{path.name} {describe_agreement(checksum)}')
    log(f'licence: {weights.licence}')
    log(f'cite: {weights.citation}')
    if weights.remark:
        log(f'note: {weights.remark}')


# ---- notes of verified files ---------------------------------------------------------------------

def _note_file(path: Path) -> Path:
    return Path(f'{path}.verified')


def _state(path: Path, source: Source) -> str:
    """The size of a file, its modification time, and its checksum."""
    found = path.stat()
    return f'{found.st_size} {found.st_mtime_ns} {source.checksum or "none"}\n'


def _is_noted(path: Path, source: Source) -> bool:
    try:
        return read_text(_note_file(path), MAX_NOTE) == _state(path, source)
    except (OSError, ValueError):                       # no note, or a damaged one
        return False


def _note(path: Path, source: Source) -> None:
    with suppress(OSError), open_atomic(_note_file(path)) as file:      # a cache may be read-only
        file.write(_state(path, source).encode())


def _verify(path: Path, source: Source) -> bool:
    """Whether a file is the right one; if it is, that is noted."""
    before = _state(path, source)
    if file_problem(path, source):
        return False
    try:
        _require_weights(path, source)
    except ValueError:
        return False
    if before == _state(path, source):                  # it has not changed meanwhile
        _note(path, source)
    return True
