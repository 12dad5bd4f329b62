"""How far a command is: a bar on a terminal; a line now and then in a log file."""
import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

from tqdm import tqdm

from .output import say

T = TypeVar('T')

LINE_SECONDS = 20               # between two lines in a log file


class Bar:
    """with Bar(total, 'image') as bar: …; bar.update()   Shown on stderr.

    unit: one of what is counted. done: how many are done already.
    in_logs: whether a log file, in place of a terminal, gets lines.
    """

    def __init__(self, total: int, unit: str, done: int = 0, in_logs: bool = True) -> None:
        self.total = total
        self.unit = unit
        self.in_logs = in_logs
        # shown on a terminal only; a command may have been started without stderr
        self.bar = tqdm(total=total, unit=unit, disable=True if sys.stderr is None else None)
        self.line_time = perf_counter()
        self.start_time = perf_counter()
        self.start(done)

    def start(self, done: int) -> None:
        """Set the count of what was done earlier, which is not part of the rate."""
        self.done = self.before = done
        self.bar.initial = self.bar.n = done

    def update(self, done: int | None = None, note: str = '') -> None:
        """Count one more, or set the count to `done`. The note is shown at the end of the bar."""
        self.done = self.done + 1 if done is None else done
        if not self.bar.disable:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(self.done - self.bar.n)
        elif self.in_logs and perf_counter() - self.line_time >= LINE_SECONDS:
            self.line_time = perf_counter()
            say(self.line(note), sys.stderr)

    def line(self, note: str = '') -> str:
        """'120 of 1,000 steps, 2.1 steps/s, 07:12 left'"""
        rate = (self.done - self.before) / max(perf_counter() - self.start_time, 1e-9)
        left = tqdm.format_interval((self.total - self.done) / rate) if rate else '?'
        text = (f'  {self.done:,} of {self.total:,} {self.unit}s, {rate:.2g} {self.unit}s/s, '
                f'{left} left')
        return f'{text}, {note}' if note else text

    def __enter__(self) -> 'Bar':
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()


def show_bar(items: Iterable[T], total: int, unit: str, in_logs: bool = True) -> Iterator[T]:
    """The items one after another, while a bar shows how many are done."""
    with Bar(total, unit, in_logs=in_logs) as bar:
        for item in items:
            yield item
            bar.update()
