"""The command line. Nobody else parses arguments or prints."""
import argparse
import sys

from ..runtime.distributed import world
from ..runtime.malloc import tune_allocator
from . import care, demo, device, judge, learn, look
from .interrupt import Interrupted


def parser():
    p = argparse.ArgumentParser(prog='tinyfcn', description='Fully convolutional networks from '
                                'scratch: from the pixel to the mean IU.')
    commands = p.add_subparsers(metavar='command', required=True)

    def command(run):
        name = run.__name__.rstrip('_')                 # eval is a word of Python's own
        c = commands.add_parser(name, help=run.__doc__.splitlines()[0], description=run.__doc__)
        c.add_argument('--seed', type=int, default=0, help='of all chance (default: 0)')
        c.set_defaults(run=run)
        return c

    for room in demo, learn, judge, look, care:
        room.arguments(command)
    return p


def main(argv=None):
    """0 on success; 2 on bad input, which is told in a sentence on stderr; 75 to be resumed."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        world().mute()
    except OSError as error:                            # ranks that cannot find each other
        print(f'tinyfcn: {error}', file=sys.stderr)
        return 2
    args = parser().parse_args(argv)
    args.command = ['tinyfcn', *argv]
    tune_allocator()                                       # the process is ours
    try:
        with device.prepared(args):
            args.run(args)
    except Interrupted as stop:
        why, code = f'\ntinyfcn: {stop}', 75
    except KeyboardInterrupt:
        why, code = '\ntinyfcn: left', 130
    except MemoryError as error:
        why, code = (f'\ntinyfcn: not enough memory: {error}. Smaller pictures, or fewer at once: '
                     f'--set batch=1 size=…'), 2
    except (OSError, ValueError) as error:
        why, code = f'\ntinyfcn: {error}' if sys.stderr.isatty() else f'tinyfcn: {error}', 2
    else:
        return 0
    with world().ending(code):
        print(why, file=sys.stderr)
    return code
