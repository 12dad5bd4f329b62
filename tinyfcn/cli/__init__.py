"""The command line: `tinyfcn COMMAND …`. Only this package parses arguments and prints.

Each command is a module with two functions, `add_arguments(parser)` and `run(args)`; its docstring
is what `tinyfcn COMMAND --help` prints. The module is imported when its command is used, so that
`tinyfcn --help` is fast and every command can import what it needs at the top of its file.
"""
import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

from .. import __version__
from ..fetch.interrupt import DownloadStopped
from ..runtime.distributed import require_agreement, world
from ..runtime.malloc import tune_allocator
from ..runtime.threads import thread_count
from .device import use_device
from .errors import describe_error, describe_shortage, is_shortage
from .folders import use_folders
from .interrupt import Aborted, Interrupted, find_abort
from .log import show_log
from .names import did_you_mean
from .output import say
from .values import natural_number

BAD_INPUT = 2
RESUMABLE = 75                  # EX_TEMPFAIL: the same command continues; `train` needs --resume
ABORTED = 130                   # what a shell reports after Ctrl-C; 128 + the number of a signal


class Command(NamedTuple):
    """A row of the table of commands."""
    module: str
    help: str


COMMANDS = {
    'demo': Command('demo', 'train FCN-32s, 16s and 8s on generated images, in a few minutes'),
    'train': Command('train', 'train a net by a recipe; can be interrupted and resumed'),
    'eval': Command('evaluate', 'evaluate a net on a data set: the four metrics, IU of each class'),
    'predict': Command('predict', 'segment images of any size; write a label PNG and an overlay'),
    'replay': Command('replay', 'reopen a step of a run: its images, loss and gradients as a page'),
    'summary': Command('summary', 'print a net as a table, or compare several nets'),
    'draw': Command('draw', 'draw a net, or what it computes for an image'),
    'explain': Command('explain', 'write a page in which a net runs, on any picture'),
    'weights': Command('weights', 'get trained weights by name; inspect or convert a file'),
    'export': Command('export', 'write a net for ONNX Runtime, PyTorch and other programs'),
    'check': Command('check', 'validate every image and mask of a data set'),
    'plan': Command('plan', 'what to expect of a data set, and how to train on it'),
    'data': Command('data', 'download and unpack a data set, or convert your own'),
    'doctor': Command('doctor', 'report on Python, BLAS, GPU, memory and disk, with advice'),
}


class Parser(argparse.ArgumentParser):
    """A parser that prints as all commands do."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, below the usage without the options, which may take 14 lines."""
        usage = argparse.HelpFormatter(self.prog)
        usage.add_usage(None, self._get_positional_actions(), [])
        self.exit(BAD_INPUT, f'{usage.format_help().strip()}; `{self.prog} --help` lists its '
                             f'options\n{self.prog}: error: {message}\n')

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            say(message.rstrip('\n'), file or sys.stderr)


def make_parser(command: str | None) -> Parser:
    """A parser of all commands, in which only `command` has its arguments."""
    parser = Parser(
        prog='tinyfcn',
        description='Fully convolutional networks for semantic segmentation, from scratch.',
        epilog='`tinyfcn COMMAND --help` explains the arguments of a command.')
    parser.add_argument('--version', action='version', version=f'tinyfcn {__version__}')
    subparsers = parser.add_subparsers(metavar='COMMAND', required=True)
    for name, row in COMMANDS.items():
        if name != command:
            subparsers.add_parser(name, help=row.help)
            continue
        module = import_module(f'.{row.module}', __name__)
        subparser = subparsers.add_parser(
            name, help=row.help,
            description=module.__doc__ or row.help,     # python -OO drops docstrings
            formatter_class=argparse.RawDescriptionHelpFormatter)
        subparser.add_argument('--seed', type=natural_number, default=0,
                               help='random seed (default: 0)')
        subparser.set_defaults(run=module.run)
        module.add_arguments(subparser)
    return parser


def chosen_command(argv: Sequence[str]) -> str | None:
    """The first word that is not an option."""
    return next((word for word in argv if not word.startswith('-')), None)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line, with the command's own function as `run`."""
    command = chosen_command(argv)
    parser = make_parser(command)
    if not argv:
        parser.print_help(sys.stderr)
        parser.exit(BAD_INPUT)
    if command is not None and command not in COMMANDS:
        hint = did_you_mean(command, COMMANDS, '`tinyfcn --help` lists them')
        parser.error(f'no command {command!r}; {hint}')
    args = parser.parse_args(argv)
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
        say(f'tinyfcn: {error}', sys.stderr)
        return BAD_INPUT
    tune_allocator()                                    # this process runs nothing else
    show_log()
    warnings.filterwarnings('ignore', module=r'PIL\.')  # one for each odd tag of an image
    # on a terminal, a progress bar may have left the cursor in the middle of a line
    newline = '\n' if sys.stderr and sys.stderr.isatty() else ''
    try:
        thread_count()                                  # refuses a wrong TINYFCN_THREADS
        require_agreement({'command': chosen_command(argv), 'version': __version__})
        args = parse(argv)
        with use_folders(args), use_device(args):
            args.run(args)
        return 0
    except (Interrupted, DownloadStopped) as stop:
        message = f'\ntinyfcn: {stop}'
        code = RESUMABLE
    except KeyboardInterrupt as stop:
        message = '\ntinyfcn: aborted'
        code = 128 + stop.number if isinstance(stop, Aborted) else ABORTED
    except (MemoryError, ImportError, RuntimeError) as error:
        if abort := find_abort(error):
            message = '\ntinyfcn: aborted'
            code = 128 + abort.number
        elif is_shortage(error):
            message = f'\ntinyfcn: {describe_shortage(error)}'
            code = BAD_INPUT
        else:
            raise
    except (OSError, ValueError) as error:
        message = f'{newline}tinyfcn: {describe_error(error)}'
        code = BAD_INPUT
    with world().abort_with(code):
        say(message, sys.stderr)
    return code
