"""Download and unpack a data set.

Takes the first mirror that has it and checks what arrives; an interrupted
download continues where it stopped.

  tinyfcn data voc2012
  tinyfcn data stanford --from iccv09Data.tar.gz      an archive that you have
"""
import argparse
from pathlib import Path

from ..data.fetch import fetch_dataset
from ..fetch.progress import Progress
from .output import say
from .paths import add_data_argument, data_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', metavar='NAME', help='such as voc2012; a wrong name lists them all')
    add_data_argument(parser)
    parser.add_argument('--from', type=Path, metavar='FILE', dest='archive',
                        help='the archive, if you have it already')


def run(args: argparse.Namespace) -> None:
    folder = args.data or data_folder()
    with Progress() as report:
        root = fetch_dataset(args.name, folder, args.archive, report, say)
    say(root)
