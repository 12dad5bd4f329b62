"""Describe what a folder holds, to end an error message with."""
from collections import Counter
from pathlib import Path

from .text import printable

MAX_NAMES = 6


def describe_folder(folder: Path) -> str:
    """Such as 'masks has 12 .png, 1 .txt'; of a missing folder, which ones are beside it."""
    if not folder.is_dir():
        missing = f'{folder} is not a folder'
        beside = folder.parent
        if beside != folder and beside.is_dir():
            names = sorted(path.name for path in beside.iterdir() if path.is_dir())
            shown = ', '.join(names[:MAX_NAMES]) + (', …' if len(names) > MAX_NAMES else '')
            missing += f'; the folders in {beside} are: {shown or "none"}'
        return printable(missing, limit=None)
    kinds = Counter(_kind(path) for path in folder.iterdir())
    counts = [f'{count:,} {kind}' if kind != 'folders' or count > 1 else '1 folder'
              for kind, count in kinds.most_common(MAX_NAMES)]
    contents = f'has {", ".join(counts)}' if counts else 'is empty'
    return printable(f'{folder} {contents}', limit=None)


def _kind(path: Path) -> str:
    """The suffix of a file, as far as it has one."""
    return 'folders' if path.is_dir() else path.suffix or 'without suffix'
