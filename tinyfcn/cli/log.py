"""Show on stderr what the package logs: that kernels are compiled, and warnings."""
import logging
import sys
from time import perf_counter

from .output import say

LINE_SECONDS = 5                # between two lines about progress


class LogLines(logging.Handler):
    """A line for each warning. Of all that tells of progress the first, and one now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.line_time = float('-inf')

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            now = perf_counter()
            if now - self.line_time < LINE_SECONDS:
                return
            self.line_time = now
        say(record.getMessage(), sys.stderr)


def show_log() -> None:
    """From now on. The package itself is silent but for warnings, as a library is."""
    log = logging.getLogger(__name__.partition('.')[0])
    if not log.handlers:
        log.addHandler(LogLines())
        log.setLevel(logging.INFO)
