"""The command line: `tinyfcn COMMAND …`. Only this package parses arguments and prints.

Each command is a module with two functions, `add_arguments(parser)` and `run(args)`; its docstring
is what `tinyfcn COMMAND --help` prints. The module is imported when its command is used, so that
`tinyfcn --help` is fast and every command can import what it needs at the top of its file.
"""
import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from ..runtime.distributed import world
from ..runtime.malloc import tune_allocator
from .device import use_device
from .interrupt import Interrupted

BAD_INPUT = 2
RESUMABLE = 75                  # EX_TEMPFAIL: the same command with --resume continues
ABORTED = 130                   # what a shell reports after Ctrl-C


class Command(NamedTuple):
    """A row of the table of commands."""
    module: str
    help: str


COMMANDS = {
    'demo': Command('demo', 'train FCN-32s, 16s and 8s on generated images, in a few minutes'),
    'train': Command('train', 'train a net by a recipe; can be interrupted and resumed'),
    'eval': Command('evaluate', 'evaluate a net on a data set: the four metrics, IU of each class'),
    'predict': Command('predict', 'segment images of any size; write a label PNG and an overlay'),
    'summary': Command('summary', 'print a net as a table, or compare several nets'),
    'draw': Command('draw', 'draw a net, or what it computes for an image'),
    'weights': Command('weights', 'inspect a file of weights, or convert it to .safetensors'),
    'check': Command('check', 'validate every image and mask of a data set'),
    'data': Command('data', 'download and unpack a data set'),
    'doctor': Command('doctor', 'report on Python, BLAS, GPU, memory and disk, with advice'),
}


def make_parser(command: str | None) -> argparse.ArgumentParser:
    """A parser of all commands, in which only `command` has its arguments."""
    parser = argparse.ArgumentParser(
        prog='tinyfcn',
        description='Fully convolutional networks for semantic segmentation, from scratch.',
        epilog='`tinyfcn COMMAND --help` explains the arguments of a command.')
    subparsers = parser.add_subparsers(metavar='COMMAND', required=True)
    for name, row in COMMANDS.items():
        if name != command:
            subparsers.add_parser(name, help=row.help)
            continue
        module = import_module(f'.{row.module}', __name__)
        subparser = subparsers.add_parser(
            name, help=row.help, description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        subparser.add_argument('--seed', type=int, default=0, help='random seed (default: 0)')
        subparser.set_defaults(run=module.run)
        module.add_arguments(subparser)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line, with the command's own function as `run`."""
    command = next((word for word in argv if not word.startswith('-')), None)
    args = make_parser(command).parse_args(argv)
    args.command = ['tinyfcn', *argv]
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. -> exit code: 0, or one of BAD_INPUT, RESUMABLE and ABORTED

    Errors that a user can do something about become one message on stderr, without a traceback.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        world().mute()
    except OSError as error:                            # several ranks, and no usable MPI
        print(f'tinyfcn: {error}', file=sys.stderr)
        return BAD_INPUT
    tune_allocator()                                    # this process runs nothing else
    # on a terminal, a progress bar may have left the cursor in the middle of a line
    newline = '\n' if sys.stderr.isatty() else ''
    try:
        args = parse(argv)
        with use_device(args):
            args.run(args)
        return 0
    except Interrupted as stop:
        message = f'\ntinyfcn: {stop}'
        code = RESUMABLE
    except KeyboardInterrupt:
        message = '\ntinyfcn: aborted'
        code = ABORTED
    except MemoryError as error:
        message = (f'\ntinyfcn: not enough memory: {error}. Use smaller images, or fewer in a '
                   f'batch: --set batch=1 crop_size=…')
        code = BAD_INPUT
    except (OSError, ValueError) as error:
        message = f'{newline}tinyfcn: {error}'
        code = BAD_INPUT
    with world().abort_with(code):
        print(message, file=sys.stderr)
    return code
