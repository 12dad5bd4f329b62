"""Which files a folder holds, and errors that describe it."""
from collections.abc import Iterable
from pathlib import Path

from ..files import describe_folder, open_regular, printable

IMAGE_SUFFIXES = '.jpg .jpeg .png .bmp .tif .tiff .webp .gif .ppm .pgm .npy'.split()


def file_stems(folder: Path, suffix: str) -> list[str]:
    """The sorted names, without suffix, of the files that have this suffix."""
    found = sorted(path.stem for path in folder.glob(f'*{suffix}'))
    if not found:
        raise ValueError(f'{printable(folder)}: no file *{suffix}; '
                         f'{describe_folder(folder)}')
    return found


def images_by_stem(folder: Path) -> dict[str, Path]:
    """{name without suffix: path} of the image files in a folder."""
    found = by_stem(image_files(folder))
    if not found:
        raise ValueError(f'{printable(folder)}: no images ({", ".join(IMAGE_SUFFIXES)}); '
                         f'{describe_folder(folder)}')
    return found


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder, sorted; hidden ones are not."""
    return [path for path in sorted(folder.iterdir() if folder.is_dir() else [])
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.')]


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """{name without suffix: path}"""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise ValueError(f'{printable(path)} and {printable(found[path.stem].name)}: two '
                             f'images of one name; rename one of them')
        found[path.stem] = path
    return found


def require_file(path: Path) -> Path:
    """The path itself, if it is a file, and not a pipe, which would block its reader."""
    with open_regular(path):
        return path
