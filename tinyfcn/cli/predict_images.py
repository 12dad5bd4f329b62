"""What `tinyfcn predict` does with images: predict each, write its files, print its classes."""
import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from .. import viz
from ..data.labels import by_output
from ..files import make_folder, printable
from ..net import Net
from ..prediction.annotations import (
    Json,
    add_to_coco,
    start_coco,
    to_geojson,
    to_labelme,
    write_json,
)
from ..prediction.predict import as_mask, load_image, predict, predict_probabilities
from ..prediction.probability_files import write_probabilities, write_probability_images
from .bar import show_bar
from .errors import describe_error
from .output import say
from .predict_files import Inputs, Outputs, coco_file, plan_outputs, require_free

LISTED = 5                      # most classes that are printed for an image
MAX_CLASS = 40                  # characters of each

T = TypeVar('T')
ByOutput: TypeAlias = 'dict[str, np.ndarray]'


def predict_images(net: Net, inputs: Inputs, args: argparse.Namespace,
                   options: Mapping[str, Any]) -> None:
    """Predict all images, and write their files. One that cannot be read is skipped."""
    known = by_output(net.about.get('classes') or numbered_classes(net))
    classes = {output: known[output] for output in net.outputs(train=False)}
    plan = plan_outputs(inputs.images, args.output, classes, args.probabilities, args.polygons)
    coco: dict[str, Json] = {}                          # by output
    if args.polygons == 'coco':
        coco = {output: start_coco(names) for output, names in classes.items()}
    coco_files = {output: coco_file(args.output, output, [*classes]) for output in coco}
    files = [file for of_image in plan.values() for outputs in of_image.values()
             for file in outputs.files()]
    require_free([*files, *coco_files.values()], inputs, args.overwrite)
    make_folder(args.output)

    def work(path: Path) -> tuple[np.ndarray, ByOutput, ByOutput]:
        return segment(net, path, bool(args.probabilities), options)

    try:
        for path, (image, preds, probs) in for_each([*plan], work,
                                                    f'; the others are in {args.output}'):
            for output, pred in preds.items():
                write_outputs(plan[path][output], path, image, pred, classes[output], net, args)
                if probs:
                    write_probability_files(plan[path][output].probabilities, probs[output],
                                            classes[output])
                if coco:
                    name = inputs.images[path].with_name(path.name).as_posix()
                    add_to_coco(coco[output], name, pred, args.tolerance)
    finally:                                            # also where images were skipped, or Ctrl-C
        for output, content in coco.items():
            if content['images']:
                write_json(coco_files[output], content)
                say(f'{printable(coco_files[output])}   {describe_coco(content)}')


def segment(net: Net, path: Path, with_probabilities: bool,
            options: Mapping[str, Any]) -> tuple[np.ndarray, ByOutput, ByOutput]:
    """An image, its mask for each output and, if they are asked for, its probabilities."""
    image = load_image(path, net)
    if not with_probabilities:
        return image, by_output(predict(net, image, **options)), {}
    probs = by_output(predict_probabilities(net, image, **options))
    return image, {output: as_mask(p.argmax(0), len(p)) for output, p in probs.items()}, probs


def write_outputs(outputs: Outputs, path: Path, image: np.ndarray, pred: np.ndarray,
                  classes: Sequence[str], net: Net, args: argparse.Namespace) -> None:
    """The mask, the overlay and the polygons of an image, and a line that names the overlay."""
    colours = net.about.get('colours')                  # of a data set that has its own
    folder = make_folder(outputs.label.parent)
    viz.write_label(outputs.label, pred, viz.class_colours(classes, colours))
    viz.write_png(outputs.overlay, viz.overlay(image, pred, classes, colours, args.side_by_side))
    if outputs.polygons and args.polygons == 'labelme':
        image_name = Path(os.path.relpath(path, folder)).as_posix()
        write_json(outputs.polygons, to_labelme(pred, classes, image_name, args.tolerance))
    elif outputs.polygons:
        write_json(outputs.polygons, to_geojson(pred, classes, args.tolerance))
    say(f'{printable(outputs.overlay)}   {describe_shares(pred, classes)}')


def write_probability_files(files: Sequence[Path], prob: np.ndarray,
                            classes: Sequence[str]) -> None:
    """One .npz, or a .png for each class."""
    if files[0].suffix == '.npz':
        write_probabilities(files[0], prob, classes)
    else:
        write_probability_images(files, prob)


def for_each(images: Sequence[Path], work: Callable[[Path], T],
             others: str = '', unit: str = 'image') -> Iterator[tuple[Path, T]]:
    """Yield each image, or what else `unit` says, and work(image).

    Images that cannot be read are skipped, unless there is only one; an error at the end says so.
    others: added to it, says where the other images are
    """
    failed = 0
    for path in show_bar(images, len(images), unit):
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
        raise ValueError(f'{failed:,} of {len(images):,} {unit}s were skipped, see above{others}')


# ---- what is printed -----------------------------------------------------------------------------

def numbered_classes(net: Net) -> Mapping[str, Sequence[str]]:
    """Names for the classes of a net that was saved without names: class 0, class 1, …"""
    return {output: [f'class {i}' for i in range(net[output].channels)]
            for output in net.outputs()}


def describe_shares(pred: np.ndarray, classes: Sequence[str]) -> str:
    """The largest classes of a prediction with their shares: 'sky 63%, tree 20%'."""
    shares = np.bincount(pred.ravel(), minlength=len(classes)) / pred.size
    largest = np.argsort(-shares, kind='stable')[:LISTED]
    return ', '.join(f'{printable(classes[i], limit=MAX_CLASS)} {_percent(shares[i])}'
                     for i in largest if shares[i])


def _percent(share: float) -> str:
    """'63%'; 0% and 100% are exact."""
    if 0 < share < .01:
        return '< 1%'
    return '> 99%' if .99 < share < 1 else f'{share:.0%}'


def describe_coco(content: Json) -> str:
    """'3 images, 12 regions'"""
    counts = (len(content['images']), 'image'), (len(content['annotations']), 'region')
    return ', '.join(f'{count:,} {noun}{"" if count == 1 else "s"}' for count, noun in counts)
