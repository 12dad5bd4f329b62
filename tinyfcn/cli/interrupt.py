"""Ctrl-C once finishes the step, saves and exits; twice exits at once.

SIGTERM and SIGHUP, which comes when a terminal is closed, are like Ctrl-C. A signal that the
program was started to ignore stays ignored, as with nohup.
"""
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType
from typing import Any

from ..runtime.signals import STOP_SIGNALS

AGAIN_SECONDS = .3      # what comes sooner is not pressed again: `timeout` and shells send it twice
REPEAT_SECONDS = .01    # after which a signal comes again whose exception Python has ignored
CLEAN_UP_SECONDS = 1    # after an exception was raised, in which no further one disturbs it


class Interrupted(Exception):
    """The user stopped a run; the message says how to continue it."""


class Aborted(KeyboardInterrupt):
    """A signal ended a command that cannot be continued."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


def find_abort(error: BaseException | None) -> Aborted | None:
    """The signal behind an error: a library that is imported when it comes fails in its own way."""
    while error is not None and not isinstance(error, Aborted):
        error = error.__cause__ or error.__context__
    return error


def abort_on_stop_signals() -> None:
    """From now on, a signal that asks to stop raises Aborted in the command that runs.

    Python ignores exceptions in callbacks, as where a module is imported: there it comes again.
    """
    raised = -float(CLEAN_UP_SECONDS)

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        now = monotonic()
        if now - raised >= CLEAN_UP_SECONDS:
            raised = now
            raise Aborted(number)

    def repeat(ignored: Any) -> None:
        nonlocal raised
        if not isinstance(ignored.exc_value, Aborted):
            # an import that was interrupted leaves its file for Python to close
            if not (isinstance(ignored.exc_value, ResourceWarning) and raised > 0):
                hook(ignored)
            return
        raised = -float(CLEAN_UP_SECONDS)
        # from another thread, since this one is still in the callback
        timer = threading.Timer(REPEAT_SECONDS, os.kill, [os.getpid(), ignored.exc_value.number])
        timer.daemon = True
        timer.start()

    hook = sys.unraisablehook
    sys.unraisablehook = repeat
    _set_handler(handle)


@contextmanager
def interruptible(report: Callable[[str], object]) -> Iterator[Callable[[], bool]]:
    """-> a function: was Ctrl-C pressed?   Pressed again, it raises Interrupted.

    `report(line)` is called at the first press.
    """
    pressed: list[float] = []                           # when

    def handle(number: int, frame: FrameType | None) -> None:
        now = monotonic()
        if not pressed:
            pressed.append(now)
            # the terminal may be gone, or Python be in the middle of another line
            with suppress(OSError, RuntimeError):
                report('stopping after this step; Ctrl-C once more aborts at once')
            return
        wait = AGAIN_SECONDS if len(pressed) == 1 else CLEAN_UP_SECONDS
        # a shell that ends with its terminal repeats SIGHUP
        if now - pressed[-1] >= wait and number != getattr(signal, 'SIGHUP', None):
            pressed.append(now)
            raise Interrupted('aborted; the last checkpoint is intact: --resume continues from it')

    previous = _set_handler(handle)
    try:
        yield lambda: bool(pressed)
    finally:
        for number, handler in previous.items():
            # once stopped, the command only ends: what is pressed now changes nothing
            signal.signal(number, signal.SIG_IGN if pressed else handler)


def _set_handler(handle: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Handle all signals that ask to stop. -> {number: the handler before}"""
    previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handled = {number: before for number, before in previous.items() if before != signal.SIG_IGN}
    for number in handled:
        signal.signal(number, handle)
    return handled
