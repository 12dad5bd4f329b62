"""A data set from wherever it can be had: downloaded, checked, unpacked; whole, or not at all.

    root = fetch('voc2012', 'data')                     # data/voc2012/VOCdevkit/VOC2012
    root = fetch('voc2012', 'data', file='VOCtrainval_11-May-2012.tar')

A download that was cut goes on at its byte: what has come lies in `folder`, a .part for each
mirror. The set is there from one moment to the next, when all of it is unpacked.
"""
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from ..fetch.download import CHUNK, Unavailable, download, remove, room
from ..fetch.unpack import unpack
from ..files import replacing
from .sources import SOURCES

ALGORITHM = {32: 'md5', 40: 'sha1', 64: 'sha256'}       # by the digits of a checksum


def fetch(name, folder, file=None, report=None, say=None):
    """-> the root of the set `name`, below `folder`.   `file` is its archive, if you have it.

    report(done, total or None, mirror or archive) is called with bytes as they come, and say(line)
    with what a reader should know: which mirror failed, what could not be checked.
    """
    if name not in SOURCES:
        raise ValueError(f'{name!r} is no data set that can be fetched; there are '
                         f'{", ".join(SOURCES)}')
    source, folder, say = SOURCES[name], Path(folder), say or (lambda line: None)
    target = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if target.exists():
            root = _root(target, source)
            say(f'{root} is there already: nothing is written')
        else:
            archive = Path(file) if file else _archive(name, source, folder, report, say)
            if file:
                _check(archive, source, say)
            try:
                root = _unpacked(archive, target, source, report)
            except ValueError as error:
                if file:
                    raise
                os.replace(archive, f'{archive}.bad')   # or the next run would take it again
                raise ValueError(f'{error} (it is {archive.name}.bad now)') from None
            if not file:
                say(f'{archive} is not needed any more')
        _add_lists(root, source, say)
    return root


def _unpacked(archive, target, source, report):
    """-> the root below `target`, which is there only when all of it is"""
    new = target.with_name(f'.{target.name}.part')
    if new.exists():
        shutil.rmtree(new)                              # of a run that was killed
    room(new.parent, archive.stat().st_size)
    try:
        unpack(archive, new, report)
        root = _root(new, source).relative_to(new)
        if hasattr(os, 'sync'):
            os.sync()                                   # the name must not be first on the disk
        os.replace(new, target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return target / root


def ready(name, folder):
    """The root of a set that `fetch` has put below `folder`; None where it has not."""
    target = Path(folder) / name
    return _root(target, SOURCES[name]) if target.is_dir() else None


def _root(folder, source):
    """The folder that has in it what the set should have."""
    for path, folders, _ in os.walk(folder):
        folders.sort()
        if all((Path(path) / part).exists() for part in source.holds.split()):
            return Path(path)
    raise ValueError(f'{folder}: no folder in it has {", ".join(source.holds.split())}, as the set '
                     f'should: this is another set, or a part of it; move it away')


def _add_lists(root, source, say):
    """The paper's own splits, where an archive lacks them. Without them the set is still whole."""
    for place, mirror in source.lists.items():
        path = root / place
        part = path.with_name(f'{path.name}.part')
        if path.exists():
            continue
        try:
            download(mirror, part)
            os.replace(part, path)
            remove(part)
        except Unavailable as why:
            say(f'{mirror}: {why}; this list is missing: put it at {path}')


@contextmanager
def _alone(folder):
    """Two that fetch into one folder would mix. The system knows, so a crash leaves no lock."""
    try:
        import fcntl
    except ImportError:                                 # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f'{folder}: somebody else is fetching into it; wait, or name another '
                             f'folder') from None
        except OSError:                                 # some file systems have no locks
            pass
        yield
    finally:
        os.close(handle)


# ---- The archive

def _archive(name, source, folder, report, say):
    """-> the archive in `folder`, from the first mirror that gives the right one"""
    path, failed = folder / source.file, []
    if path.exists():
        why = _wrong(path, source)
        if not why:
            say(f'{path} is there already')
            return path
        os.replace(path, f'{path}.bad')
        Path(f'{path}.sha256').unlink(missing_ok=True)
        say(f'{path}: {why}; it is {path.name}.bad now, and is fetched anew')
    parts = {mirror: folder / f'{source.file}.{crc32(mirror.encode()):08x}.part'
             for mirror in source.mirrors}
    for mirror, part in parts.items():
        try:
            download(mirror, part, source.size, report)
            why = _wrong(part, source)
            if why:
                remove(part)
                why += '; what came is removed'
        except Unavailable as error:
            why = str(error)
        if not why:
            if not source.checksum:
                with replacing(f'{path}.sha256') as note:
                    note.write(f'{_unchecked(part, source, say)}  {path.name}\n'.encode())
            os.replace(part, path)
            for left in parts.values():
                remove(left)
            return path
        say(f'{mirror}: {why}')
        failed.append(f'  {mirror}: {why}')
    raise OSError('\n'.join([f'{name} could not be had from any mirror:', *failed,
                             f'get {source.file} from elsewhere, and then: tinyfcn data {name} '
                             f'--from {source.file}']))


def _wrong(path, source):
    """What is wrong with an archive, by what is known of it; '' is: nothing."""
    size, note = path.stat().st_size, Path(f'{path}.sha256')
    if source.size and size != source.size:
        return f'{size:,} bytes, and it should be {source.size:,}'
    known = source.checksum or (note.read_text('utf-8').partition(' ')[0] if note.exists() else '')
    if len(known) not in ALGORITHM:
        return ''
    algorithm = ALGORITHM[len(known)]
    found = _digest(path, algorithm)
    return '' if found == known else f'its {algorithm} is {found}, and it should be {known}'


def _check(path, source, say):
    if why := _wrong(path, source):
        raise ValueError(f'{path}: {why}; it is another archive, or damaged: get it again')
    if not source.checksum:
        _unchecked(path, source, say)


def _unchecked(path, source, say):
    found = _digest(path, 'sha256')
    say(f'nobody has published a checksum of {source.file}, so it cannot be checked; the SHA-256 '
        f'of this one is {found}')
    return found


def _digest(path, algorithm):
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, 'rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
