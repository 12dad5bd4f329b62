"""The SHA-256 of every file of a data set, in the format of sha256sum.

A flipped bit in a JPEG usually gives another image and no error. A manifest reveals it.
"""
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..fetch.checksum import file_digest
from ..files import open_atomic, printable
from .dataset import Dataset
from .lists import read_bytes
from .paths import require_file

# a line 'sha256  file'. It begins with a backslash if the name has escapes, since a name may hold
# the end of a line
ESCAPES = {'\\': '\\\\', '\n': '\\n', '\r': '\\r'}
ORIGINALS = {escape: character for character, escape in ESCAPES.items()}
LINE = re.compile(r'(\\?)([0-9a-fA-F]{64}) [ *](.+)', re.DOTALL)


def write_manifest(dataset: Dataset, path: str | Path) -> None:
    """A line 'sha256  file' for each file; paths are relative to the folder of the manifest."""
    lines = [_line(_sha256(file), _relative(file, path)) for file in _files(dataset)]
    with open_atomic(path) as file:
        file.write(b''.join(map(os.fsencode, lines)))   # a name may be no UTF-8


def verify_manifest(dataset: Dataset, path: str | Path) -> Iterator[str]:
    """Yields a sentence for each file that has changed, is missing or is not listed."""
    known = dict(read_manifest(path))
    manifest = printable(path)
    for file in _files(dataset):
        name = _relative(file, path)
        source = printable(file)
        if name not in known:
            yield (f'{source}: not listed in {manifest}; if the file is new, write the manifest '
                   f'again')
        elif not os.path.exists(file):
            yield f'{source}: no such file, but {manifest} lists it; get it again'
        elif _sha256(file) != known[name]:
            yield (f'{source}: changed since {manifest} was written (its SHA-256 differs); get it '
                   f'again, or if the change is yours, write the manifest again')


def _line(digest: str, name: str) -> str:
    escaped = re.sub(r'[\\\n\r]', lambda match: ESCAPES[match[0]], name)
    mark = '\\' if escaped != name else ''
    return f'{mark}{digest}  {escaped}\n'


def read_manifest(path: str | Path) -> Iterator[tuple[str, str]]:
    """-> file, SHA-256 of each line. A BOM, Windows line ends and blank lines are fine."""
    lines = read_bytes(path).removeprefix(b'\xef\xbb\xbf').split(b'\n')
    for number, line in enumerate(lines, start=1):
        text = os.fsdecode(line.removesuffix(b'\r'))
        if not text.strip():
            continue
        match = LINE.fullmatch(text)
        if not match:
            raise ValueError(f"{printable(path)}, line {number}: '{printable(text, limit=80)}' is "
                             f"not a SHA-256, two spaces and a file; write the manifest again")
        mark, digest, name = match.groups()
        if mark:
            name = re.sub(r'\\[\\nr]', lambda found: ORIGINALS[found[0]], name)
        yield name, digest.lower()


def _files(dataset: Dataset) -> list[Path]:
    files = [Path(file) for name in dataset.names for file in dataset.files(name)]
    return list(dict.fromkeys(files))                   # one file may have the labels of all images


def _relative(file: Path, manifest: str | Path) -> str:
    """With forward slashes on every system, so that a manifest can be copied to another."""
    return Path(os.path.relpath(file, Path(manifest).parent)).as_posix()


def _sha256(path: Path) -> str:
    return file_digest(require_file(path), 'sha256')
