"""Find out what a folder holds."""
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ...files import describe_folder, open_regular, printable
from ..classes import MAX_CLASSES, READERS, Classes
from ..images import read_label
from ..labels import first_invalid
from ..paths import IMAGE_SUFFIXES
from .coco import is_coco, read_coco
from .cvat import is_cvat, read_cvat
from .label_files import LabelFiles, walk_files
from .labelme import is_labelme, read_labelme
from .mask_folders import read_masks
from .pairs import Pair, find_pairs, named_pairs, pairs_within

HEAD = 1 << 16                  # bytes of a file that are looked at
MAX_HEADS = 20                  # files of a kind that are looked at

KNOWN = ('images/ and masks/ (PNG) with classes.txt, the layout of VOC, and what LabelMe, CVAT and '
         'tools for COCO export')


def find_labels(root: Path, classes: Classes | None, images: str | Path | None = None,
                masks: str | Path | None = None) -> LabelFiles:
    """The labels of a folder, whatever their format. An error says what was found instead."""
    if not root.is_dir():
        raise ValueError(f'{printable(root)}: no such folder; {describe_folder(root.parent)}')
    if (images is None) != (masks is None):
        missing, given = ('masks', images) if masks is None else ('images', masks)
        raise ValueError(f'{printable(given)}: the folder of {missing} is missing; name both')
    if images is not None and masks is not None:
        return read_masks(root, named_pairs(_named(root, images), _named(root, masks)), classes)
    if pairs := find_pairs(root, lambda path: _is_mask(path, classes)):
        return read_masks(root, pairs, classes)
    if (root / 'masks').exists() and (root / 'images').exists():       # and one is empty
        return read_masks(root, {'': Pair(root / 'images', root / 'masks')}, classes)
    tables = [path for path in walk_files(root, ['.json']) if path.name not in READERS]
    heads = dict(_heads(tables))
    if any(map(is_labelme, heads.values())):
        return read_labelme(root, [path for path in tables if not is_coco(heads.get(path, b''))],
                            classes)
    if coco := [path for path, head in heads.items() if is_coco(head)]:
        return read_coco(root, coco, classes)
    exports = [path for path, head in _heads(walk_files(root, ['.xml'])) if is_cvat(head)]
    if exports:
        return read_cvat(root, exports, classes)
    if pairs := pairs_within(root):
        return read_masks(root, pairs, classes)
    raise ValueError(f'{printable(root)}: {_describe(root)}')


def _is_mask(path: Path, classes: Classes | None) -> bool:
    """Whether an image can be a mask: its pixels are classes, or colours of classes."""
    try:
        label = read_label(path, classes.colours if classes else None)
    except (OSError, ValueError):
        return False
    return first_invalid(label, len(classes.names) if classes else MAX_CLASSES) is None


def _named(root: Path, folder: str | Path) -> Path:
    """A folder within root, or else any other."""
    own = root / folder
    return own if own.is_dir() or not Path(folder).is_dir() else Path(folder)


def _describe(root: Path) -> str:
    """What a folder without known labels holds, and what to do."""
    folders = sorted({path.parent for path in walk_files(root, IMAGE_SUFFIXES)})
    if not folders:
        return f'no images in it ({", ".join(IMAGE_SUFFIXES)}); known are {KNOWN}'
    names = ['the folder itself' if folder == root else f'{folder.relative_to(root).as_posix()}/'
             for folder in folders[:6]]
    shown = printable(', '.join(names))
    if other := _describe_other(root):
        return other
    if len(folders) == 1:
        return (f'images in {shown}, and no labels for them; known are {KNOWN}. Label the images, '
                f'or put the masks into a folder masks/')
    return (f'images in {shown}; which of them are masks cannot be told from the names: name '
            f'both, --images FOLDER --masks FOLDER, or rename them to images and masks')


def _describe_other(root: Path) -> str:
    """Labels that are there and cannot be read; '' if there are none."""
    if any('labels' in path.relative_to(root).parts for path in walk_files(root, ['.txt'])):
        return ('its folder labels has text files, as YOLO writes them; export the labels as COCO '
                'JSON, or as masks')
    if any(b'<annotation>' in head for _, head in _heads(walk_files(root, ['.xml']))):
        return ('its XML files have boxes, as those of VOC; boxes alone cannot be trained on: draw '
                'outlines or masks')
    return ''


def _heads(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """-> the first files, each with its beginning"""
    for path in islice(paths, MAX_HEADS):
        try:
            with open_regular(path) as file:
                yield path, file.read(HEAD)
        except (OSError, ValueError):
            continue
