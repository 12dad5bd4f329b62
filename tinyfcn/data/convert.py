"""Write images and labels of any format as the folder that every command reads fastest.

    NEW/images/NAME.*   as they were        NEW/classes.txt     'name' or 'R G B name'
    NEW/masks/NAME.png  palette, class numbers, 255 for void    NEW/{train,val,test}.txt
"""
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import make_folder, open_atomic, printable
from .channels import FILE as CHANNELS
from .dataset import Dataset
from .folder import folder, has_split

SPLITS = 'train', 'val', 'test'


def convert_folder(source: str | Path, new: str | Path, images: str | Path | None = None,
                   masks: str | Path | None = None,
                   palette: Callable[[Dataset], NDArray[np.uint8]] | None = None,
                   show: Callable[[list[str]], Iterable[str]] = iter) -> Dataset:
    """Write the folder `new`, completely or not at all. -> the data set that was read

    images, masks: as for `folder`. palette(dataset) -> (256, 3) uint8, the colours of the masks;
    without it they are grey. show: a progress bar over the names
    """
    dataset = folder(source, None, images, masks)
    files = file_names(dataset.names)
    colours = palette(dataset).tobytes() if palette else None
    with _new_folder(Path(new)) as root:
        make_folder(root / 'images')
        make_folder(root / 'masks')
        for i, name in enumerate(show(dataset.names)):
            _, label = dataset[i]
            image = dataset.files(name)[0]
            shutil.copyfile(image, root / 'images' / f'{files[name]}{image.suffix}')
            _save_mask(root / 'masks' / f'{files[name]}.png', label, colours)
        lines = [' '.join([*map(str, dataset.colours.get(name, ())), name])
                 for name in dataset.classes]
        _write_lines(root / 'classes.txt', lines)
        for split in SPLITS:
            if has_split(source, split, images, masks):
                own = folder(source, split, images, masks)
                _write_lines(root / f'{split}.txt', [files[name] for name in own.names])
        if (Path(source) / CHANNELS).exists():
            shutil.copyfile(Path(source) / CHANNELS, root / CHANNELS)
    return dataset


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A name without folders for each image.

    >>> file_names(['a', 'train/b'])
    {'a': 'a', 'train/b': 'train_b'}
    """
    files = {name: name.replace('/', '_') for name in names}
    if len(set(files.values())) < len(files):           # a_b beside a/b
        files = {name: f'{number:06}_{file}' for number, (name, file) in enumerate(files.items())}
    return files


def _save_mask(path: Path, label: NDArray[np.uint8], palette: bytes | None) -> None:
    from PIL import Image
    mask = Image.fromarray(label)
    if palette:
        mask.putpalette(palette)
    mask.save(path, optimize=True)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with open_atomic(path) as file:
        file.write(''.join(f'{line}\n' for line in lines).encode('utf-8', 'surrogateescape'))


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name at the end of the block; on an error it goes."""
    if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f'{printable(path)}: exists already; name a new folder')
    make_folder(path.parent)
    part = path.with_name(f'.{path.name[:200]}.{os.getpid()}.part')
    part.mkdir()
    try:
        yield part
        with suppress(FileNotFoundError):
            path.rmdir()
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
