"""Draw a net, or what it computes for an image.

  tinyfcn draw fcn8s -o fcn8s.png
      the net, as in Figure 3 of the paper
  tinyfcn draw squeezenet --weights FILE --heatmap 281 photo.jpg -o heat.png
      the score of a class at every position of an image, as in Figure 2
  tinyfcn draw segnet --weights FILE --activations photo.jpg -o net.png
      the strongest channel of a box of each size
"""
import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import build, viz, weights
from ..data.images import read_image
from ..data.transforms import prepare
from ..files import make_folder, read_text, require_own
from ..net import Net
from ..net.alignment import Unaligned
from ..viz.files import figure_suffix
from .output import say

LISTED = 8                      # class names in an error message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('net', metavar='NET', help='such as fcn8s; a wrong name lists them all')
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='FILE',
                        help='the file to write: .png, .svg or .pdf')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite a file there that tinyfcn did not write')
    parser.add_argument('--classes', type=int, metavar='N',
                        help='number of classes (default: as in the paper)')
    parser.add_argument('--heatmap', nargs=2, metavar=('CLASS', 'IMAGE'),
                        help='draw the score of a class, given by its number or a part of its '
                             'name, at every position of an image')
    parser.add_argument('--activations', type=Path, metavar='IMAGE',
                        help='draw the activations of the net for an image')
    parser.add_argument('--weights', type=Path, metavar='FILE',
                        help='the weights of the net: a file, or the folder of a run')
    parser.add_argument('--names', type=Path, metavar='FILE',
                        help='the names of its classes, one a line (default: those in the file of '
                             'weights)')


def run(args: argparse.Namespace) -> None:
    net = build(args.net, args.classes, seed=None)
    figure_suffix(args.output)
    require_own(args.output, args.overwrite)
    make_folder(args.output.parent)
    if args.heatmap:
        draw_heatmap(args, net)
    elif args.activations:
        draw_activations(args, net)
    else:
        viz.draw_net(net, args.output)
    say(args.output)


def draw_heatmap(args: argparse.Namespace, net: Net) -> None:
    """Figure 2 of the paper: the score of a class at every position of an image."""
    preprocess, classes = load_weights(net, args.weights, '--heatmap')
    names = read_text(args.names).splitlines() if args.names else classes
    wanted, image_file = args.heatmap
    number = class_number(wanted, names)
    image = read_image(image_file)

    # the last box averages over positions; the one before has the map
    box = net[net['score'].inputs[0]]
    score = net.forward(prepare(image, preprocess), until=box.name)[0]
    if number >= len(score):
        raise ValueError(f'class {number}: the classes are 0 … {len(score) - 1}')

    if isinstance(box.alignment, Unaligned):
        raise ValueError(f'{args.net} has no map of scores: {box.alignment}')
    viz.draw_heatmap(image, score[number], box.alignment, args.output, class_name(number, names))
    rows, columns = score[number].shape
    best = int(score.mean((1, 2)).argmax())
    say(f'{class_name(number, names)}: {score[number].mean():.2f} on average over '
        f'{rows}×{columns} positions, {score[number].max():.2f} at most; the class of the whole '
        f'image is {class_name(best, names)}')


def draw_activations(args: argparse.Namespace, net: Net) -> None:
    """The strongest channel of the last box of each size, on the way down and up again."""
    preprocess, _ = load_weights(net, args.weights, '--activations')
    drawn: dict[str, Any] = {}
    name = ''
    value = None
    for box, y in net.walk(prepare(read_image(args.activations), preprocess), keep=False):
        if value is not None and value.shape[1:] != y.shape[2:]:
            drawn[name] = value
        name = box.name
        value = y[0].copy()                             # the next box may compute in place
    drawn[name] = value
    viz.draw_activations(drawn, args.output)


def load_weights(net: Net, file: Path | None, option: str) -> tuple[dict[str, Any], list[str]]:
    """Copy the weights of a file into the net. -> how images are prepared for them, its classes"""
    if not file:
        raise ValueError(f'{option} needs trained weights: --weights FILE')
    arrays, about = weights.read(file)
    weights.transplant(net, arrays)
    if not about.get('preprocess'):
        raise ValueError(f'{file} does not say how images are prepared for its net')
    classes = about.get('classes')
    return about['preprocess'], classes if isinstance(classes, list) else []


def class_number(wanted: str, names: Sequence[str]) -> int:
    """A class by its number, or by a part of its name."""
    if wanted.isdecimal():
        return int(wanted)
    if not names:
        raise ValueError(f'class {wanted!r}: give its number, or the names of all classes with '
                         f'--names FILE')
    found = [i for i, name in enumerate(names) if wanted.lower() in name.lower()]
    if len(found) != 1:
        matches = ', '.join(f'{i} {names[i]}' for i in found[:LISTED]) or 'no name contains it'
        raise ValueError(f'class {wanted!r} matches {len(found)} of {len(names)} names, and should '
                         f'match one: {matches}')
    return found[0]


def class_name(number: int, names: Sequence[str]) -> str:
    return names[number] if number < len(names) else f'class {number}'
