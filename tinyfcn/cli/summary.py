"""Print a net as a table, or compare several nets.

For one net: every box with its stride, receptive field and parameters, and how
each crop's offset is computed. For several nets: a row each, in Markdown.

  tinyfcn summary fcn8s --size 375x500
  tinyfcn summary fcn8s segnet unet deeplab_aspp
  tinyfcn summary runs/my
"""
import argparse

from ..net.summary import compare_nets
from .named_net import named_net
from .output import say
from .values import image_size, positive_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('net', metavar='NET', nargs='+',
                        help='such as fcn8s; a wrong name lists them all. Also the name of '
                             'pretrained weights, a file of weights, or the folder of a run')
    parser.add_argument('--size', type=image_size, metavar='HxW',
                        help='of an image; adds sizes, multiply-adds and memory')
    parser.add_argument('--classes', type=positive_number, metavar='N',
                        help='number of classes (default: as in the paper)')


def run(args: argparse.Namespace) -> None:
    nets = {name: named_net(name, args.classes) for name in args.net}
    if len(nets) > 1:
        say(compare_nets(nets))
    else:
        say(nets[args.net[0]].summary(args.size))
