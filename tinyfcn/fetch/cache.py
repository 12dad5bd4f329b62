"""The user's cache folder, and a lock by which processes wait for each other."""
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..files import lock_folder, printable

POLL_SECONDS = .2                       # between two attempts to take a lock

# log(line) gets what a reader should know: which mirror failed, what could not be verified
Log = Callable[[str], object]


def ignore(line: str) -> None:
    """Log nothing."""


def cache_folder() -> Path:
    """The user's folder of fetched files, which may not exist yet.

    $TINYFCN_CACHE, else $XDG_CACHE_HOME/tinyfcn, else ~/.cache/tinyfcn; on macOS
    ~/Library/Caches/tinyfcn, on Windows %LOCALAPPDATA%/tinyfcn.
    """
    if folder := os.environ.get('TINYFCN_CACHE'):
        try:
            return Path(folder).expanduser().absolute()
        except RuntimeError:                            # of ~name, where no user has this name
            raise ValueError(f'the environment variable TINYFCN_CACHE is {printable(folder)}, and '
                             f'there is no such home folder') from None
    caches_of_user = os.environ.get('XDG_CACHE_HOME', '')
    if os.path.isabs(caches_of_user):                   # the standard ignores a relative path
        return Path(caches_of_user) / 'tinyfcn'
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
    """Lock a folder for the block, after waiting for another process that has locked it."""
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
