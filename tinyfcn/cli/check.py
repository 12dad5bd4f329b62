"""Validate every image and mask of a data set, before training on it.

Each problem is reported with file, value, pixel and what to do; then the share
of each class is printed.

  tinyfcn check my                      a folder with images/, masks/ and classes.txt
  tinyfcn check voc --split train
"""
import argparse
from collections.abc import Iterator

from tqdm import tqdm

from ..data.check import find_problems
from ..data.labels import by_output
from ..data.manifest import verify_manifest, write_manifest
from .paths import add_data_argument, find_dataset, open_dataset

PRINTED = 20                    # problems; the others are only counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('dataset', metavar='DATASET',
                        help='its name, such as voc, or a folder of your own')
    add_data_argument(parser)
    parser.add_argument('--split', default='train', help='of the data set (default: %(default)s)')
    parser.add_argument('--write-manifest', action='store_true',
                        help='write manifest.sha256 with the SHA-256 of every file, which later '
                             'checks compare with')


def run(args: argparse.Namespace) -> None:
    dataset = open_dataset(args.dataset, args.data, args.split)
    manifest = find_dataset(args.dataset, args.data).folder / 'manifest.sha256'
    summary: dict = {}
    n_problems = 0
    with tqdm(range(len(dataset)), unit='image', disable=None) as indices:
        for problem in find_problems(dataset, summary, indices):
            n_problems += 1
            if n_problems <= PRINTED:
                indices.write(f'  {problem}')
    if manifest.exists() and not args.write_manifest:
        for problem in verify_manifest(dataset, manifest):
            n_problems += 1
            if n_problems <= PRINTED:
                print(f'  {problem}')
    if n_problems > PRINTED:
        print(f'  … and {n_problems - PRINTED:,} more')
    for line in describe(summary, by_output(dataset.classes)):
        print(line)

    if n_problems:
        noun = 'problem' if n_problems == 1 else 'problems'
        raise ValueError(f'{n_problems:,} {noun} in {len(dataset):,} images')
    if args.write_manifest:
        write_manifest(dataset, manifest)
        print(f'{manifest}: the SHA-256 of every file; later checks compare with it')


def describe(summary: dict, classes: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """The sizes of the images and the share of each class, line by line."""
    if summary['images']:
        smallest = '{}×{}'.format(*summary['smallest'])
        largest = '{}×{}'.format(*summary['largest'])
        yield f'{summary["images"]} images, from {smallest} to {largest} pixels'
    for output, label in summary['labels'].items():
        yield f'{output}: void {label["void"]:.1%}; of the rest'
        pixels = label['pixels']
        total = sum(pixels.values()) or 1
        for name in classes[output]:
            yield f'  {name:20} {pixels.get(name, 0) / total:7.2%}'
    yield from summary['notes']
