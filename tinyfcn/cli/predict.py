"""Segment images of any size.

For each image, writes a palette PNG with the number of a class in each pixel
and an overlay with a legend.

  tinyfcn predict runs/folder photo.jpg
  tinyfcn predict runs/folder *.jpg -o masks --scales .75 1 1.25 --flip

An image that needs more memory than is free is predicted in tiles that overlap
by the receptive field, so the result is the same.
"""
import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import load, viz
from ..data.images import read_image
from ..data.labels import by_output
from ..net import Net
from ..prediction import predict
from .device import add_device_arguments
from .predict_options import add_predict_arguments, predict_options

LISTED = 5                      # classes in the line that is printed for an image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('weights', type=Path, metavar='WEIGHTS',
                        help='a file of weights, or the folder of a run')
    parser.add_argument('images', type=Path, nargs='+', metavar='IMAGE')
    parser.add_argument('-o', '--output', type=Path, default=Path('predictions'), metavar='FOLDER',
                        help='where to write the PNGs (default: %(default)s)')
    add_predict_arguments(parser)
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    net = load(args.weights).to(args.device)
    classes = by_output(net.about.get('classes') or numbered_classes(net))
    args.output.mkdir(parents=True, exist_ok=True)
    check_outputs(args.images, args.output)
    options = predict_options(args)
    for path in tqdm(args.images, unit='image', disable=None):
        image = read_image(path)
        for head, pred in by_output(predict(net, image, **options)).items():
            stem = path.stem if head == 'score' else f'{path.stem}.{head}'
            label_file = args.output / f'{stem}.png'
            overlay_file = args.output / f'{stem}.overlay.png'
            viz.write_label(label_file, pred)
            viz.write_png(overlay_file, viz.overlay(image, pred, classes[head]))
            print(f'{overlay_file}   {describe(pred, classes[head])}')


def check_outputs(images: Sequence[Path], output: Path) -> None:
    """Refuse to overwrite an image with its own mask, or one mask with another."""
    stems = [path.stem for path in images]
    duplicates = [stem for stem in stems if stems.count(stem) > 1]
    if duplicates:
        raise ValueError(f'two images are called {duplicates[0]}: predict them one after the '
                         f'other, each with its own -o FOLDER')
    for path in images:
        for file in output / f'{path.stem}.png', output / f'{path.stem}.overlay.png':
            if file.exists() and file.samefile(path):
                raise ValueError(f'{path} would be overwritten: choose another -o FOLDER')


def numbered_classes(net: Net) -> dict[str, list[str]]:
    """Names for the classes of a net that was saved without names: class 0, class 1, …"""
    return {name: [f'class {i}' for i in range(net[name].channels)] for name in net.outputs()}


def describe(pred, classes: Sequence[str]) -> str:
    """The largest classes of a prediction with their shares: 'sky 63%, tree 20%'."""
    shares = np.bincount(pred.ravel(), minlength=len(classes)) / pred.size
    largest = np.argsort(-shares, kind='stable')[:LISTED]
    return ', '.join(f'{classes[i]} {shares[i]:.0%}' for i in largest if shares[i])
