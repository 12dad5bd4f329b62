"""How eval and predict run a net: multi-scale, flipped or sliding-window inference, and the CRF."""
import argparse
from typing import Any

from ..prediction.crf import SETTINGS


def add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    """--scales, --flip, --window and --crf. Predictions for several inputs are averaged."""
    parser.add_argument('--scales', type=float, nargs='+', metavar='FACTOR',
                        help='multi-scale inference, for example .75 1 1.25')
    parser.add_argument('--flip', action='store_true',
                        help='also predict the mirrored image')
    parser.add_argument('--window', type=int, metavar='PIXELS',
                        help='sliding-window inference with windows of this size')
    parser.add_argument('--crf', choices=list(SETTINGS),
                        help='refine the prediction with the fully connected CRF, with the '
                             'parameters of this publication')


def predict_options(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of tinyfcn.predict that the command line asks for."""
    options = dict(scales=args.scales, flip=args.flip, window=args.window,
                   crf=args.crf and SETTINGS[args.crf])
    return {key: value for key, value in options.items() if value}
