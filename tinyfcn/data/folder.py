"""Your own images, with labels in any of the formats that are known."""
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from ..files import printable
from .channels import RGB, find_channels
from .classes import find_classes
from .dataset import Dataset
from .formats.find import find_labels
from .formats.label_files import LabelFiles
from .images import read_image
from .labels import VOID, Array
from .lists import read_split_or_all

LABEL_SUFFIXES = '.json', '.xml'        # of label files that are not masks


def folder(root: str | Path, split: str | Path | None = None, images: str | Path | None = None,
           masks: str | Path | None = None) -> Dataset:
    """The images and labels below root; the format is found out, and named in `description`.

    It is one of: a folder of images and one of masks, such as images/ and masks/; COCO; LabelMe;
    CVAT. `images` and `masks` name the two folders, in root or elsewhere, where that is not clear.
    Grey and palette masks hold numbers: 0 is the first class of classes.txt and 255 is void. For
    masks in colours a line of classes.txt is 'R G B name', and 'R G B void' is the colour of void;
    predictions are drawn in these colours.
    root/<split>.txt may list names; without train.txt, what val.txt and test.txt do not list is
    trained on. A format that has splits of its own, such as train/ and val/, needs no lists.
    The channels of the images are those of the first one, unless root/channels.txt names them.
    """
    labels = find_labels(Path(root), find_classes(Path(root)), images, masks)

    def files(name: str) -> tuple[Path, Path]:
        # what a list names and is not there is reported as .png when it is opened
        return labels.files.get(name) or _missing_files(name, labels)

    colours = {labels.classes.names[number]: colour
               for colour, number in labels.classes.colours.items() if number != VOID}
    channels = find_channels(Path(root), (image for image, _ in labels.files.values()))
    read = partial(read_image, channels=channels)
    description = labels.description if channels == RGB else f'{labels.description}; {channels}'

    def read_files(name: str) -> tuple[Array, Array]:
        if name not in labels.files and files(name)[1].suffix.lower() in LABEL_SUFFIXES:
            raise _missing_name(name, labels, split)
        return labels.read(files(name), read)

    return Dataset(labels.classes.names, _names_of_split(labels, split), read_files, files, colours,
                   description, channels)


def has_split(root: str | Path, split: str, images: str | Path | None = None,
              masks: str | Path | None = None) -> bool:
    """Whether a folder has a list of this name, or a split of its own."""
    labels = find_labels(Path(root), find_classes(Path(root)), images, masks)
    if labels.splits and not _has_lists(labels):
        return split in labels.splits
    return (labels.lists / f'{split}.txt').exists()


def unused_labels(root: str | Path, images: str | Path | None = None,
                  masks: str | Path | None = None) -> list[Path]:
    """The masks of a folder that belong to no image in it."""
    return list(find_labels(Path(root), find_classes(Path(root)), images, masks).unused)


def find_masks(root: str | Path) -> set[Path]:
    """The files of a folder of data that hold its labels; none where no file lists its classes."""
    with suppress(OSError, ValueError):                 # opening it as a data set will report it
        if classes := find_classes(Path(root)):
            labels = find_labels(Path(root), classes)
            return {*labels.unused, *(mask for _, mask in labels.files.values())}
    return set()


def _missing_name(name: str, labels: LabelFiles, split: str | Path | None) -> FileNotFoundError:
    """An error to raise for a name that a list has, and that no image with labels has."""
    near = get_close_matches(name, labels.files, n=1)
    hint = f'did you mean {printable(near[0])!r}? ' if near else ''
    path = Path(split or '') if Path(split or '').suffix else labels.lists / f'{split}.txt'
    return FileNotFoundError(f'{printable(path)}: it lists {printable(name)!r}, and no image of '
                             f'this name has labels; {hint}Correct the list')


def _missing_files(name: str, labels: LabelFiles) -> tuple[Path, Path]:
    """Where the files of a name would be: beside those of the first one."""
    image, label = next(iter(labels.files.values()))
    is_mask = label.suffix.lower() not in LABEL_SUFFIXES
    if is_mask:
        return image.parent / f'{name}.png', label.parent / f'{name}.png'
    return image.parent / f'{name}{image.suffix}', label


def _has_lists(labels: LabelFiles) -> bool:
    """Whether a list says which images are of which split; then the format itself does not."""
    return any((labels.lists / f'{split}.txt').exists() for split in ('train', 'val', 'test'))


def _names_of_split(labels: LabelFiles, split: str | Path | None) -> list[str]:
    """By a list, if there is one; else as the format itself says."""
    known: Iterable[str] = labels.files
    is_path = split is not None and bool(Path(split).suffix)
    if split is None or _has_lists(labels) or is_path or not labels.splits:
        return read_split_or_all(labels.lists, split, list(known))
    if split in labels.splits:
        return labels.splits[str(split)]
    raise FileNotFoundError(f'{printable(labels.lists)}: it has no split '
                            f'{printable(split)!r}, only {", ".join(sorted(labels.splits))}; or '
                            f'list names in {printable(split)}.txt')
