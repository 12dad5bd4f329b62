"""Ctrl-C once: finish this step, save, leave. Twice: leave now. SIGTERM is as one Ctrl-C."""
import signal
from contextlib import contextmanager


class Interrupted(Exception):
    """Somebody wanted to stop; what was said last tells how to go on."""


@contextmanager
def interruptible(say):
    """-> asked(): whether somebody has asked to stop. A second time raises Interrupted."""
    signals = []

    def hear(number, frame):
        signals.append(number)
        if len(signals) > 1:
            raise Interrupted('left at once; what was saved before is as it was: --resume')
        say('stopping after this step; once more leaves at once')

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signals)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
