"""Describe what a folder holds, to end an error message with."""
from collections import Counter
from pathlib import Path


def describe_folder(folder: Path) -> str:
    """Such as 'masks has 12 .png, 1 .txt'."""
    if not folder.is_dir():
        return f'{folder} is not a folder'
    suffixes = Counter(path.suffix or 'without suffix' for path in folder.iterdir())
    counts = ', '.join(f'{count:,} {suffix}' for suffix, count in suffixes.most_common(6))
    return f'{folder} has {counts}' if counts else f'{folder} is empty'
