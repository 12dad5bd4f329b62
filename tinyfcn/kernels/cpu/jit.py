"""Compile a loop with Numba, and keep the machine code for the next process.

    @compiled
    def loop(x, start, stop): ...

Numba's own cache looks at the file of the function alone, and two processes that compile at once
may exchange their results. So this one keeps a file for each result, whose name is a hash of all
that decides it: every source file of this folder, the table of Winograd's matrices, the CPU, the
versions of Python and Numba, the signature, and the bytecode and the constants of the function.
Nothing is ever overwritten by something else, and an edit anywhere is seen. Where no folder can be
written, code is compiled again in every process.

To compile takes about half a second a loop, so it is logged, and the command line shows that.
"""
import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import perf_counter
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult

F = TypeVar('F', bound=Callable[..., Any])


def short_hash(data: bytes) -> str:
    """16 hexadecimal digits."""
    return sha256(data).hexdigest()[:16]


def hash_sources(folder: Path, *others: Path) -> str:
    """Of all files in the folder, because a loop is inlined into those that call it, and others."""
    paths = [*sorted(folder.glob('*.py')), *others]
    return short_hash(b''.join(path.read_bytes() for path in paths))


if numba.config.DISABLE_JIT:
    raise ImportError('NUMBA_DISABLE_JIT is set')

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
SUFFIX = '.machine'         # of the names of files with machine code
# as they are when imported; the numbers of the table become constants of the machine code
SOURCES = hash_sources(HERE, HERE.parent / 'winograd_matrices.py')


def compiled(function: F) -> F:
    """Compile on the first call, without the interpreter's lock; keep the code for later runs.

    Division is NumPy's (x / 0 is ∞), and sums are made in the order in which they are written.
    """
    dispatcher: Any = numba.njit(nogil=True, error_model='numpy')(function)
    dispatcher._cache = Cache(function)
    return cast(F, dispatcher)


class Cache(NullCache):
    """The results of one function, as Numba asks for them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = function.__qualname__.replace('<locals>.', '').replace('.', '_')
        code = function.__code__
        # what tells functions of one name apart: those that another function makes, such as for
        # tiles of several sizes, and one outside this folder before and after an edit. The
        # functions that it calls are part of the sources
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        constants = [value for value in (*cells, *code.co_consts)
                     if isinstance(value, (int, float, str, tuple))]
        self.function = (f'{function.__module__} {function.__qualname__} {constants} '
                         f'{code.co_names} {code.co_code.hex()}')

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        target_context.refresh()
        name = self._file_name(signature, target_context.codegen())
        for folder in folders():
            data = read(folder / name)
            if data is not None:
                return CompileResult._rebuild(target_context, *data)
        progress.begin()
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        name = self._file_name(signature, result.codegen)
        data = pickle.dumps(result._reduce())
        progress.end()
        for folder in folders():
            if write(folder / name, data):
                remove_outdated(folder)
                return
        warn_of_no_folder()

    def _file_name(self, signature: Any, codegen: Any) -> str:
        parts = (sys.version, numba.__version__, codegen.magic_tuple(), signature,
                 self.function)
        return f'{self.name}-{SOURCES}-{short_hash(repr(parts).encode())}{SUFFIX}'


class Progress:
    """How many loops this process has compiled, and for how many seconds.

    A loop is compiled together with the functions that it calls; Numba's lock lets one thread at a
    time do so.
    """

    def __init__(self) -> None:
        self.loops = 0
        self.seconds = 0.
        self.begun: list[float] = []        # when the loop was, and the functions within it

    def begin(self) -> None:
        if not self.loops and not self.begun:
            log.info('compiling kernels, once')
        self.begun.append(perf_counter())

    def end(self) -> None:
        start = self.begun.pop()
        if not self.begun:
            self.loops += 1
            self.seconds += perf_counter() - start
            log.info('compiling kernels, once: %d done, %.0f s', self.loops, self.seconds)


progress = Progress()


@cache
def warn_of_no_folder() -> None:
    """Once in a process."""
    log.warning('compiled kernels cannot be kept in %s, so every process compiles them again; set '
                'NUMBA_CACHE_DIR to a folder that can be written',
                ' or '.join(map(str, folders())))


def folders() -> Iterator[Path]:
    """Where machine code may lie: NUMBA_CACHE_DIR, or beside the sources, or the user's cache."""
    own = f'kernels-{short_hash(bytes(HERE))}'  # another copy of the package has other code
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR, 'tinyfcn', own)
        return
    yield HERE / '__pycache__'
    user_cache = Path(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'))
    if user_cache.is_absolute():                # a user without a home has none
        yield user_cache / 'tinyfcn' / own


def read(path: Path) -> Any:
    """What `write` wrote; None where there is no such file, or not all of it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, data = content[:32], content[32:]
    return pickle.loads(data) if sha256(data).digest() == digest else None


def write(path: Path, data: bytes) -> bool:
    """Write the file in one step, so that no other process reads half of it. -> whether it could"""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = NamedTemporaryFile(dir=path.parent, delete=False)
        try:
            with file:
                file.write(sha256(data).digest() + data)
            os.replace(file.name, path)
        except BaseException:               # the disk is full, or Ctrl-C
            os.unlink(file.name)
            raise
    except OSError:
        return False
    return True


def remove_outdated(folder: Path) -> None:
    """Delete the machine code of sources as they were before an edit."""
    for path in folder.glob(f'*{SUFFIX}'):
        if f'-{SOURCES}-' not in path.name:
            with suppress(OSError):
                path.unlink()
