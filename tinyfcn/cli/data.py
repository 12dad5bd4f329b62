"""Download and unpack a data set, or convert one of your own.

Takes the first mirror that has it and checks what arrives; an interrupted
download continues where it stopped.

  tinyfcn data voc2012
  tinyfcn data stanford --from iccv09Data.tar.gz      an archive that you have

  tinyfcn data convert FOLDER NEW       write images/, masks/ (PNG) and classes.txt
                                        into NEW, from an export of LabelMe, CVAT
                                        or COCO, or from masks of any kind
  tinyfcn data convert FOLDER NEW --images photos --masks drawn

Every command reads FOLDER as it is, too; of polygons NEW is read faster, and its
masks can be looked at.
"""
import argparse
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from ..data.convert import convert_folder
from ..data.dataset import Dataset
from ..data.fetch import fetch_dataset
from ..fetch.progress import Progress
from ..files import printable
from ..viz.colours import class_colours
from .bar import show_bar
from .output import say
from .paths import add_data_argument, data_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', metavar='NAME',
                        help='such as voc2012; a wrong name lists them all. Or `convert`')
    parser.add_argument('folders', nargs='*', type=Path, metavar='FOLDER',
                        help='for `convert`: the folder to read, and the one to write')
    add_data_argument(parser)
    parser.add_argument('--from', type=Path, metavar='FILE', dest='archive',
                        help='the archive, if you have it already')


def run(args: argparse.Namespace) -> None:
    if args.name == 'convert':
        convert(args.folders, args.images, args.masks)
        return
    if args.folders or args.images or args.masks:
        raise ValueError(f'tinyfcn data {printable(args.name)} takes no folders; to convert one of '
                         f'your own: tinyfcn data convert FOLDER NEW')
    folder = args.data or data_folder()
    with Progress() as report:
        root = fetch_dataset(args.name, folder, args.archive, report, say)
    say(root)


def convert(folders: list[Path], images: Path | None, masks: Path | None) -> None:
    """Write a folder with images/, masks/ and classes.txt."""
    if len(folders) != 2:
        raise ValueError(f'tinyfcn data convert takes two folders, the one to read and the one to '
                         f'write, and {len(folders)} are named: tinyfcn data convert FOLDER NEW')
    source, new = folders
    if not source.is_dir():
        raise ValueError(f'{printable(source)}: no such folder')
    dataset = convert_folder(source, new, images, masks, palette_of, show_names)
    say(f'{source}: {dataset.description}')
    say(f'{new}: images/, masks/ and classes.txt are written. Next: `tinyfcn check '
        f'{quote(str(new))}`')


def palette_of(dataset: Dataset) -> Any:
    return class_colours(dataset.classes, dataset.colours)


def show_names(names: list[str]) -> Iterator[str]:
    return show_bar(names, len(names), 'image')
