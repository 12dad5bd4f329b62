"""Signals that ask a process to stop: Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed."""
import signal
import threading

# Windows has no SIGHUP
STOP_SIGNALS = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP')
                if hasattr(signal, name)]


def ignore_stop_signals() -> None:
    """From now on, what asks to stop is ignored: this process is ending, and must clean up."""
    if threading.current_thread() is threading.main_thread():       # others may not set handlers
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
