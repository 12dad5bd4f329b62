"""How far a download is: a bar on a terminal, a line now and then in a log file; on stderr."""
import sys
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from tqdm import tqdm

from ..files import printable

LINE_SECONDS = 20               # between two lines in a log file
SOURCE_WIDTH = 40               # characters of a mirror's address beside the bar


def write_line(line: str) -> None:
    """Write a line to stderr, above a progress bar there."""
    if sys.stderr is not None:                          # a program may be started without one
        with suppress(OSError):                         # or its reader may have ended
            tqdm.write(printable(line, keep='\n', limit=None), file=sys.stderr)


class Progress:
    """with Progress() as report: download(mirror, part, report=report)

    write(line) writes a line of a log file.
    """

    def __init__(self, write: Callable[[str], object] = write_line) -> None:
        self.write = write
        self.source = ''
        self.line_time = 0.
        self.bar: tqdm | None = None                    # until there is something to show

    def __call__(self, done: int, total: int | None, source: str) -> None:
        """Show the bytes that are done, and all if known, of a mirror or of a file."""
        if self.bar is None:
            self.bar = tqdm(unit='B', unit_scale=True, disable=True if sys.stderr is None else None)
        is_new = source != self.source
        if is_new:
            self.source = source
            self.bar.reset(total)
            self.bar.initial = self.bar.n = done        # earlier bytes do not count for the rate
            self.bar.set_description(printable(source)[-SOURCE_WIDTH:])
        self.bar.total = total
        if not self.bar.disable:
            self.bar.update(done - self.bar.n)
        elif is_new or perf_counter() - self.line_time >= LINE_SECONDS:
            self.line_time = perf_counter()
            of = f' of {total / 1e6:,.0f}' if total else ''
            self.write(f'  {done / 1e6:,.0f}{of} MB, {printable(source, limit=None)}')

    def __enter__(self) -> 'Progress':
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()
