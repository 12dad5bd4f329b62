"""Draw a net, what it computes for an image, or augmented images.

  tinyfcn draw fcn8s -o fcn8s.png
      the net, as in Figure 3 of the paper
  tinyfcn draw googlenet --heatmap dog photo.jpg -o heat.png
      where a classifier sees a class, as in Figure 2; named weights are
      downloaded when they are first used, and kept
  tinyfcn draw squeezenet --weights FILE --heatmap 281 photo.jpg -o heat.png
      the same with weights of a file or of a run
  tinyfcn draw runs/my --activations photo.jpg -o net.png
      the strongest channel of a box of each size
  tinyfcn draw --augment my
      images of a data set, or of a folder of your own, as training sees them:
      augmented by a recipe, with their labels
"""
import argparse
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from .. import build, load, viz, weights
from ..data.imagenet import GROUPS, class_names
from ..data.labels import by_output
from ..data.transforms import prepare
from ..files import make_folder, printable, read_text, require_own
from ..files.pixels import read_head
from ..net import Net
from ..prediction.class_map import class_map
from ..prediction.classify import is_classifier, is_of_imagenet
from ..prediction.multiscale import get_preprocess, softmax
from ..prediction.pixel import class_boxes
from ..prediction.predict import load_image, resize_for
from ..viz.files import figure_suffix
from ..weights.sources import SOURCES, source_name
from .augmented import AUGMENTED, draw_augmented
from .named_net import named_net
from .output import say
from .paths import add_data_argument, weights_file
from .train import recipe_change

LISTED = 8                      # class names in an error message


class ClassSelection(NamedTuple):
    """The classes of a heat map, and its title."""
    numbers: Sequence[int]
    title: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('net', metavar='NET', nargs='?',
                        help='such as fcn8s; a wrong name lists them all. Also the name of '
                             'pretrained weights, a file of weights, or the folder of a run')
    parser.add_argument('-o', '--output', type=Path, metavar='FILE',
                        help='the file to write: .png, .svg or .pdf (default with --augment: '
                             'augmented.png)')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite a file there that tinyfcn did not write')
    parser.add_argument('--classes', type=int, metavar='N',
                        help='number of classes (default: as in the paper)')
    parser.add_argument('--heatmap', nargs=2, metavar=('CLASS', 'IMAGE'),
                        help='draw the score of a class at every position of an image. CLASS is '
                             'its number, its name or a part of it, or for nets of ImageNet an '
                             'everyday word such as dog: the probabilities of all its classes')
    parser.add_argument('--activations', type=Path, metavar='IMAGE',
                        help='draw the activations of the net for an image')
    parser.add_argument('--weights', type=Path, metavar='FILE',
                        help='the weights of the net: a file, the folder of a run, or a name '
                             '(default: NET, where it is one of these)')
    parser.add_argument('--names', type=Path, metavar='FILE',
                        help='the names of its classes, one a line (default: those that come with '
                             'the weights)')
    parser.add_argument('--augment', metavar='DATA',
                        help='draw images of a data set, by its name or its folder, as they are '
                             'and as they are augmented')
    parser.add_argument('--recipe', metavar='RECIPE',
                        help='the recipe that says how (default: that of `tinyfcn train folder`)')
    parser.add_argument('--set', type=recipe_change, nargs='+', action='extend', default=[],
                        metavar='KEY=VALUE',
                        help='change that recipe, for example rotation=30 flip=True')
    add_data_argument(parser)


def run(args: argparse.Namespace) -> None:
    if args.augment:
        args.output = args.output or AUGMENTED
    if not args.output:
        raise ValueError('name the file to write with -o FILE, for example -o net.png')
    if not args.augment:                                # which writes a .png only
        figure_suffix(args.output)
    require_own(args.output, args.overwrite)
    if args.augment:
        draw_augmented(args)
    elif not args.net:
        raise ValueError('name a net, such as fcn8s, the folder of a run, or images with '
                         '--augment DATA')
    elif args.heatmap:
        draw_heatmap(args)
    elif args.activations:
        draw_activations(args)
    else:
        net = named_net(args.net, args.classes)
        make_folder(args.output.parent)
        viz.draw_net(net, args.output)
    say(args.output)


def draw_heatmap(args: argparse.Namespace) -> None:
    """Figure 2 of the paper: the score of a class at every position of an image."""
    text, image_file = args.heatmap
    read_head(image_file)                               # raises before weights are downloaded
    net = trained_net(args, '--heatmap')
    names = read_text(args.names).splitlines() if args.names else net.about.get('classes') or []
    if isinstance(names, dict):
        names = []
    selection = select_classes(text, names, is_of_imagenet(net))
    found = class_map(net, image_file)
    if selection.numbers[-1] >= len(found.scores):
        raise ValueError(f'class {selection.numbers[-1]}: the classes are 0 … '
                         f'{len(found.scores) - 1}')

    if len(selection.numbers) == 1:
        heat, label, number_format = found.scores[selection.numbers[0]], 'score', '.2f'
    else:                                               # only probabilities can be added up
        heat = softmax(found.scores[None])[0, selection.numbers].sum(0)
        label, number_format = 'probability', '.0%'
    make_folder(args.output.parent)
    viz.draw_heatmap(found.image, heat, found.alignment, args.output, selection.title, label)
    rows, columns = heat.shape
    text = (f'{selection.title}: {heat.mean():{number_format}} on average over {rows}×{columns} '
            f'positions, {heat.max():{number_format}} at most')
    if is_classifier(net):
        best = int(found.scores.mean((1, 2)).argmax())
        text += f'; the class with the highest average is {class_name(best, names)}'
    say(text)


def draw_activations(args: argparse.Namespace) -> None:
    """The strongest channel of the last box before each change of size."""
    read_head(args.activations)
    net = trained_net(args, '--activations')
    image = load_image(args.activations, net)
    make_folder(args.output.parent)
    resized = resize_for(net, image)
    x = prepare(resized, get_preprocess(net), net.dtype)
    drawn: dict[str, Any] = {}
    name = ''
    value = None
    for box, y in net.walk(x, keep=False):
        if value is not None and value.shape[1:] != y.shape[2:]:
            drawn[name] = value
        name = box.name
        value = y[0].copy()                             # the next box may compute in place
    drawn[name] = value
    classes = by_output(net.about.get('classes') or [])
    channels = {box: classes[output] for output in net.outputs(train=False) if output in classes
                for box in class_boxes(net, output)}
    viz.draw_activations(drawn, args.output, resized, channels)


# ---- the net -------------------------------------------------------------------------------------

def trained_net(args: argparse.Namespace, option: str) -> Net:
    """The net NET with the weights of --weights, or with its own.   option: for errors"""
    if args.weights:
        return net_with_weights(args)
    exists = Path(args.net).exists()
    row = None if exists else source_name(args.net)
    if row and args.classes not in (None, SOURCES[row].n_class):
        raise ValueError(f'the weights of {args.net} are for {SOURCES[row].n_class} classes; '
                         f'{option} with others needs --weights FILE')
    if not row and not exists:
        build(args.net, args.classes, seed=None)        # raises for a wrong name
        raise ValueError(f'{option} needs trained weights: --weights FILE, or as NET the name of '
                         f'pretrained weights; `tinyfcn weights list` shows them')
    return load(weights_file(Path(args.net)))


def net_with_weights(args: argparse.Namespace) -> Net:
    """The net NET with the weights of --weights, which may lack some."""
    net = named_net(args.net, args.classes)
    file = weights_file(args.weights)
    arrays, about = weights.read(file)
    report = weights.transplant(net, arrays)
    missing = [name for name in report.missing if not fnmatchcase(name, 'aux*')]
    if args.heatmap and missing:
        raise ValueError(f'{args.weights} has no {", ".join(missing[:4])}, which {args.net} needs '
                         f'for its scores')
    for key in 'preprocess', 'classes', 'shorter_side':
        net.about[key] = about.get(key)
    if not net.about['preprocess']:
        raise ValueError(f'{args.weights} does not say how images are prepared for its net')
    if not net.about['classes'] and is_classifier(net) and net['score'].channels == 1000:
        net.about['classes'] = [*class_names()]
    return net


# ---- the class -----------------------------------------------------------------------------------

def select_classes(text: str, names: Sequence[str], of_imagenet: bool) -> ClassSelection:
    """Classes by number, name, part of a name, or for ImageNet's by an everyday word."""
    if text.isdecimal():
        return ClassSelection([int(text)], class_name(int(text), names))
    lower = [name.lower() for name in names]
    if lower.count(text.lower()) == 1:
        number = lower.index(text.lower())
        return ClassSelection([number], names[number])
    if of_imagenet and text.lower() in GROUPS:
        numbers = [*GROUPS[text.lower()]]
        count = f', {len(numbers)} classes' if len(numbers) > 1 else ''
        return ClassSelection(sorted(numbers), f'{text.lower()}{count}')
    if not names:
        raise ValueError(f'class {text!r}: give its number, or the names of all classes with '
                         f'--names FILE')
    found = [i for i, name in enumerate(lower) if text.lower() in name]
    if len(found) != 1:
        matches = ', '.join(f'{i} {printable(names[i])}' for i in found[:LISTED])
        words = f'; words for several are {", ".join(GROUPS)}' if of_imagenet else ''
        raise ValueError(f'class {text!r} matches {len(found)} of {len(names)} names, and should '
                         f'match one: {matches or "no name contains it"}{words}')
    return ClassSelection(found, names[found[0]])


def class_name(number: int, names: Sequence[str]) -> str:
    return names[number] if number < len(names) else f'class {number}'
