"""Describe what a folder holds, to end an error message with."""
from collections import Counter
from pathlib import Path

from .text import printable


def describe_folder(folder: Path) -> str:
    """Such as 'masks has 12 .png, 1 .txt'."""
    if not folder.is_dir():
        return f'{printable(folder, limit=None)} is not a folder'
    suffixes = Counter(path.suffix or 'without suffix' for path in folder.iterdir())
    counts = ', '.join(f'{count:,} {suffix}' for suffix, count in suffixes.most_common(6))
    contents = f'has {counts}' if counts else 'is empty'
    return printable(f'{folder} {contents}', limit=None)
