"""The fingerprint of a data set: a few numbers that tell whether it is still the same one.

    then = fingerprint(dataset)                     a dict that JSON can hold
    fingerprint_differences(then, fingerprint(dataset))     a sentence for everything that is other

Class names and the number of images stand in it as they are; the list of images, and the size and
date of each file, as hashes. Where a file was changed but has the same size, only its date tells;
and the date alone says little, since a copy has another one: `only_dates_differ`.
"""
import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..files import open_regular, printable
from .dataset import Dataset
from .labels import by_output

SHOWN = 8                       # class names in a sentence
CHUNK = 1 << 20                 # bytes that are read at once


def fingerprint(dataset: Dataset, contents: bool = False) -> dict[str, Any]:
    """-> dict(images, classes, names, bytes, sizes, dates, sample, contents)

    contents: read all files and hash what is in them, in place of their dates. Without files, as
    where images are generated, the first image and its label stand for all (`sample`).

    >>> from tinyfcn.data import load_dataset
    >>> found = fingerprint(load_dataset('shapes', split='val', size=(32, 48), n_class=3))
    >>> found['images'], found['classes'], found['bytes']
    (60, {'score': ['background', 'disc', 'triangle']}, 0)
    """
    classes = {output: [*names] for output, names in by_output(dataset.classes).items()}
    sizes = _Hash()
    dates = _Hash()
    read = _Hash()
    total = 0
    n_files = 0
    tables: set[Path] = set()       # each with the labels of many images, so it is read once
    for name in dataset.names:
        for path in dataset.files(name):
            n_files += 1
            try:
                stat = os.stat(path)
            except OSError:                             # reading the image will report it
                sizes.add(path.name, 'missing')
                continue
            total += stat.st_size
            sizes.add(path.name, stat.st_size)
            dates.add(path.name, stat.st_mtime_ns)
            if contents and path not in tables:
                read.add_file(path)
            if path.suffix in ('.json', '.xml'):
                tables.add(path)
    return dict(images=len(dataset), classes=classes, names=_Hash(dataset.names).text(),
                bytes=total, sizes=sizes.text() if n_files else None,
                dates=dates.text() if n_files and not contents else None,
                sample=None if n_files else _hash_first_image(dataset),
                contents=read.text() if n_files and contents else None)


def fingerprint_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A sentence for everything in which two fingerprints of a data set differ, but for dates.

    What one of them does not know is not compared.

    >>> then = dict(images=20, classes={'score': ['sky', 'tree']})
    >>> fingerprint_differences(then, dict(then, classes={'score': ['tree', 'sky']}))
    ['its classes were sky, tree and stand in another order now: tree, sky']
    """
    differences = []
    classes_then = then.get('classes') or {}
    for output, names in (now.get('classes') or {}).items():
        before = classes_then.get(output, names)
        if before != names:
            where = '' if output == 'score' else f' of {output}'
            order = sorted(before) == sorted(names)
            differences.append(f'its classes{where} were {_shown(before)} and '
                               f'{"stand in another order now:" if order else "are"} '
                               f'{_shown(names)}')
    if _differ(then, now, 'images'):
        differences.append(f'it had {then["images"]:,} images and has {now["images"]:,}')
    elif _differ(then, now, 'names'):
        differences.append('its list names other images, or the same ones in another order')
    elif _differ(then, now, 'sizes'):
        if _differ(then, now, 'bytes'):
            differences.append(f'its files had {then["bytes"]:,} bytes and have {now["bytes"]:,}')
        else:
            differences.append('its files have other names or sizes')
    elif _differ(then, now, 'contents'):
        differences.append('its files have other contents, of the same size')
    elif _differ(then, now, 'sample'):
        differences.append('its first image, or the label of it, is another one')
    return differences


def is_fingerprint(value: object) -> bool:
    """Whether a value from a file has the shape of a fingerprint; any key may be missing.

    >>> is_fingerprint(dict(images=20)), is_fingerprint(dict(images='many')), is_fingerprint([])
    (True, False, False)
    """
    if not isinstance(value, dict):
        return False
    classes = value.get('classes') or {}
    are_classes = isinstance(classes, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in classes.values())
    numbers = (value.get(key) for key in ('images', 'bytes'))
    hashes = (value.get(key) for key in ('names', 'sizes', 'dates', 'sample', 'contents'))
    return (are_classes and all(number is None or type(number) is int for number in numbers)
            and all(text is None or isinstance(text, str) for text in hashes)
            and ('valid' not in value or is_fingerprint(value['valid'])))


def only_dates_differ(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the files have other dates, and nothing else tells whether they were changed."""
    return _differ(then, now, 'dates') and not fingerprint_differences(then, now)


def _differ(then: Mapping[str, Any], now: Mapping[str, Any], key: str) -> bool:
    """Whether both know this and it is another."""
    values = then.get(key), now.get(key)
    return None not in values and values[0] != values[1]


def _shown(names: Iterable[str]) -> str:
    listed = [*names]
    more = f' … ({len(listed)})' if len(listed) > SHOWN else ''
    return printable(', '.join(map(str, listed[:SHOWN])) + more)


def _hash_first_image(dataset: Dataset) -> str | None:
    try:
        image, label = dataset.read(dataset.names[0])
    except Exception:                                   # of a user's function; training reports it
        return None
    found = _Hash([image.shape, image.dtype])
    found.add_bytes(image.tobytes())
    for output, part in by_output(label).items():
        found.add(output, part.shape)
        found.add_bytes(part.tobytes())
    return found.text()


class _Hash:
    """A hash of values, one after another."""

    def __init__(self, values: Iterable[object] = ()) -> None:
        self.state = blake2b(digest_size=16)
        for value in values:
            self.add(value)

    def add(self, *values: object) -> None:
        for value in values:
            data = str(value).encode('utf-8', 'surrogateescape')
            self.add_bytes(b'%d ' % len(data) + data)   # ab, c is not a, bc

    def add_bytes(self, data: bytes) -> None:
        self.state.update(data)

    def add_file(self, path: str | os.PathLike[str]) -> None:
        try:
            with open_regular(path) as file:
                while data := file.read(CHUNK):
                    self.add_bytes(data)
        except (OSError, ValueError):                   # reading the image will report it
            self.add('unreadable')

    def text(self) -> str:
        return self.state.hexdigest()
