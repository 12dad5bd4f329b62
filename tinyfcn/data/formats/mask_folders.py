"""Masks: for each image another one of the same size, with a number or a colour for each class."""
from collections.abc import Collection, Container, Iterable, Mapping
from pathlib import Path

import numpy as np

from ...files import printable
from ...files.images import open_image, to_rgb
from ..classes import Classes, missing_classes
from ..images import read_label
from ..labels import Array
from .label_files import Files, LabelFiles, ReadImage, count
from .pairs import MASK_ENDINGS, Pair, common_ending, files_of

MAX_READ = 5                    # masks that are read to say what values there are
MAX_COLOURS = 20                # of each


def read_masks(root: Path, pairs: Mapping[str, Pair], classes: Classes | None) -> LabelFiles:
    """The images of these folders, and their masks."""
    by_split = {split: (*files_of(pair), pair) for split, pair in pairs.items()}
    names = [name for images, _, _ in by_split.values() for name in images]
    is_unique = len(set(names)) == len(names)
    files: dict[str, Files] = {}
    splits: dict[str, list[str]] = {}
    unused = []
    for split, (images, stored, pair) in by_split.items():
        masks = masks_by_image(images, stored)
        unused += [path for name, path in masks.items() if name not in images]
        for name, image in images.items():
            own = name if is_unique else f'{split}/{name}'
            # a missing file is reported as .png when it is opened
            files[own] = image, masks.get(name, pair.masks / f'{name}.png')
            splits.setdefault(split, []).append(own)
    if classes is None:
        raise missing_classes(root, _describe_values([mask for _, mask in files.values()]))
    colours, source = classes.colours, classes.source

    def read(files: Files, read_image: ReadImage) -> tuple[Array, Array]:
        image_path, mask_path = files
        label = read_label(mask_path, colours, source)
        return read_image(image_path, label.shape), label

    return LabelFiles(_describe(root, pairs, files, classes), classes, files, read,
                      {} if '' in splits else splits, _folder_of_lists(root), unused)


def _folder_of_lists(root: Path) -> Path:
    """Where train.txt and the others are: in root, or where VOC has them."""
    of_voc = root / 'ImageSets' / 'Segmentation'
    if any((root / f'{split}.txt').exists() for split in ('train', 'val', 'test')):
        return root
    return of_voc if any(of_voc.glob('*.txt')) else root


def masks_by_image(images: Collection[str], stored: Mapping[str, Path]) -> dict[str, Path]:
    """{name of an image: its mask}. A mask without an image has its own name here."""
    masks: dict[str, Path] = {}
    own = common_ending(stored, images)
    endings = [*MASK_ENDINGS, own] if own else MASK_ENDINGS
    for name, path in stored.items():
        image = _image_of(name, images, stored, endings)
        if image in masks:
            raise ValueError(f'{printable(masks[image])} and {printable(path.name)}: two masks of '
                             f'one image; remove one of them')
        masks[image] = path
    return masks


def _image_of(mask: str, images: Container[str], masks: Mapping[str, Path],
              endings: Iterable[str]) -> str:
    """The name of the image that a mask belongs to: its own, or that without an ending."""
    for ending in endings:
        image = mask[:-len(ending)]
        if (mask not in images and mask.lower().endswith(ending) and image in images
                and image not in masks):
            return image
    return mask


# ---- descriptions --------------------------------------------------------------------------------

def _describe(root: Path, pairs: Mapping[str, Pair], files: Mapping[str, Files],
              classes: Classes) -> str:
    """'12 images in images/, masks of class numbers in masks/; 3 classes from classes.txt'"""
    folders = [' and '.join(_shown(getattr(pair, part), root) for pair in pairs.values())
               for part in ('images', 'masks')]
    if folders[0] == folders[1]:
        folders[1] = 'the same folder'
    first = next((mask for _, mask in files.values() if mask.exists()), None)
    kind = 'masks' if first is None else _kind_of_mask(first, classes)
    return (f'{count(len(files), "image")} in {folders[0]}, {kind} in {folders[1]}; '
            f'{count(len(classes.names), "class")} from {classes.source}')


def _shown(folder: Path, root: Path) -> str:
    if folder.absolute().is_relative_to(root.absolute()):
        folder = folder.absolute().relative_to(root.absolute())
    return f'{printable(folder.as_posix())}/'


def _kind_of_mask(path: Path, classes: Classes) -> str:
    try:
        with open_image(path) as image:
            is_coloured = image.mode in ('RGB', 'RGBA') and classes.colours
    except (OSError, ValueError):                       # reading it will be reported
        return 'masks'
    return 'masks of colours' if is_coloured else 'masks of class numbers'


def _describe_values(masks: list[Path]) -> str:
    """What a few masks hold, so that the classes can be written down."""
    numbers: set[int] = set()
    colours: set[tuple[int, ...]] = set()
    for path in masks[:MAX_READ]:
        try:
            with open_image(path) as image:
                if image.mode in ('RGB', 'RGBA'):
                    pixels = np.unique(to_rgb(image).reshape(-1, 3), axis=0)
                    colours.update(map(tuple, pixels[:MAX_COLOURS].tolist()))
                    continue
            numbers.update(np.unique(read_label(path)).tolist())
        except (OSError, ValueError):                   # reading it will be reported
            continue
    if colours:
        listed = ', '.join(' '.join(map(str, colour)) for colour in sorted(colours)[:8])
        return (f"The masks are in colours, so a line is 'R G B name'; the first ones have "
                f"{listed}. ")
    if numbers:
        listed = ', '.join(map(str, sorted(numbers)[:30]))
        return f'The first masks have the values {listed}, and 255 is void. '
    return ''
