"""What only some systems have. With TESTS_PORTABLE=1 the tests run as on a system without it.

    from portable import resource       a test that uses it is skipped where there is none
"""
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

MODULES = ['fcntl', 'pty', 'resource', 'termios']
NAMES = ['fork', 'mkfifo', 'sched_getaffinity', 'sched_setaffinity', 'sync',
         'O_NOFOLLOW', 'O_NONBLOCK', 'O_TMPFILE']       # of os
TESTS = str(Path(__file__).parent)


class Missing:
    """Stands for a module or a function that this system lacks: whichever test uses it is skipped.
    """

    def __init__(self, name):
        self.name = name

    def __getattr__(self, _):
        self()

    def __call__(self, *_):
        pytest.skip(f'{self.name} is missing on this system')


def hide():
    """Let imports of the modules fail, and os be without the names."""
    for name in MODULES:
        sys.modules[name] = None
    for name in NAMES:
        if hasattr(os, name):
            delattr(os, name)
    # this asks the C library of Linux, where os has sched_setaffinity
    from tinyfcn.runtime import threads
    threads._cpu_getter = lambda: None


def is_missing(error):
    """Whether a test itself, not the package, has asked os for a name that it lacks here."""
    frame = error.__traceback__
    while frame.tb_next:
        frame = frame.tb_next
    return (error.obj is os and error.name in NAMES
            and frame.tb_frame.f_code.co_filename.startswith(TESTS))


if os.environ.get('TESTS_PORTABLE') == '1':
    hide()

try:
    fcntl, pty, resource, termios = map(import_module, MODULES)
except ImportError:
    fcntl, pty, resource, termios = map(Missing, MODULES)
mkfifo = getattr(os, 'mkfifo', Missing('os.mkfifo'))
