"""Which folders hold images, and which their masks, by the names that people give them.

    images/ and masks/                  JPEGImages/ and SegmentationClass/ (VOC, CVAT, labelme2voc)
    images/train/ and masks/train/      train/images/ and train/masks/      train/ and trainannot/
    a.jpg and a_mask.png                a.jpg and a.png
"""
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from ...files import describe_folder, printable
from ..paths import IMAGE_SUFFIXES, by_stem, image_files, images_by_stem
from .splits import without_split

# what folders are called, without digits, and without the name of a split
IMAGE_FOLDERS = ('', 'image', 'images', 'img', 'imgs', 'jpegimages', 'photo', 'photos', 'picture',
                 'pictures', 'input', 'inputs', 'rgb')
MASK_FOLDERS = ('mask', 'masks', 'label', 'labels', 'annot', 'annots', 'annotation', 'annotations',
                'segmentation', 'segmentations', 'seg', 'gt', 'groundtruth', 'target', 'targets',
                'segmentationclass', 'segmentationclasspng', 'labelids')
# folders of pictures that are neither
OTHER_FOLDERS = ('segmentationobject', 'segmentationobjectpng', 'segmentationclassvisualization',
                 'segmentationobjectvisualization', 'segmentationclassnpy', 'visualization',
                 'overlay', 'overlays', 'instances', 'instance', 'preview', 'predictions')
# the mask of IMG.jpg may be IMG.png, or have one of these in addition, such as IMG_mask.png
MASK_ENDINGS = ('_mask', '-mask', '_label', '-label', '_gt', '-gt', '_seg', '_segmentation',
                '_annotation', '_l')


class Pair(NamedTuple):
    """A folder of images and the one of their masks."""

    images: Path
    masks: Path


def find_pairs(root: Path, is_mask: Callable[[Path], bool]) -> dict[str, Pair]:
    """{split: the two folders}, or one pair for the split ''; {} where it is not clear.

    is_mask(path) tells whether an image can be a mask; it decides where the names say nothing.
    """
    groups: dict[str, dict[str, list[Path]]] = {}
    for folder in _image_folders(root):
        split, kind = _kind_of(folder.relative_to(root))
        groups.setdefault(split, {}).setdefault(kind, []).append(folder)
    pairs = {}
    for split, kinds in groups.items():
        images, masks, others = (kinds.get(kind, []) for kind in ('images', 'masks', 'others'))
        if len(masks) > 1:                              # labelme2voc writes arrays and PNGs
            masks = [folder for folder in masks if image_files(folder)[0].suffix != '.npy']
        if len(others) == 1 and len(images) + len(masks) == 1:
            # one name is known, so the other one is clear if the files have the same names
            if _share_names(others[0], [*images, *masks][0]):
                (masks if images else images).append(others[0])
        elif len(others) == 2 and not images and not masks and _share_names(*others):
            can_be = [is_mask(image_files(folder)[0]) for folder in others]
            if can_be in ([True, False], [False, True]):
                masks = [others[can_be.index(True)]]
                images = [others[can_be.index(False)]]
        if len(images) == len(masks) == 1:
            pairs[split] = Pair(images[0], masks[0])
    if '' in pairs:
        return {'': pairs['']}
    return pairs


def pairs_within(root: Path) -> dict[str, Pair]:
    """Folders that hold both images and their masks; {} if there are none."""
    folders = [root, *_image_folders(root)]
    found = {_kind_of(folder.relative_to(root))[0]: Pair(folder, folder) for folder in folders
             if 2 * len(_masks_beside(image_files(folder))) >= len(image_files(folder)) > 0}
    return {'': found['']} if '' in found else found


def files_of(pair: Pair) -> tuple[dict[str, Path], dict[str, Path]]:
    """The images and the masks of two folders, or of one that holds both, by their names."""
    if pair.images != pair.masks:
        return images_by_stem(pair.images), images_by_stem(pair.masks)
    files = image_files(pair.images)
    masks = _masks_beside(files)
    return by_stem(path for path in files if path not in masks), by_stem(masks)


def _masks_beside(files: list[Path]) -> list[Path]:
    """Those files that are masks of others: a.png of a.jpg, and a_mask.png of a.png or a.jpg."""
    photos = {path.stem for path in files if path.suffix.lower() in ('.jpg', '.jpeg')}
    stems = {path.stem for path in files}
    return [path for path in files if path.suffix.lower() == '.png' and (
        path.stem in photos or
        _without_ending(path.stem) != path.stem and _without_ending(path.stem) in stems)]


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
    if not depth or not root.is_dir():
        return
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries
                       if entry.is_dir() and not entry.name.startswith('.'))
    for name in names:
        if _has_images(root / name):
            yield root / name
        yield from _image_folders(root / name, depth - 1)


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
    own = common_ending(short, long) or common_ending(long, short)
    endings = [*MASK_ENDINGS, own] if own else MASK_ENDINGS
    return any(stem in long or _without_ending(stem) in long
               or any(stem + ending in long for ending in endings) for stem in short)


def common_ending(masks: Collection[str], images: Collection[str]) -> str:
    """What all masks have after the name of an image, such as '_anna'; '' if nothing.

    >>> common_ending(['a_anna', 'b_anna'], ['a', 'b'])
    '_anna'
    """
    for mask in list(masks)[:1]:
        starts = [mask[:length] for length in range(len(mask) - 1, 0, -1)
                  if not mask[length].isalnum() and mask[:length] in images]
        for ending in (mask[len(start):] for start in starts):
            if all(other.endswith(ending) and other[:-len(ending)] in images for other in masks):
                return ending
    return ''


def _without_ending(stem: str) -> str:
    ending = next((ending for ending in MASK_ENDINGS if stem.lower().endswith(ending)), '')
    return stem[:len(stem) - len(ending)]
