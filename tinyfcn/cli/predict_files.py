"""Which files `tinyfcn predict` reads and writes."""
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ..data.folder import find_masks
from ..data.formats.label_files import count
from ..data.paths import IMAGE_SUFFIXES
from ..files import describe_folder, printable, require_own
from ..prediction.video import is_video
from .output import say

MAX_NAME = 255                  # bytes in the name of a file
MAX_CLASS = 40                  # characters of the name of a class in that of a file


class Inputs(NamedTuple):
    """What is predicted: {file: its name among the outputs, without suffix}."""

    images: dict[Path, Path]
    videos: dict[Path, Path]


class Outputs(NamedTuple):
    """The files that are written for an image and an output of the net."""

    label: Path
    overlay: Path
    probabilities: list[Path]                           # one .npz, or a .png for each class
    polygons: Path | None                               # of this image; COCO has one file for all

    def files(self) -> list[Path]:
        """All of them."""
        others = [self.polygons] if self.polygons else []
        return [self.label, self.overlay, *self.probabilities, *others]


Plan: TypeAlias = 'dict[Path, dict[str, Outputs]]'      # by image and by output


# ---- which files are read

def find_inputs(arguments: Iterable[str], output: Path) -> Inputs:
    """The images and videos of the command line, and the images in its folders.

    What lies in sub-folders has its files in the same sub-folders of the output.
    """
    inputs = Inputs({}, {})
    for argument in arguments:
        if '://' in argument:
            raise ValueError(f'{argument}: an address; download the image first, for example with '
                             f'curl -O, and give the file')
        path = Path(argument)
        if path.is_dir():
            for image in images_in(path, output):
                inputs.images[image] = image.relative_to(path).with_name(image.stem)
        elif is_video(path):
            inputs.videos[path] = Path(path.stem)
        else:
            inputs.images[path] = Path(path.stem)
    return inputs


def images_in(folder: Path, output: Path) -> list[Path]:
    """The image files of a folder and its sub-folders, but hidden ones and those of the output.

    Where it is a data set of images and masks, its masks are left out. The images are sorted by
    name, numbers in it by their value: frame2 comes before frame10.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        at = Path(parent)
        folders[:] = [name for name in folders
                      if not name.startswith('.') and not is_same(at / name, output)]
        found += [at / name for name in files
                  if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith('.')]
    if not found:
        videos = [path for path in folder.iterdir() if is_video(path)]
        advice = '; name the videos themselves' if videos else ''
        raise ValueError(f'{folder}: no images ({", ".join(IMAGE_SUFFIXES)}); '
                         f'{describe_folder(folder)}{advice}')
    masks = {*found} & find_masks(folder)
    if masks:
        say(f'{printable(folder)}: {count(len(masks), "mask")} left out')
    return sorted({*found} - masks, key=by_number)


def by_number(path: Path) -> list[tuple[list[str], list[int], str]]:
    """A key to sort by: the text and the numbers of each part of a path.

    >>> [path.name for path in sorted([Path('f10.png'), Path('f2.png')], key=by_number)]
    ['f2.png', 'f10.png']
    """
    return [(re.split(r'\d+', part), [int(number) for number in re.findall(r'\d+', part)], part)
            for part in path.parts]


def is_same(folder: Path, other: Path) -> bool:
    """Whether two paths name one folder that exists."""
    return other.is_dir() and folder.is_dir() and folder.samefile(other)


# ---- which files are written

def plan_outputs(images: Mapping[Path, Path], folder: Path, classes: Mapping[str, Sequence[str]],
                 probabilities: str | None = None, polygons: str | None = None) -> Plan:
    """Which files to write for each image; no two images may have the same ones.

    images: {file: its name in the folder, without suffix}
    classes: their names, by output of the net
    """
    plan: Plan = {}
    image_of: dict[Path, Path] = {}
    for image, name in images.items():
        plan[image] = {}
        for output, names in classes.items():
            stem = f'{name.name}.{output}' if len(classes) > 1 else name.name
            outputs = outputs_of(folder / name.parent, stem, names, probabilities, polygons)
            require_apart(outputs.label, image)
            for file in outputs.files():
                if len(os.fsencode(file.name)) > MAX_NAME:
                    raise ValueError(f'{image}: the name {file.name} is too long for a file; give '
                                     f'the image a shorter name')
                if file in image_of:
                    raise ValueError(describe_collision(image_of[file], image, file))
                image_of[file] = image
            plan[image][output] = outputs
    return plan


def outputs_of(folder: Path, stem: str, classes: Sequence[str], probabilities: str | None,
               polygons: str | None) -> Outputs:
    """The files of an image in a folder.

    >>> print(outputs_of(Path('out'), 'a', ['sky', 'a/b'], 'png', None).probabilities[1])
    out/a.probabilities/1_a_b.png
    """
    suffix = dict(labelme='.json', geojson='.geojson').get(polygons or '')
    files = []
    if probabilities == 'npz':
        files = [folder / f'{stem}.probabilities.npz']
    elif probabilities == 'png':
        digits = len(str(len(classes) - 1))
        files = [folder / f'{stem}.probabilities' / f'{i:0{digits}}_{file_name(name)}.png'
                 for i, name in enumerate(classes)]
    return Outputs(folder / f'{stem}.png', folder / f'{stem}.overlay.png', files,
                   folder / f'{stem}{suffix}' if suffix else None)


def file_name(name: str) -> str:
    """The name of a class as a part of that of a file, on any system.

    >>> file_name('road / street')
    'road_street'
    """
    return re.sub(r'[^\w.-]+', '_', name)[:MAX_CLASS]


def coco_file(folder: Path, output: str, outputs: Sequence[str]) -> Path:
    """The one file with the polygons of all images."""
    return folder / ('annotations.json' if len(outputs) == 1 else f'annotations.{output}.json')


def describe_collision(first: Path, second: Path, file: Path) -> str:
    """Why two images cannot be predicted by one command."""
    if first.stem == second.stem:
        found = f'{first} and {second}: two images are called {first.stem}'
    else:
        found = f'{first} and {second} would both write {file}'
    return f'{found}; predict them one after the other, each with its own -o FOLDER'


def require_apart(file: Path, image: Path) -> None:
    """Raise if a picture would be written among the images, and later be taken for one of them."""
    if is_same(file.parent, image.parent):
        raise ValueError(f'{file} would lie beside {image}, where it would be taken for an image, '
                         f'too: choose another -o FOLDER')


def require_free(files: Iterable[Path], inputs: Inputs, overwrite: bool) -> None:
    """Raise if an input, or a file that tinyfcn did not write, would be overwritten."""
    known = {identity(path): path for path in (*inputs.images, *inputs.videos) if path.exists()}
    for file in files:
        if file.exists() and (read := known.get(identity(file))):
            raise ValueError(f'{read} would be overwritten: choose another -o FOLDER')
        require_own(file, overwrite)


def identity(path: Path) -> tuple[int, int]:
    """The same for two names of one file."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
