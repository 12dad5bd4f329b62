"""A result as HTML and as text: its message, its hint, the case, and both answers side by side.

Colours are half transparent and text takes the colour of the page, so that a result can be read on
a light page and on a dark one. Nothing is loaded from the network, and everything that the reader's
function has returned is escaped.
"""
from html import escape
from itertools import islice
from math import isfinite

import numpy as np

MAX_CELLS = 10          # rows and columns of a table
MAX_PLANES = 4          # tables of an array
STYLE = '''<style>
.tinyfcn-result { font: 14px/1.45 system-ui, sans-serif; max-width: 60em; overflow-x: auto;
  border-left: 4px solid #c0504d; padding: .3em 1em; margin: .5em 0 }
.tinyfcn-result.correct { border-color: #3f9c5a }
.tinyfcn-result.unwritten { border-color: #8888 }
.tinyfcn-result p { margin: .35em 0 }
.tinyfcn-result .hint { background: #e0a0302b; padding: .35em .7em; border-radius: 4px }
.tinyfcn-result .faint, .tinyfcn-result th, .tinyfcn-result figcaption { opacity: .72 }
.tinyfcn-result .tables { display: flex; flex-wrap: wrap; gap: .4em 1.8em; margin: .3em 0 }
.tinyfcn-result figure { margin: .2em 0 }
.tinyfcn-result figcaption { font-size: 12px }
.tinyfcn-result table { border-collapse: collapse; font: 12.5px ui-monospace, monospace;
  margin: .15em 0; color: inherit; border: 0 }
.tinyfcn-result tr { background: none !important }
.tinyfcn-result td, .tinyfcn-result th { padding: .12em .5em; text-align: right;
  font-variant-numeric: tabular-nums; border: 1px solid #8885; min-width: 1.2em;
  background: none; color: inherit }
.tinyfcn-result th { border: 0; font-weight: normal; font-size: 10.5px }
.tinyfcn-result td.wrong { background: #d0302850; outline: 2px solid #d03028; font-weight: bold }
.tinyfcn-result td.expected { background: #2f9c5550; outline: 2px solid #2f9c55; font-weight: bold }
</style>'''


def to_html(result):
    """One <div> with its own style."""
    state = 'unwritten' if not result.written else 'correct' if result.correct else 'incorrect'
    name = escape(_printable(result.name))
    message = escape(_printable(result.message))
    parts = [f'<p><b>{name}</b>: {message}</p>']
    if result.hint:
        parts.append(f'<p class="hint">{escape(result.hint)}</p>')
    if result.case:
        parts.append(f'<p class="faint">{escape(_scalar_arguments(result))}</p>')
        parts.append(_html_row(_input_tables(result)))
        parts.append(_html_row(_answer_tables(result)))
    return f'<div class="tinyfcn-result {state}">{STYLE}{"".join(parts)}</div>'


def to_text(result):
    """Lines for a terminal; the first wrong number stands in brackets."""
    lines = [_printable(f'{result.name}: {result.message}')]
    if result.hint:
        lines.append(result.hint)
    if result.case:
        lines += ['', _scalar_arguments(result)]
        lines += [_text_table(*table) for table in _input_tables(result)]
        lines += [_text_table(*table) for table in _answer_tables(result)]
    return '\n'.join(lines)


def short(value):
    """A number as short text: 7, −0.3333, 1.2e+07."""
    value = float(value)
    if not isfinite(value) or value != int(value) or abs(value) >= 1e6:
        return f'{value:.4g}'
    return f'{int(value)}'


def _printable(text):
    """Without characters that no page can show, such as half a surrogate pair or a bell."""
    return ''.join(letter if letter.isprintable() else '·' for letter in text)


def _scalar_arguments(result):
    """The arguments that are not arrays; arrays are shown as tables."""
    scalars = [f'{name} = {value}' for name, value in result.case.items() if not _is_array(value)]
    return f'The smallest case that fails: {", ".join(scalars)}'


def _is_array(value):
    return hasattr(value, 'dtype')


def _input_tables(result):
    """The arrays of the case.   -> iterator over (title, plane)"""
    for name, value in result.case.items():
        if not _is_array(value):
            continue
        if hasattr(value, 'get'):
            name = f'{name}, which is not a NumPy array, '
            value = value.get()
        for title, plane, _ in islice(_planes(name, value), MAX_PLANES):
            yield title, plane


def _answer_tables(result):
    """Both answers, with the first wrong number marked.   -> (title, plane, index, CSS class)"""
    if result.mine is None:
        return
    if result.mine.ndim == result.expected.ndim == 0:       # the message has both numbers
        return
    answers = (('your', result.mine, 'wrong'), ('correct', result.expected, 'expected'))
    for owner, array, css_class in answers:
        planes = _planes(result.output, array, result.wrong_index)
        for title, plane, index in islice(planes, MAX_PLANES):
            yield f'{owner} {title}', plane, index, css_class


def _planes(name, array, index=None):
    """The planes of an array; with an index only the plane that it lies in.

    -> iterator over (title, plane, index in the plane or None)
    """
    shape = ' × '.join(map(str, array.shape))
    excerpt = ', a part' if max(array.shape[-2:], default=0) > MAX_CELLS else ''
    array = array.reshape((1,) * (2 - array.ndim) + array.shape)
    if index is None:
        cell = None
        leading_indices = np.ndindex(array.shape[:-2])
    else:
        index = (0,) * (array.ndim - len(index)) + tuple(index)
        cell = index[-2:]
        leading_indices = [index[:-2]]

    for leading in leading_indices:
        if leading:
            title = f'{name}[{", ".join(map(str, leading))}] of {shape}{excerpt}'
        else:
            title = f'{name}  {shape}{excerpt}'
        yield title, array[leading], cell


def _visible(count, centre):
    """The range of at most MAX_CELLS of `count` rows or columns that contains `centre`."""
    first = max(0, min(centre - MAX_CELLS // 2, count - MAX_CELLS))
    return range(first, min(count, first + MAX_CELLS))


def _html_row(tables):
    return f'<div class="tables">{"".join(_html_table(*table) for table in tables)}</div>'


def _html_table(title, plane, index=None, css_class=''):
    rows, columns = (_visible(n, i) for n, i in zip(plane.shape, index or (0, 0)))
    head = ''.join(f'<th>{j}</th>' for j in columns)
    lines = []
    for i in rows:
        cells = ''.join(_html_cell(plane[i, j], css_class if index == (i, j) else '')
                        for j in columns)
        lines.append(f'<tr><th>{i}</th>{cells}</tr>')
    return (f'<figure><figcaption>{escape(title)}</figcaption>'
            f'<table><tr><th></th>{head}</tr>{"".join(lines)}</table></figure>')


def _html_cell(value, css_class):
    attribute = f' class="{css_class}"' if css_class else ''
    return f'<td{attribute}>{escape(short(value))}</td>'


def _text_table(title, plane, index=None, _css_class=''):
    rows, columns = (_visible(n, i) for n, i in zip(plane.shape, index or (0, 0)))
    lines = []
    for i in rows:
        texts = [short(plane[i, j]) for j in columns]
        lines.append([f'[{text}]' if index == (i, j) else f' {text} '
                      for text, j in zip(texts, columns)])
    width = max((len(cell) for line in lines for cell in line), default=1)
    return '\n'.join(['', title, *(' '.join(cell.rjust(width) for cell in line) for line in lines)])
