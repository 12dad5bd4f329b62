"""Ctrl-C once finishes the step, saves and exits; twice exits at once. SIGTERM is like Ctrl-C."""
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """The user stopped a run; the message says how to continue it."""


@contextmanager
def interruptible(report: Callable[[str], object]) -> Iterator[Callable[[], bool]]:
    """-> a function: was Ctrl-C pressed?   Pressed again, it raises Interrupted.

    `report(line)` is called at the first press.
    """
    received = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise Interrupted('aborted; the last checkpoint is intact: --resume continues from it')
        report('stopping after this step; Ctrl-C once more aborts at once')

    previous = {number: signal.signal(number, handle)
                for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
