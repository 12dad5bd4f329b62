"""Segment images of any size.

For each image, writes a palette PNG with the number of a class in each pixel
and an overlay with a legend. Images that cannot be read are reported and
skipped; the exit code is then 2.

  tinyfcn predict fcn_resnet50 photo.jpg            `tinyfcn weights list` shows
                                                    all such names
  tinyfcn predict runs/my photo.jpg
  tinyfcn predict runs/my photos -o masks           all images of a folder
  tinyfcn predict runs/my *.jpg -o masks --scales .75 1 1.25 --flip
  tinyfcn predict runs/my photo.jpg --why 120,80    why that pixel has its class:
                                                    a table and a picture
  tinyfcn predict squeezenet photo.jpg              a classifier: prints the most
                                                    probable classes of the
                                                    image, and writes no file

Named weights are downloaded when they are first used, and kept. An image that
needs more memory than is free is predicted in tiles that overlap by the
receptive field, so the result is the same.
"""
import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from .. import load, viz
from ..data.imagenet import everyday_word
from ..data.images import read_image
from ..data.labels import by_output
from ..data.paths import IMAGE_SUFFIXES
from ..files import describe_folder, make_folder, printable, require_own
from ..net import Net
from ..prediction import predict
from ..prediction.classify import classify, is_classifier, is_of_imagenet
from ..prediction.multiscale import require_window
from ..weights.sources import source_name
from .bar import show_bar
from .device import add_device_arguments
from .errors import describe_error
from .output import say
from .paths import weights_file
from .predict_options import add_predict_arguments, predict_options
from .values import pixel_position
from .why import explain_image

LISTED = 5                      # most classes that are printed for an image
MAX_CLASS = 40                  # characters of each
MAX_NAME = 255                  # bytes in the name of a file


class Outputs(NamedTuple):
    """The files that are written for an image and an output of the net."""
    label: Path
    overlay: Path


T = TypeVar('T')
Plan: TypeAlias = 'dict[Path, dict[str, Outputs]]'      # by image and by output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('weights', type=Path, metavar='WEIGHTS',
                        help='a file of weights, the folder of a run, or the name of pretrained '
                             'weights')
    parser.add_argument('images', nargs='+', metavar='IMAGE',
                        help='an image, or a folder of images')
    parser.add_argument('-o', '--output', type=Path, default=Path('predictions'), metavar='FOLDER',
                        help='where to write the PNGs (default: %(default)s)')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite files there that tinyfcn did not write')
    parser.add_argument('--why', type=pixel_position, metavar='X,Y',
                        help='explain the class of one pixel of one image: what each score layer '
                             'contributes to its scores, what it can see, and a gradient map')
    add_predict_arguments(parser)
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    images = find_images(args.images)
    if source_name(str(args.weights)) and not any(path.exists() for path in images):
        read_image(images[0])                           # raises before weights are downloaded
    net = load(weights_file(args.weights)).to(args.device)
    if is_classifier(net):
        classify_images(net, images, predict_options(args))
        return
    if args.why:
        x, y = args.why
        explain_image(net, images, x, y, args.output, args.overwrite, predict_options(args))
        return
    require_window(net, args.window)
    classes = by_output(net.about.get('classes') or numbered_classes(net))
    plan = plan_outputs(images, args.output, net.outputs(train=False))
    require_free(plan, args.overwrite)
    make_folder(args.output)
    options = predict_options(args)
    colours = net.about.get('colours')                  # of a data set that has its own

    def segment(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        image = read_image(path)
        return image, by_output(predict(net, image, **options))

    for path, (image, preds) in for_each(list(plan), segment, f'; the others are in {args.output}'):
        for output, pred in preds.items():
            files = plan[path][output]
            viz.write_label(files.label, pred, viz.class_colours(classes[output], colours))
            viz.write_png(files.overlay, viz.overlay(image, pred, classes[output], colours))
            say(f'{printable(files.overlay)}   {describe_shares(pred, classes[output])}')


def classify_images(net: Net, images: list[Path], options: Mapping[str, Any]) -> None:
    """Print the most probable classes of each image."""
    if options:
        raise ValueError(f'--{" --".join(options)}: this net scores an image as a whole, once; '
                         f'these options are for nets that score every pixel')
    words = everyday_word if is_of_imagenet(net) else lambda number: ''

    for path, guesses in for_each(images, lambda path: classify(net, read_image(path), LISTED)):
        say(f'{printable(path)}:')
        for guess in guesses:
            word = words(guess.number)
            kind = f' ({word})' if word and word not in guess.name.split() else ''
            say(f'  {guess.probability:6.1%}  {printable(guess.name, limit=MAX_CLASS)}{kind}')


def for_each(images: Sequence[Path], work: Callable[[Path], T],
             others: str = '') -> Iterator[tuple[Path, T]]:
    """Yield each image and work(image).

    Images that cannot be read are skipped, unless there is only one; an error at the end says so.
    others: added to it, says where the other images are
    """
    failed = 0
    for path in show_bar(images, len(images), 'image'):
        try:
            result = work(path)
        except (OSError, ValueError, MemoryError) as error:
            if len(images) == 1:
                raise
            failed += 1
            say(f'tinyfcn: skipped: {describe_error(error) or path}', sys.stderr)
        else:
            yield path, result
    if failed:
        raise ValueError(f'{failed:,} of {len(images):,} images were skipped, see above{others}')


# ---- which files are read and written ------------------------------------------------------------

def find_images(arguments: Iterable[str]) -> list[Path]:
    """The images of the command line, and those in its folders."""
    images: list[Path] = []
    for argument in arguments:
        if '://' in argument:
            raise ValueError(f'{argument}: an address; download the image first, for example with '
                             f'curl -O, and give the file')
        path = Path(argument)
        images += images_in(path) if path.is_dir() else [path]
    return images


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, sorted."""
    found = [path for path in sorted(folder.iterdir())
             if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.')]
    if not found:
        raise ValueError(f'{folder}: no images ({", ".join(IMAGE_SUFFIXES)}); '
                         f'{describe_folder(folder)}')
    return found


def plan_outputs(images: Iterable[Path], folder: Path, outputs: Iterable[str]) -> Plan:
    """Which files to write for each image; no two images may have the same ones."""
    plan: Plan = {}
    image_of: dict[Path, Path] = {}
    for image in images:
        files_of_image = {}
        for output in outputs:
            stem = image.stem if output == 'score' else f'{image.stem}.{output}'
            files = Outputs(folder / f'{stem}.png', folder / f'{stem}.overlay.png')
            for file in files:
                if len(os.fsencode(file.name)) > MAX_NAME:
                    raise ValueError(f'{image}: the name {file.name} is too long for a file; give '
                                     f'the image a shorter name')
                if file in image_of:
                    raise ValueError(describe_collision(image_of[file], image, file))
                image_of[file] = image
            files_of_image[output] = files
        plan[image] = files_of_image
    return plan


def describe_collision(first: Path, second: Path, file: Path) -> str:
    if first.stem == second.stem:
        found = f'{first} and {second}: two images are called {first.stem}'
    else:
        found = f'{first} and {second} would both write {file}'
    return f'{found}; predict them one after the other, each with its own -o FOLDER'


def require_free(plan: Plan, overwrite: bool) -> None:
    """Raise if an image, or a file that tinyfcn did not write, would be overwritten."""
    images = {identity(path): path for path in plan if path.exists()}
    for files_of_image in plan.values():
        for files in files_of_image.values():
            for file in files:
                if file.exists() and (image := images.get(identity(file))):
                    raise ValueError(f'{image} would be overwritten: choose another -o FOLDER')
                require_own(file, overwrite)


def identity(path: Path) -> tuple[int, int]:
    """The same for two names of one file."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


# ---- what is printed -----------------------------------------------------------------------------

def numbered_classes(net: Net) -> Mapping[str, Sequence[str]]:
    """Names for the classes of a net that was saved without names: class 0, class 1, …"""
    return {output: [f'class {i}' for i in range(net[output].channels)]
            for output in net.outputs()}


def describe_shares(pred: np.ndarray, classes: Sequence[str]) -> str:
    """The largest classes of a prediction with their shares: 'sky 63%, tree 20%'."""
    shares = np.bincount(pred.ravel(), minlength=len(classes)) / pred.size
    largest = np.argsort(-shares, kind='stable')[:LISTED]
    return ', '.join(f'{printable(classes[i], limit=MAX_CLASS)} {shares[i]:.0%}'
                     for i in largest if shares[i])
