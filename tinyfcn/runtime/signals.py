"""Signals that ask a process to stop: Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed."""
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Windows has no SIGHUP
STOP_SIGNALS = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP')
                if hasattr(signal, name)]


def ignore_stop_signals() -> None:
    """From now on, what asks to stop is ignored: this process is ending, and must clean up."""
    if threading.current_thread() is threading.main_thread():       # others may not set handlers
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def hold_stop_signals() -> Iterator[None]:
    """Inside, what asks to stop has to wait until the end of the block, here and in a forked child.
    """
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)

    handlers: dict[int, Any] = {}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        # Another thread may receive the signal. Python then calls the handler in the main thread,
        # although the signal is blocked there
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if callable(signal.getsignal(number)):
                    handlers[number] = signal.signal(number, hold)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in held:
            signal.raise_signal(number)
