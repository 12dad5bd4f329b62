"""How eval and predict run a net: at several scales, flipped, in windows, reduced, with the CRF."""
import argparse
from typing import Any

from ..prediction.crf import SETTINGS as CRF_SETTINGS
from .values import positive_number, size_factor


def add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    """--scales, --flip, --window, --longest and --crf. Predictions for several are averaged."""
    parser.add_argument('--scales', type=size_factor, nargs='+', action='extend', metavar='FACTOR',
                        help='multi-scale inference: predict the image in each of these sizes, '
                             'for example .75 1 1.25, and average')
    parser.add_argument('--flip', action='store_true',
                        help='also predict the mirrored image, and average')
    parser.add_argument('--window', type=positive_number, metavar='PIXELS',
                        help='sliding-window inference: predict overlapping windows of '
                             'PIXELS×PIXELS, and average')
    parser.add_argument('--longest', type=positive_number, metavar='PIXELS',
                        help='first reduce a larger image to PIXELS on its longer side; the mask '
                             'has the size of the image. Large photos are often predicted better, '
                             'and faster, at the size of the training images, for example 640')
    parser.add_argument('--crf', choices=list(CRF_SETTINGS),
                        help='refine the prediction with the fully connected CRF, with the '
                             'parameters of this publication')


def predict_options(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of tinyfcn.predict that the command line asks for."""
    options = dict(scales=args.scales, flip=args.flip or None, window=args.window,
                   longest=args.longest, crf=args.crf and CRF_SETTINGS[args.crf])
    return {name: value for name, value in options.items() if value is not None}
