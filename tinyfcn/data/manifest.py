"""The SHA-256 of every file of a set, in the format of sha256sum.

A flipped bit in a JPEG mostly gives another picture without a word. Whoever has written a
manifest sees it.
"""
import hashlib
import os
from pathlib import Path

from ..files import replacing
from .lists import existing, read_lines


def write_manifest(pictures, path):
    """A line 'sha256  file' for each file of the set, by its way from the manifest's folder."""
    lines = [f'{_sha256(file)}  {_from(path, file)}\n' for file in _files(pictures)]
    with replacing(path) as file:
        file.write(''.join(lines).encode())


def verify(pictures, path):
    """Yields a sentence for each file of the set that is not what it was, or that is not listed."""
    known = dict(_entries(path))
    for file in _files(pictures):
        name = _from(path, file)
        if name not in known:
            yield f'{file}: not in {path}; if it is new, write the manifest anew'
        elif not file.is_file():
            yield f'{file}: no such file, and {path} lists it; get it again'
        elif _sha256(file) != known[name]:
            yield (f'{file}: not as it was when {path} was written (another SHA-256); get it '
                   f'again, or if you have changed it, write the manifest anew')


def _entries(path):
    for number, line in read_lines(path):
        digest, _, name = line.partition('  ')
        if len(digest) != 64 or not name:
            raise ValueError(f'{path}, line {number}: {line[:80]!r} is not a SHA-256, two spaces '
                             f'and a file; write the manifest anew')
        yield name, digest


def _files(pictures):
    return [Path(file) for name in pictures.names for file in pictures.files(name)]


def _from(path, file):
    """With forward slashes everywhere, so that a manifest may travel."""
    return Path(os.path.relpath(file, Path(path).parent)).as_posix()


def _sha256(path):
    return hashlib.sha256(existing(path).read_bytes()).hexdigest()
