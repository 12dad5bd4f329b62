"""Find out what a folder holds."""
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from ...files import describe_folder, open_image, open_regular, printable
from ...files.images import to_rgb
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
FLAT_SHARE = .6                 # of the pixels of a mask, at least

KNOWN = ('images/ and masks/ (PNG) with classes.txt, the layout of VOC, and what LabelMe, CVAT and '
         'tools for COCO export')

RUN_MARK = b'"a run of `tinyfcn train`"'            # in the run.json of a training


def find_labels(root: Path, classes: Classes | None, images: str | Path | None = None,
                masks: str | Path | None = None) -> LabelFiles:
    """The labels of a folder, whatever their format. An error says what was found instead."""
    if root.is_file():
        raise ValueError(f'{printable(root)}: a file; unpack it if it is an archive, and name the '
                         f'folder')
    if not root.is_dir():
        raise ValueError(f'{printable(root)}: no such folder; {describe_folder(root.parent)}')
    if images is None and masks is not None:
        raise ValueError(f'{printable(masks)}: the folder of images is missing; name both')
    if images is not None and masks is not None:
        return read_masks(root, named_pairs(_named(root, images), _named(root, masks)), classes)
    if images is not None:
        if labels := _find_label_files(root, classes, _named(root, images)):
            return labels
        raise ValueError(f'{printable(images)}: the folder of masks is missing; name both, for '
                         f'{printable(root)} has no labels of LabelMe, CVAT or COCO')
    if pairs := find_pairs(root, lambda path: _is_mask(path, classes)):
        return read_masks(root, pairs, classes)
    if (root / 'masks').exists() and (root / 'images').exists():       # and one is empty
        return read_masks(root, {'': Pair(root / 'images', root / 'masks')}, classes)
    if labels := _find_label_files(root, classes, root):
        return labels
    if pairs := find_pairs(root, _is_flat) or pairs_within(root):
        return read_masks(root, pairs, classes)
    raise ValueError(f'{printable(root)}: {_describe(root)}')


def _find_label_files(root: Path, classes: Classes | None, images: Path) -> LabelFiles | None:
    """The labels in root that LabelMe, COCO or CVAT wrote of images in another folder, or in it."""
    tables = [path for path in walk_files(root, ['.json'])
              if path.name not in READERS and not _is_run(path)]
    heads = dict(_heads(tables))
    coco = [path for path, head in heads.items() if is_coco(head)]
    exports = [path for path, head in _heads(walk_files(root, ['.xml'])) if is_cvat(head)]
    if any(map(is_labelme, heads.values())):
        own = [path for path in tables if path not in coco]
        return _without(root, coco + exports, read_labelme(root, own, classes, images))
    if coco:
        return _without(root, exports, read_coco(root, coco, classes, images))
    return read_cvat(root, exports, classes, images) if exports else None


def _is_run(path: Path) -> bool:
    """Whether a JSON file is that of a training, kept below its images."""
    return path.name == 'run.json' and any(RUN_MARK in head for _, head in _heads([path]))


def _without(root: Path, others: Sequence[Path], labels: LabelFiles) -> LabelFiles:
    """The labels, described with the files of another format, which are not read."""
    if not others:
        return labels
    shown = printable(', '.join(path.relative_to(root).as_posix() for path in others[:3]))
    more = ', …' if len(others) > 3 else ''
    return labels._replace(description=f'{labels.description}; not read, as of another format: '
                                       f'{shown}{more}')


def _is_mask(path: Path, classes: Classes | None) -> bool:
    """Whether an image can be a mask: its pixels are classes, or colours of classes."""
    try:
        label = read_label(path, classes.colours if classes else None)
    except (OSError, ValueError):
        return False
    return first_invalid(label, len(classes.names) if classes else MAX_CLASSES) is None


def _is_flat(path: Path) -> bool:
    """Whether most pixels of an image equal their right neighbour, as in a mask, right or wrong."""
    try:
        with open_image(path) as image:
            pixels = to_rgb(image)
    except (OSError, ValueError):
        return False
    return bool((pixels[:, 1:] == pixels[:, :-1]).all(2).mean() > FLAT_SHARE)


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
    tables = _heads(walk_files(root, ['.json']))
    if via := [path for path, head in tables if b'"regions"' in head]:
        return (f'{printable(via[0].name)} is of the VGG Image Annotator (VIA), whose own JSON is '
                f'not read; export the annotations from it as COCO')
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
