"""The source of a function as it is read: the body itself, without what decorates it."""
import ast
import inspect
import io
import keyword
import token
import tokenize
from html import escape
from textwrap import dedent
from typing import NamedTuple

# a notebook's own colours where it has some, else one that is readable on light and on dark
COLOURS = {'keyword': 'var(--jp-mirror-editor-keyword-color, #9a4fc0)',
           'def': 'var(--jp-mirror-editor-def-color, #2f7fd0)',
           'string': 'var(--jp-mirror-editor-string-color, #c0503a)',
           'number': 'var(--jp-mirror-editor-number-color, #23915a)',
           'comment': 'var(--jp-mirror-editor-comment-color, #7a8894)'}
KINDS = {token.STRING: 'string', token.NUMBER: 'number', token.COMMENT: 'comment',
         **{getattr(token, name): 'string' for name in
            ('FSTRING_START', 'FSTRING_MIDDLE', 'FSTRING_END') if hasattr(token, name)}}


class Source(NamedTuple):
    """Code, and where it stands; a notebook colours it."""
    where: str
    code: str

    def __repr__(self):
        return f'# {self.where}\n{self.code}'

    def _repr_html_(self):
        return (f'<figure style="margin: .4em 0"><figcaption style="font-size: 12px; opacity: .72">'
                f'{escape(self.where)}</figcaption><pre style="margin: .2em 0; overflow-x: auto; '
                f'line-height: 1.4">{_coloured(self.code)}</pre></figure>')


def show_source(function, backward=False):
    """The code of an op (its readable body), a model or a method, as it stands in its file.

    With backward=True that of its backward below it. -> Source
    """
    where, code = _body(function)
    if backward:
        if not hasattr(function, 'backward'):
            raise ValueError(f'{_name(function)} has no backward; only an op has one')
        code += '\n\n\n' + _body(function.backward)[1]
    return Source(where, code)


def _body(function):
    """Where it stands and its text, from `def` on: what decorates it lies around it."""
    try:
        lines, first = inspect.getsourcelines(function)         # of what lies within the wrapping
    except (OSError, TypeError):
        raise ValueError(f'{_name(function)} has no source in Python to show; take a function or '
                         f'a method that is written in Python') from None
    code = dedent(''.join(lines))
    start = ast.parse(code).body[0].lineno - 1
    file = function.__module__.replace('.', '/')
    return f'{file}.py, line {first + start}', '\n'.join(code.splitlines()[start:])


def _name(function):
    return getattr(function, '__name__', type(function).__name__)


def _coloured(code):
    """Every token in its colour; what lies between two of them as it is."""
    lines, made, at, before = code.splitlines(keepends=True), [], (1, 0), ''
    for found in tokenize.generate_tokens(io.StringIO(code).readline):
        if found.type in (token.ENDMARKER, token.NEWLINE, token.NL, token.INDENT, token.DEDENT):
            continue
        made.append(escape(_between(lines, at, found.start)))
        text, at = _between(lines, found.start, found.end), found.end
        colour = COLOURS.get(_kind(found, before))
        made.append(f'<span style="color: {colour}">{escape(text)}</span>' if colour
                    else escape(text))
        before = found.string
    return ''.join(made)


def _kind(found, before):
    if before in ('def', 'class'):
        return 'def'
    return 'keyword' if keyword.iskeyword(found.string) else KINDS.get(found.type)


def _between(lines, start, end):
    """The text from (line, column) to another."""
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right]
    return ''.join([lines[first - 1][left:], *lines[first:last - 1], lines[last - 1][:right]])
