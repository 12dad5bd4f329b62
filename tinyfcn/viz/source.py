"""The source code of a function for a notebook: its definition, without decorators."""
import ast
import inspect
import re
from textwrap import dedent
from typing import Any, NamedTuple

from ..files import printable


class Source(NamedTuple):
    """Code, and its file and line; a notebook shows it in colours."""
    where: str
    code: str

    def __repr__(self) -> str:
        return _printable(f'# {self.where}\n{self.code}')

    def _repr_markdown_(self) -> str:
        code = _printable(self.code)
        fence = '`' * (1 + max([2, *map(len, re.findall('`+', code))]))     # longer than any in it
        return f'*{_printable(self.where)}*\n\n{fence}python\n{code}\n{fence}'


def show_source(function: Any, backward: bool = False) -> Source:
    """The code of an op (its reference implementation), a model or a method.

    With backward=True the code of the op's backward follows.

    >>> from tinyfcn import ops
    >>> show_source(ops.relu).code.startswith('def relu(')
    True
    """
    where, code = _definition(function)
    if backward:
        if not hasattr(function, 'backward'):
            raise ValueError(f'{_name(function)} has no backward; only an op has one')
        code += '\n\n\n' + _definition(function.backward).code
    return Source(where, code)


def _definition(function: Any) -> Source:
    """From `def` or `class` on."""
    try:
        lines, first_line = inspect.getsourcelines(function)    # unwraps decorated functions
    except (OSError, TypeError):
        raise ValueError(f'{_name(function)} has no source in Python to show; take a function or '
                         f'a method that is written in Python') from None
    code = dedent(''.join(lines))
    decorators = ast.parse(code).body[0].lineno - 1             # lines before `def`
    file = function.__module__.replace('.', '/')
    return Source(f'{file}.py, line {first_line + decorators}',
                  '\n'.join(code.splitlines()[decorators:]))


def _name(function: Any) -> str:
    return getattr(function, '__name__', type(function).__name__)


def _printable(text: str) -> str:
    return printable(text, keep='\n\t', limit=None)
