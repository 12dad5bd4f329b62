"""`python -m tinyfcn` is the command `tinyfcn`."""
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from .runtime.blas import require_address_space
from .runtime.signals import ignore_stop_signals


def main() -> int:
    """Run the command line. -> exit code"""
    # While modules are imported there is nothing to clean up: the first Ctrl-C ends this process,
    # and Python prints no traceback
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        require_address_space()
    except MemoryError as error:
        sys.stderr.write(f'tinyfcn: {error}\n')
        return 2
    from .cli import main as run
    from .cli.interrupt import Aborted, abort_on_stop_signals
    try:
        abort_on_stop_signals()
        code = run()
        ignore_stop_signals()                           # only the interpreter has to end
    except Aborted as stop:                             # before the command began, or after its end
        ignore_stop_signals()
        code = 128 + stop.number
    if code > 128:
        exit_at_once(code)
    return code


def exit_at_once(code: int) -> NoReturn:
    """End a command that was aborted, without the interpreter's own end.

    The signal may have come while an extension module was imported. What such a module has left
    half made can crash that end.
    """
    for stream in sys.stdout, sys.stderr:
        with suppress(OSError, ValueError, AttributeError):     # closed, or none at all
            stream.flush()
    os._exit(code)


if __name__ == '__main__':
    sys.exit(main())
