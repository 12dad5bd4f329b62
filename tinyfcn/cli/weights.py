"""Inspect a file of weights, or convert it to .safetensors.

  tinyfcn weights inspect FILE    every array of the file: name, dtype, shape,
                                  and how many values are nan or infinite
  tinyfcn weights convert FILE    write a .safetensors with checksums, under the
                                  names that tinyfcn uses

Reads .safetensors, .caffemodel, .pth, .npz and .h5.
"""
import argparse
from pathlib import Path
from typing import Any

from .. import weights
from ..files import printable, require_own
from ..weights.finite import count_non_finite
from .output import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('action', choices=['inspect', 'convert'])
    parser.add_argument('file', type=Path, metavar='FILE')
    parser.add_argument('-o', '--output', type=Path, metavar='FILE',
                        help='the file that convert writes (default: FILE with the suffix '
                             '.safetensors)')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace the output also if tinyfcn did not write it')


def run(args: argparse.Namespace) -> None:
    if args.action == 'inspect':
        inspect(args.file)
    else:
        output = args.output or args.file.with_suffix('.safetensors')
        convert(args.file, output, args.overwrite)


def inspect(file: Path) -> None:
    """Print the arrays of a file, under the file's own names."""
    arrays, about = weights.read_raw(file)
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
    if output.exists() and file.exists() and output.samefile(file):
        raise ValueError(f'{printable(output)} is the file itself: name another with -o FILE')
    require_own(output, overwrite)
    arrays, about = weights.read(file)
    print_about(about)
    weights.save(output, arrays, about)
    say(f'{"written":12} {printable(output)}')


def print_about(about: dict[str, Any]) -> None:
    for key, value in about.items():
        say(f'{printable(key):12} {printable(value, limit=2000)}')
