"""The source code of a function for a notebook: its definition, without decorators."""
import ast
import inspect
import io
import keyword
import token
import tokenize
from html import escape
from textwrap import dedent
from typing import Any, NamedTuple

from ..files import printable

# a notebook's own colours where it has some, else one that is readable on light and on dark
COLOURS = {'keyword': 'var(--jp-mirror-editor-keyword-color, #9a4fc0)',
           'def': 'var(--jp-mirror-editor-def-color, #2f7fd0)',
           'string': 'var(--jp-mirror-editor-string-color, #c0503a)',
           'number': 'var(--jp-mirror-editor-number-color, #23915a)',
           'comment': 'var(--jp-mirror-editor-comment-color, #7a8894)'}
KINDS = {token.STRING: 'string', token.NUMBER: 'number', token.COMMENT: 'comment',
         **{getattr(token, name): 'string' for name in
            ('FSTRING_START', 'FSTRING_MIDDLE', 'FSTRING_END') if hasattr(token, name)}}
INVISIBLE = token.ENDMARKER, token.NEWLINE, token.NL, token.INDENT, token.DEDENT

Position = tuple[int, int]      # line, from 1; column, from 0


class Source(NamedTuple):
    """Code, and its file and line; a notebook shows it in colours."""
    where: str
    code: str

    def __repr__(self) -> str:
        return _printable(f'# {self.where}\n{self.code}')

    def _repr_html_(self) -> str:
        return (f'<figure style="margin: .4em 0"><figcaption style="font-size: 12px; opacity: .72">'
                f'{_escape(self.where)}</figcaption><pre style="margin: .2em 0; overflow-x: auto; '
                f'line-height: 1.4">{_coloured(self.code)}</pre></figure>')


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


def _coloured(code: str) -> str:
    """Every token in its colour; the text between two tokens unchanged."""
    lines = code.splitlines(keepends=True)
    parts = []
    end_of_last: Position = (1, 0)
    last = ''
    for found in tokenize.generate_tokens(io.StringIO(code).readline):
        if found.type in INVISIBLE:
            continue
        parts.append(_escape(_text_between(lines, end_of_last, found.start)))
        text = _escape(_text_between(lines, found.start, found.end))
        colour = COLOURS.get(_kind(found, last) or '')
        parts.append(f'<span style="color: {colour}">{text}</span>' if colour else text)
        end_of_last = found.end
        last = found.string
    return ''.join(parts)


def _printable(text: str) -> str:
    return printable(text, keep='\n\t', limit=None)


def _escape(text: str) -> str:
    return escape(_printable(text))


def _kind(found: tokenize.TokenInfo, last: str) -> str | None:
    if last in ('def', 'class'):
        return 'def'
    return 'keyword' if keyword.iskeyword(found.string) else KINDS.get(found.type)


def _text_between(lines: list[str], start: Position, end: Position) -> str:
    first_line, first_column = start
    last_line, last_column = end
    if first_line == last_line:
        return lines[first_line - 1][first_column:last_column]
    return ''.join([lines[first_line - 1][first_column:], *lines[first_line:last_line - 1],
                    lines[last_line - 1][:last_column]])
