"""Masks: a folder of images beside one of masks, under the names that people give them.

    images/ and masks/                  JPEGImages/ and SegmentationClass/ (VOC, CVAT, labelme2voc)
    images/train/ and masks/train/      train/images/ and train/masks/      train/ and trainannot/
"""
import os
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...files import describe_folder, printable
from ...files.images import open_image, to_rgb
from ..classes import Classes, missing_classes
from ..images import read_label
from ..labels import Array
from ..paths import IMAGE_SUFFIXES, images_by_stem
from .label_files import Files, LabelFiles, ReadImage, count
from .splits import without_split

# what folders are called, without digits, and without the name of a split
IMAGE_FOLDERS = ('', 'image', 'images', 'img', 'imgs', 'jpegimages', 'photo', 'photos', 'picture',
                 'pictures', 'input', 'inputs', 'rgb')
MASK_FOLDERS = ('mask', 'masks', 'label', 'labels', 'annot', 'annots', 'annotation', 'annotations',
                'segmentation', 'segmentations', 'seg', 'gt', 'groundtruth', 'target', 'targets',
                'segmentationclass', 'segmentationclasspng', 'labelids')
# folders of pictures that are neither
OTHER_FOLDERS = ('segmentationobject', 'segmentationobjectpng', 'segmentationclassvisualization',
                 'segmentationobjectvisualization', 'visualization', 'overlay', 'overlays',
                 'instances', 'instance', 'preview', 'predictions')
# the mask of IMG.jpg may be IMG.png, or have one of these in addition, such as IMG_mask.png
MASK_ENDINGS = ('_mask', '-mask', '_label', '-label', '_gt', '-gt', '_seg', '_segmentation',
                '_annotation', '_l')
MAX_READ = 5                    # masks that are read to say what values there are
MAX_COLOURS = 20                # of each


class Pair(NamedTuple):
    """A folder of images and the one of their masks."""

    images: Path
    masks: Path


# ---- which folders -------------------------------------------------------------------------------

def find_pairs(root: Path) -> dict[str, Pair]:
    """{split: the two folders}, or one pair for the split ''; {} where it is not clear."""
    groups: dict[str, dict[str, list[Path]]] = {}
    for folder in _image_folders(root):
        split, kind = _kind_of(folder.relative_to(root))
        groups.setdefault(split, {}).setdefault(kind, []).append(folder)
    pairs = {}
    for split, kinds in groups.items():
        images, masks, others = (kinds.get(kind, []) for kind in ('images', 'masks', 'others'))
        if len(others) == 1 and len(images) + len(masks) == 1:
            # one name is known, so the other one is clear if the files have the same names
            if _share_names(others[0], [*images, *masks][0]):
                (masks if images else images).append(others[0])
        if len(images) == len(masks) == 1:
            pairs[split] = Pair(images[0], masks[0])
    if '' in pairs:
        return {'': pairs['']}
    return pairs


def named_pairs(images: Path, masks: Path) -> dict[str, Pair]:
    """The same for two folders that were named; splits may be folders within both."""
    for folder in images, masks:
        if not folder.is_dir():
            raise ValueError(f'{printable(folder)}: no such folder; '
                             f'{describe_folder(folder.parent)}')
    if _has_images(images):
        return {'': Pair(images, masks)}
    within = [{without_split(folder.name)[0]: folder for folder in _image_folders(path, depth=1)}
              for path in (images, masks)]
    pairs = {split: Pair(folder, within[1][split]) for split, folder in within[0].items()
             if split and split in within[1]}
    if not pairs:
        raise ValueError(f'{printable(images)}: no images ({", ".join(IMAGE_SUFFIXES)}); '
                         f'{describe_folder(images)}')
    return pairs


def _image_folders(root: Path, depth: int = 2) -> Iterator[Path]:
    """Folders below root, at most two deep, that hold images."""
    for folder in sorted(root.iterdir()) if depth and root.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith('.'):
            if _has_images(folder):
                yield folder
            yield from _image_folders(folder, depth - 1)


def _has_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(tuple(IMAGE_SUFFIXES))
                   and not entry.name.startswith('.') for entry in entries)


def _kind_of(path: Path) -> tuple[str, str]:
    """-> the split in a path such as train/masks, and whether its folder has images or masks"""
    split = ''
    kinds = []
    for part in path.parts:
        own_split, name = without_split(part)
        split = own_split or split
        known = [('images', IMAGE_FOLDERS), ('masks', MASK_FOLDERS), ('ignored', OTHER_FOLDERS)]
        kind = next((kind for kind, names in known if name in names), 'others')
        if name or len(path.parts) == 1:
            kinds.append(kind)
    if not kinds or path.name.isdigit():
        return split, 'others'
    return split, kinds[-1] if len(set(kinds)) == 1 else _last_known(kinds)


def _last_known(kinds: list[str]) -> str:
    """Of annotations/maps or gt/coarse, what the last name that is known says."""
    known = [kind for kind in kinds if kind != 'others']
    return known[-1] if known else 'others'


def _share_names(first: Path, second: Path) -> bool:
    """Whether most files of a folder have the name of one in the other, but for an ending."""
    stems = [{Path(name).stem.lower() for name in os.listdir(folder)} for folder in (first, second)]
    short, long = sorted(stems, key=len)
    return any(stem in long or _without_ending(stem) in long
               or any(stem + ending in long for ending in MASK_ENDINGS) for stem in short)


def _without_ending(stem: str) -> str:
    ending = next((ending for ending in MASK_ENDINGS if stem.lower().endswith(ending)), '')
    return stem[:len(stem) - len(ending)]


# ---- their files ---------------------------------------------------------------------------------

def read_masks(root: Path, pairs: Mapping[str, Pair], classes: Classes | None) -> LabelFiles:
    """The images of these folders, and their masks."""
    by_split = {split: (images_by_stem(pair.images), pair) for split, pair in pairs.items()}
    names = [name for images, _ in by_split.values() for name in images]
    is_unique = len(set(names)) == len(names)
    files: dict[str, Files] = {}
    splits: dict[str, list[str]] = {}
    unused = []
    for split, (images, pair) in by_split.items():
        masks = masks_by_image(pair.masks, images)
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

    lists = root / 'ImageSets' / 'Segmentation'
    return LabelFiles(_describe(root, pairs, files, classes), classes, files, read,
                      {} if '' in splits else splits, lists if lists.is_dir() else root, unused)


def masks_by_image(folder: Path, images: Container[str]) -> dict[str, Path]:
    """{name of an image: its mask}. A mask without an image has its own name here."""
    stored = images_by_stem(folder)
    masks: dict[str, Path] = {}
    for name, path in stored.items():
        image = _image_of(name, images, stored)
        if image in masks:
            raise ValueError(f'{printable(masks[image])} and {printable(path.name)}: two masks of '
                             f'one image; remove one of them')
        masks[image] = path
    return masks


def _image_of(mask: str, images: Container[str], masks: Mapping[str, Path]) -> str:
    """The name of the image that a mask belongs to: its own, or that without an ending."""
    for ending in MASK_ENDINGS:
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
    first = next((mask for _, mask in files.values() if mask.exists()), None)
    kind = 'masks' if first is None else _kind_of_mask(first, classes)
    return (f'{count(len(files), "image")} in {folders[0]}, {kind} in {folders[1]}; '
            f'{count(len(classes.names), "class")} from {classes.source}')


def _shown(folder: Path, root: Path) -> str:
    path = folder.relative_to(root) if folder.is_relative_to(root) else folder
    return f'{printable(path.as_posix())}/'


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
