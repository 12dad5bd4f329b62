"""The user's folder of fetched files, and waiting for those who fetch into it already."""
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..files import lock_folder, printable

POLL_SECONDS = .2                       # between two looks at a lock

# log(line) gets what a reader should know: which mirror failed, what could not be verified
Log = Callable[[str], object]


def ignore(line: str) -> None:
    """Log nothing."""


def cache_folder() -> Path:
    """The user's folder of fetched files, which may not exist yet.

    $TINYFCN_CACHE, else $XDG_CACHE_HOME/tinyfcn, else ~/.cache/tinyfcn; on macOS
    ~/Library/Caches/tinyfcn, on Windows %LOCALAPPDATA%/tinyfcn.
    """
    if named := os.environ.get('TINYFCN_CACHE'):
        return Path(named).expanduser().absolute()
    shared = os.environ.get('XDG_CACHE_HOME', '')
    if os.path.isabs(shared):                           # the standard ignores any other
        return Path(shared) / 'tinyfcn'
    if sys.platform == 'win32' and os.environ.get('LOCALAPPDATA'):
        return Path(os.environ['LOCALAPPDATA']) / 'tinyfcn'
    home = Path(os.path.expanduser('~'))
    if not home.is_absolute():
        raise ValueError('there is no home folder to keep fetched files in: name a folder in the '
                         'environment variable TINYFCN_CACHE')
    caches = home / ('Library/Caches' if sys.platform == 'darwin' else '.cache')
    return caches / 'tinyfcn'


@contextmanager
def wait_for_lock(folder: Path, log: Log = ignore) -> Iterator[None]:
    """Keep other processes out of a folder inside the block, after those that came before."""
    with ExitStack() as stack:
        is_waiting = False
        while True:
            try:
                stack.enter_context(lock_folder(folder, 'in use'))
                break
            except ValueError:
                if not is_waiting:
                    log(f'another process is fetching into {printable(folder)}; waiting for it')
                is_waiting = True
                time.sleep(POLL_SECONDS)
        yield
