"""Inspect a file of weights, or convert it to .safetensors.

  tinyfcn weights inspect FILE    every array of the file: name, dtype, shape
  tinyfcn weights convert FILE    write a .safetensors with checksums, under the
                                  names that tinyfcn uses

Reads .safetensors, .caffemodel, .pth, .npz and .h5.
"""
import argparse
from pathlib import Path

from .. import weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('action', choices=['inspect', 'convert'])
    parser.add_argument('file', type=Path, metavar='FILE')
    parser.add_argument('-o', '--output', type=Path, metavar='FILE',
                        help='the file that convert writes (default: FILE with the suffix '
                             '.safetensors)')


def run(args: argparse.Namespace) -> None:
    if args.action == 'inspect':
        inspect(args.file)
    else:
        convert(args.file, args.output or args.file.with_suffix('.safetensors'))


def inspect(file: Path) -> None:
    """Print the arrays of a file, under the file's own names."""
    arrays, about = weights.read_raw(file)
    print_about(about)
    for name, array in arrays.items():
        shape = '×'.join(map(str, array.shape))
        print(f'{name:44} {array.dtype.name:9} {shape}')
    count = sum(array.size for array in arrays.values())
    print(f'{len(arrays)} arrays, {count:,} numbers')


def convert(file: Path, output: Path) -> None:
    """Write the same weights as a .safetensors file, under tinyfcn's names."""
    arrays, about = weights.read(file)
    print_about(about)
    if output.exists() and output.samefile(file):
        raise ValueError(f'{output} is the file itself: name another with -o FILE')
    weights.save(output, arrays, about)
    print(f'{"written":12} {output}')


def print_about(about: dict) -> None:
    for key, value in about.items():
        print(f'{key:12} {value}')
