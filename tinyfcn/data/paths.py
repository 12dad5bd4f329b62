"""Which files a folder holds, and errors that describe it."""
from collections import Counter
from pathlib import Path

IMAGE_SUFFIXES = '.jpg .jpeg .png .bmp .tif .tiff .webp .gif .ppm .pgm'.split()


def file_stems(folder: Path, suffix: str) -> list[str]:
    """The sorted names, without suffix, of the files that have this suffix."""
    found = sorted(path.stem for path in folder.glob(f'*{suffix}'))
    if not found:
        raise ValueError(f'{folder}: no file *{suffix}; {describe_folder(folder)}')
    return found


def images_by_stem(folder: Path) -> dict[str, Path]:
    """{name without suffix: path} of the image files in a folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith('.'):
            continue
        if path.stem in found:
            raise ValueError(f'{path} and {found[path.stem].name}: two images of one name; rename '
                             f'one of them')
        found[path.stem] = path
    if not found:
        raise ValueError(f'{folder}: no images ({", ".join(IMAGE_SUFFIXES)}); '
                         f'{describe_folder(folder)}')
    return found


def require_file(path: Path) -> Path:
    """The path itself, if it is a file."""
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; {describe_folder(path.parent)}')
    return path


def describe_folder(folder: Path) -> str:
    """'masks has 12 .png, 1 .txt', to end an error message with."""
    if not folder.is_dir():
        return f'{folder} is not a folder'
    suffixes = Counter(path.suffix or 'without suffix' for path in folder.iterdir())
    counts = ', '.join(f'{count:,} {suffix}' for suffix, count in suffixes.most_common(6))
    return f'{folder} has {counts}' if counts else f'{folder} is empty'
