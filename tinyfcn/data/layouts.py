"""Recognise folders that other tools write, to say how they become a data set."""
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ..files import open_regular, printable
from .paths import IMAGE_SUFFIXES

HEAD = 1 << 16                  # bytes of a file that are looked at
MAX_FILES = 5                   # of a kind

NEEDED = ('what is needed is images/, masks/ with a PNG of class numbers for each image, and '
          'classes.txt with the name of a class in each line')
RENAME = 'rename JPEGImages to images, SegmentationClass to masks, and write classes.txt'


def describe_layout(root: Path) -> str:
    """What a folder without images/, masks/ or classes.txt seems to be, and what to do; '' if
    nothing is recognised.
    """
    if (root / 'JPEGImages').is_dir() and (root / 'SegmentationClass').is_dir():
        colours = (' with the colours of labelmap.txt, a line `R G B name` for each'
                   if (root / 'labelmap.txt').exists() else
                   ', a class in each line, or `R G B name` if the masks are RGB')
        return f'it has the layout of VOC: {RENAME}{colours}'
    for path, head in _heads(root, ['*.json', 'images/*.json', 'annotations/*.json']):
        if b'"shapes"' in head or b'"imagePath"' in head:
            return (f'it has polygons of LabelMe ({path}): labelme2voc.py, which comes with '
                    f'LabelMe, draws them as masks; {NEEDED}')
        if b'"annotations"' in head or b'"categories"' in head or b'"coco_url"' in head:
            return (f'it has polygons of COCO ({path}): annToMask of pycocotools draws them as '
                    f'masks; {NEEDED}')
    for path, head in _heads(root, ['*.xml']):
        if b'<annotations>' in head:
            return (f"it has polygons of CVAT ({path}): export the task as 'Segmentation mask "
                    f"1.1'; in that, {RENAME}")
    images = [path for path in _files(root, '*') if path.suffix.lower() in IMAGE_SUFFIXES]
    if images and not (root / 'images').exists():
        noun = 'image' if len(images) == 1 else 'images'
        return (f'{len(images):,} {noun} such as {printable(images[0].name)} are in the folder '
                f'itself: move photos into images/ and masks into masks/; {NEEDED}')
    return ''


def _heads(root: Path, patterns: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """-> name and beginning of a few files of each pattern"""
    for pattern in patterns:
        for path in islice(_files(root, pattern), MAX_FILES):
            try:
                with open_regular(path) as file:
                    yield printable(path.relative_to(root)), file.read(HEAD)
            except (OSError, ValueError):
                continue


def _files(root: Path, pattern: str) -> Iterator[Path]:
    return (path for path in sorted(root.glob(pattern)) if path.is_file())
