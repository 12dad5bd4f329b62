"""Print a net as a table, or compare several nets.

For one net: every box with its stride, receptive field and parameters, and how
each crop's offset is computed. For several nets: a row each, in Markdown.

  tinyfcn summary fcn8s --size 375x500
  tinyfcn summary fcn8s segnet unet deeplab_aspp
"""
import argparse

from .. import build
from ..net.summary import compare_nets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('net', metavar='NET', nargs='+',
                        help='such as fcn8s; a wrong name lists them all')
    parser.add_argument('--size', type=image_size, metavar='HxW',
                        help='of an image; adds sizes, multiply-adds and memory')
    parser.add_argument('--classes', type=int, metavar='N',
                        help='number of classes (default: as in the paper)')


def run(args: argparse.Namespace) -> None:
    nets = {name: build(name, args.classes, seed=None) for name in args.net}
    if len(nets) > 1:
        print(compare_nets(nets))
    else:
        print(nets[args.net[0]].summary(args.size))


def image_size(text: str) -> tuple[int, int]:
    """'375x500' -> (375, 500)"""
    try:
        h, w = (int(number) for number in text.split('x'))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a size: height x width, such as 375x500') from None
    return h, w
