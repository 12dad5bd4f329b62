"""Read the reader's functions from a file of Python, and check them."""
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...files import printable, read_text
from ..exercises import check
from ..exercises.compare import describe_error
from .parts import PARTS

SUFFIX = '_mine'                # as in the lessons


def read_functions(path: str | Path) -> dict[str, Callable[..., Any]]:
    """Run a file, and find the functions in it that can take part in training. -> {exercise: f}

    A function is named like its exercise, or as in the lessons: conv2d or conv2d_mine.
    """
    namespace = _run(Path(path))
    names = [name for exercises in PARTS.values() for name in exercises]
    functions = {}
    for name in dict.fromkeys(names):
        function = namespace.get(name + SUFFIX, namespace.get(name))
        # `from tinyfcn.ops import conv2d` is not the reader's own
        if callable(function) and not str(function.__module__).startswith('tinyfcn.'):
            functions[name] = function
    if not functions:
        raise ValueError(f'{printable(path)}: defines none of the functions that can train the '
                         f'net: {", ".join(dict.fromkeys(names))}. Name yours like this, or as in '
                         f'the lessons: {names[0]}{SUFFIX}')
    return functions


def _run(path: Path) -> dict[str, Any]:
    """The names that a file of Python defines."""
    source = read_text(path)
    namespace: dict[str, Any] = {'__name__': path.stem, '__file__': str(path)}
    try:
        exec(compile(source, str(path), 'exec'), namespace)
    except SyntaxError as error:
        raise ValueError(f'{printable(path)}, line {error.lineno}: {error.msg}') from None
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                 if frame.filename == str(path)]
        where = f', line {lines[-1]}' if lines else ''
        raise ValueError(f'{printable(path)}{where}: {printable(describe_error(error))}') from None
    return namespace


def check_functions(functions: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Those that are written. One that is wrong is a ValueError with the hint of its exercise."""
    written = {}
    for name, function in functions.items():
        result = check(name, function)
        if result.correct:
            written[name] = function
        elif result.written:
            raise ValueError(f'{name} is not correct yet, so it trains nothing\n\n{result!r}')
    if not written:
        raise ValueError(f'none of {", ".join(functions)} is written yet')
    return written
