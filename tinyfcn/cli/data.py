"""Download and unpack a data set.

Takes the first mirror that has it and checks what arrives; an interrupted
download continues where it stopped.

  tinyfcn data voc2012
  tinyfcn data stanford --from iccv09Data.tar.gz      an archive that you have
"""
import argparse
import sys
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from ..data.fetch import fetch_dataset
from ..files import printable
from .bar import LINE_SECONDS
from .output import say
from .paths import add_data_argument, data_folder

NAME_WIDTH = 40                 # characters of a mirror's address in the progress bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('name', metavar='NAME', help='such as voc2012; a wrong name lists them all')
    add_data_argument(parser)
    parser.add_argument('--from', type=Path, metavar='FILE', dest='archive',
                        help='the archive, if you have it already')


def run(args: argparse.Namespace) -> None:
    folder = args.data or data_folder()
    with tqdm(unit='B', unit_scale=True, disable=None) as bar:
        line_time = perf_counter()

        def report(done: int, total: int | None, source: object) -> None:
            nonlocal line_time
            bar.total = total
            bar.n = done
            bar.set_description(printable(source)[-NAME_WIDTH:], refresh=False)
            bar.update(0)
            if bar.disable and perf_counter() - line_time >= LINE_SECONDS:
                line_time = perf_counter()
                of = f' of {total / 1e6:,.0f}' if total else ''
                say(f'  {done / 1e6:,.0f}{of} MB, {source}', sys.stderr)

        root = fetch_dataset(args.name, folder, args.archive, report, say)
    say(root)
