"""Fetch a data set: downloaded, verified and unpacked; complete, or not there at all.

    root = fetch_dataset('voc2012', 'data')             # data/voc2012/VOCdevkit/VOC2012
    root = fetch_dataset('voc2012', 'data', archive='VOCtrainval_11-May-2012.tar')
"""
import os
from functools import partial
from pathlib import Path

from ..fetch.archives import unpack_to
from ..fetch.cache import Log, ignore
from ..fetch.download import Report, download, remove_part
from ..fetch.files import download_file, find_file, move_into_place, verify_file
from ..fetch.http import Unavailable
from ..files import lock_folder, make_folder, printable
from .lists import read_list
from .sources import SOURCES, DatasetSource

MAX_LIST = 1 << 24                      # bytes: more than half a million names

IN_USE = ('another process is fetching into this folder; wait until it is done, or name another '
          'folder')


def fetch_dataset(name: str, folder: str | Path, archive: str | Path | None = None,
                  report: Report | None = None, log: Log = ignore) -> Path:
    """-> the root of the data set `name`, below `folder`. `archive` is a copy you already have.

    report(done, total or None, mirror or archive) is called with bytes as they come; log(line) gets
    what a reader should know, such as which mirror failed and what could not be verified.
    """
    if name not in SOURCES:
        raise ValueError(f'{name!r} is not a data set that can be fetched; these can: '
                         f'{", ".join(SOURCES)}')
    source = SOURCES[name]
    folder = make_folder(folder)
    target = folder / name
    find_root = partial(_find_root, source=source)
    with lock_folder(folder, IN_USE):
        if target.exists():
            root = find_root(target)
            log(f'{printable(root)} exists already: nothing is written')
        elif archive:
            verify_file(Path(archive), source.archive, log)
            root = unpack_to(Path(archive), target, find_root, report)
        else:
            root = _download(name, source, target, report, log)
        _add_lists(root, source, log)
    return root


def fetched_root(name: str, folder: str | Path) -> Path | None:
    """The root of a data set that was fetched into `folder`; None if it was not."""
    target = Path(folder) / name
    return _find_root(target, SOURCES[name]) if target.is_dir() else None


def _download(name: str, source: DatasetSource, target: Path, report: Report | None,
              log: Log) -> Path:
    file = source.archive.file
    advice = f'get {file} from elsewhere, and then: tinyfcn data {name} --from {file}'

    def use(archive: Path) -> Path:
        root = unpack_to(archive, target, partial(_find_root, source=source), report)
        log(f'{printable(archive)} is no longer needed')
        return root

    sources = [source.archive]
    return (find_file(sources, target.parent, use, log)
            or download_file(sources, target.parent, use, advice, report, log))


def _find_root(folder: Path, source: DatasetSource) -> Path:
    """The folder that holds the contents of the data set, at any depth."""
    for path, folders, _ in os.walk(folder):
        folders.sort()
        if all((Path(path) / part).exists() for part in source.contents):
            return Path(path)
    raise ValueError(f'{printable(folder)}: no folder in it has {", ".join(source.contents)}, as '
                     f'this data set should: it is another one, or incomplete; move it away')


def _add_lists(root: Path, source: DatasetSource, log: Log) -> None:
    """Fetch the paper's splits where an archive lacks them; the data set is usable without."""
    for relative_path, mirror in source.lists.items():
        path = root / relative_path
        if path.exists():
            continue
        part = path.with_name(f'{path.name}.part')
        if problem := _fetch_list(mirror, part):
            log(f'{mirror}: {problem}; this list is missing: put it at {printable(path)}')
        else:
            move_into_place(part, path)
            remove_part(part)


def _fetch_list(mirror: str, part: Path) -> str:
    """-> why a list is not there now; '' if it is"""
    try:
        download(mirror, part, max_bytes=MAX_LIST)
        read_list(part)
    except Unavailable as error:
        return str(error)
    except ValueError as error:                         # something else than a list has come
        remove_part(part)
        return str(error)
    return ''
