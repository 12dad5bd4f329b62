"""Which files a folder holds, and errors that describe it."""
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
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith('.'):
            continue
        if path.stem in found:
            raise ValueError(f'{printable(path)} and {printable(found[path.stem].name)}: two '
                             f'images of one name; rename one of them')
        found[path.stem] = path
    if not found:
        raise ValueError(f'{printable(folder)}: no images ({", ".join(IMAGE_SUFFIXES)}); '
                         f'{describe_folder(folder)}')
    return found


def require_file(path: Path) -> Path:
    """The path itself, if it is a file, and not a pipe, which would block its reader."""
    with open_regular(path):
        return path
