"""The SHA-256 of every file of a data set, in the format of sha256sum.

A flipped bit in a JPEG usually gives another image and no error. A manifest reveals it.
"""
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..files import open_atomic
from .dataset import Dataset
from .lists import read_lines
from .paths import require_file


def write_manifest(dataset: Dataset, path: str | Path) -> None:
    """A line 'sha256  file' for each file; paths are relative to the folder of the manifest."""
    lines = [f'{_sha256(file)}  {_relative(file, path)}\n' for file in _files(dataset)]
    with open_atomic(path) as file:
        file.write(''.join(lines).encode())


def verify_manifest(dataset: Dataset, path: str | Path) -> Iterator[str]:
    """Yields a sentence for each file that has changed, is missing or is not listed."""
    known = dict(_entries(path))
    for file in _files(dataset):
        name = _relative(file, path)
        if name not in known:
            yield f'{file}: not listed in {path}; if the file is new, write the manifest again'
        elif not file.is_file():
            yield f'{file}: no such file, but {path} lists it; get it again'
        elif _sha256(file) != known[name]:
            yield (f'{file}: changed since {path} was written (its SHA-256 differs); get it again, '
                   f'or if the change is yours, write the manifest again')


def _entries(path: str | Path) -> Iterator[tuple[str, str]]:
    """-> file, SHA-256 of each line"""
    for number, line in read_lines(path):
        digest, _, name = line.partition('  ')
        if len(digest) != 64 or not name:
            raise ValueError(f'{path}, line {number}: {line[:80]!r} is not a SHA-256, two spaces '
                             f'and a file; write the manifest again')
        yield name, digest


def _files(dataset: Dataset) -> list[Path]:
    return [Path(file) for name in dataset.names for file in dataset.files(name)]


def _relative(file: Path, manifest: str | Path) -> str:
    """With forward slashes on every system, so that a manifest can be copied to another."""
    return Path(os.path.relpath(file, Path(manifest).parent)).as_posix()


def _sha256(path: Path) -> str:
    return hashlib.sha256(require_file(path).read_bytes()).hexdigest()
