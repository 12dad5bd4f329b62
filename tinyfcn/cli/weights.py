"""Get trained weights by name, inspect a file of weights, or convert it.

  tinyfcn weights list            all weights: size, net, number of classes
  tinyfcn weights get NAME …      download weights, verify them and keep them;
                                  an interrupted download continues
  tinyfcn weights get NAME --from FILE        use a file that you have
  tinyfcn weights where           the folder of the weights and its files;
                                  TINYFCN_CACHE names another folder
  tinyfcn weights inspect FILE    every array of the file: name, dtype, shape,
                                  and how many values are nan or infinite
  tinyfcn weights convert FILE    write a .safetensors with checksums, under the
                                  names that tinyfcn uses

Reads .safetensors, .caffemodel, .pth, .mat, .npz and .h5. Here and in every other
command, FILE may also be the folder of a run or a NAME.
"""
import argparse
from pathlib import Path
from textwrap import shorten
from typing import Any

from .. import weights
from ..fetch.cache import cache_folder
from ..fetch.progress import Progress
from ..files import printable, require_own
from ..weights.cache import cached_weights, fetch_weights, weights_folder
from ..weights.find import find_weights
from ..weights.finite import count_non_finite
from ..weights.sources import OTHER_NAMES, SOURCES, WeightsSource, source_name, unknown_name
from .output import say

ACTIONS = 'list', 'get', 'where', 'inspect', 'convert'
NOTE_WIDTH = 50                 # characters of a remark in the list
SUFFIX_NOTES = {'.part': 'part of a download', '.bad': 'not the right file: may be removed'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('action', choices=ACTIONS)
    parser.add_argument('names', nargs='*', metavar='NAME or FILE',
                        help='names of weights to get, or a file to inspect or convert')
    parser.add_argument('--from', type=Path, metavar='FILE', dest='users_file',
                        help='the file to get, if you have it already')
    parser.add_argument('-o', '--output', type=Path, metavar='FILE',
                        help='the file that convert writes (default: FILE with the suffix '
                             '.safetensors)')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite an output that tinyfcn did not write')


def run(args: argparse.Namespace) -> None:
    require_names(args)
    if args.action == 'list':
        list_weights()
    elif args.action == 'where':
        show_cache()
    elif args.action == 'get':
        get(args.names, args.users_file)
    elif args.action == 'inspect':
        inspect(Path(args.names[0]))
    else:
        file = Path(args.names[0])
        output = args.output or file.with_suffix('.safetensors')
        convert(find_weights(file), output, args.overwrite)


def require_names(args: argparse.Namespace) -> None:
    """Raise if an action does not take that many names."""
    count = len(args.names)
    command = f'tinyfcn weights {args.action}'
    if args.action in ('inspect', 'convert') and count != 1:
        raise ValueError(f'{command} takes one file, and {count} are named: {command} FILE')
    if args.action == 'get' and not count:
        raise ValueError(f'{command} takes the names of weights: {command} squeezenet, say; '
                         f'`tinyfcn weights list` shows all')
    if args.action in ('list', 'where') and count:
        raise ValueError(f'{command} takes no name')
    if args.users_file and (args.action != 'get' or count != 1):
        raise ValueError('--from FILE is for one name: tinyfcn weights get NAME --from FILE')


# ---- by name -------------------------------------------------------------------------------------

def get(names: list[str], users_file: Path | None = None) -> None:
    """Fetch weights, one after another; what fails is reported at the end."""
    for name in names:
        if not source_name(name):
            raise ValueError(unknown_name(name))
    problems = []
    for name in names:
        try:
            with Progress() as report:
                path = fetch_weights(name, users_file, report, say)
        except (OSError, ValueError) as error:
            if len(names) == 1:
                raise
            problems.append(str(error))
        else:
            say(path)
    if problems:
        raise OSError('\n'.join(problems))


def list_weights() -> None:
    """Print the table of weights; those in the cache have a +."""
    say(f'  {"name":28} {"MB":>4}  {"net":20} {"classes":>7}  note')
    for name, source in SOURCES.items():
        mark = '+' if cached_weights(name) else ' '
        note = shorten(source.remark, NOTE_WIDTH, placeholder=' …')
        say(f'{mark} {name:28} {megabytes(source)}  {source.net:20} {source.n_class or "":>7}  '
            f'{note}'.rstrip())
    for other, name in OTHER_NAMES.items():
        say(f'  {other:28} is another name of {name}')
    say(f'+ is in {printable(weights_folder())}. `tinyfcn weights get NAME` says the licence, too')


def megabytes(source: WeightsSource) -> str:
    size = source.files[0].size
    return f'{size / 1e6:4.0f}' if size else '   ?'


def show_cache() -> None:
    """Print the folder of fetched files, and the weights in it."""
    say(cache_folder())
    folder = weights_folder()
    paths = sorted(path for path in folder.glob('*/*') if path.is_file()) if folder.is_dir() else []
    for path in paths:
        if path.suffix in ('.verified', '.sha256', '.tag'):
            continue
        name = printable(path.parent.name)
        size = f'{path.stat().st_size / 1e6:,.1f} MB'
        say(f'  {name:28} {size:>12}  {printable(path.name)}{file_note(path)}')
    if not paths:
        say('  no weights yet; `tinyfcn weights list` shows which there are')


def file_note(path: Path) -> str:
    """What a file in the cache is, if it is not complete and verified; else ''."""
    name = path.parent.name
    used = cached_weights(name)
    if path.suffix in SUFFIX_NOTES:
        what = SUFFIX_NOTES[path.suffix]
    elif path == used:
        return ''
    elif used or not source_name(name):
        what = 'not used: may be removed'
    else:
        what = 'not the right file: get it again'
    return f'   ({what})'


# ---- files ---------------------------------------------------------------------------------------

def inspect(file: Path) -> None:
    """Print the arrays of a file, under the file's own names."""
    arrays, about = weights.read_raw(find_weights(file))
    print_about(about)
    non_finite = count_non_finite(arrays)
    for name, array in arrays.items():
        shape = '×'.join(map(str, array.shape))
        note = f'   {non_finite[name]:,} not finite' if name in non_finite else ''
        say(f'{printable(name):44} {array.dtype.name:9} {shape}{note}')
    count = sum(array.size for array in arrays.values())
    say(f'{len(arrays)} arrays, {count:,} numbers')
    if non_finite:
        what = 'array has' if len(non_finite) == 1 else 'arrays have'
        say(f'{len(non_finite)} {what} values that are not finite (nan or infinite): no command '
            f'uses such weights')


def convert(file: Path, output: Path, overwrite: bool = False) -> None:
    """Write the same weights as a .safetensors file, under tinyfcn's names."""
    if output.exists() and output.samefile(file):
        raise ValueError(f'{printable(output)} is the file itself: name another with -o FILE')
    require_own(output, overwrite)
    arrays, about = weights.read(file)
    print_about(about)
    weights.save(output, arrays, about)
    say(f'{"written":12} {printable(output)}')


def print_about(about: dict[str, Any]) -> None:
    for key, value in about.items():
        say(f'{printable(key):12} {printable(value, limit=2000)}')
