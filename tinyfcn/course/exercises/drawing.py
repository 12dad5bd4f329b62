"""A verdict as HTML and as text: its line, its hint, the case, both answers side by side.

Colours are half transparent and the letters are the page's own, so it is readable on a light page
and on a dark one. Nothing is fetched, and all that the reader's function has made is escaped.
"""
from html import escape
from itertools import islice
from math import isfinite

import numpy as np

MOST, PLANES = 10, 4        # rows and columns of a table, tables of an array
STYLE = '''<style>
.tinyfcn-verdict { font: 14px/1.45 system-ui, sans-serif; max-width: 60em; overflow-x: auto;
  border-left: 4px solid #c0504d; padding: .3em 1em; margin: .5em 0 }
.tinyfcn-verdict.right { border-color: #3f9c5a }
.tinyfcn-verdict.empty { border-color: #8888 }
.tinyfcn-verdict p { margin: .35em 0 }
.tinyfcn-verdict .hint { background: #e0a0302b; padding: .35em .7em; border-radius: 4px }
.tinyfcn-verdict .faint, .tinyfcn-verdict th, .tinyfcn-verdict figcaption { opacity: .72 }
.tinyfcn-verdict .tables { display: flex; flex-wrap: wrap; gap: .4em 1.8em; margin: .3em 0 }
.tinyfcn-verdict figure { margin: .2em 0 }
.tinyfcn-verdict figcaption { font-size: 12px }
.tinyfcn-verdict table { border-collapse: collapse; font: 12.5px ui-monospace, monospace;
  margin: .15em 0; color: inherit; border: 0 }
.tinyfcn-verdict tr { background: none !important }
.tinyfcn-verdict td, .tinyfcn-verdict th { padding: .12em .5em; text-align: right;
  font-variant-numeric: tabular-nums; border: 1px solid #8885; min-width: 1.2em;
  background: none; color: inherit }
.tinyfcn-verdict th { border: 0; font-weight: normal; font-size: 10.5px }
.tinyfcn-verdict td.wrong { background: #d0302850; outline: 2px solid #d03028; font-weight: bold }
.tinyfcn-verdict td.should { background: #2f9c5550; outline: 2px solid #2f9c55; font-weight: bold }
</style>'''


def html(verdict):
    state = 'empty' if verdict.said.startswith('not yet') else ('wrong', 'right')[verdict.right]
    lines = [f'<p><b>{escape(_seen(verdict.name))}</b>: {escape(_seen(verdict.said))}</p>']
    if verdict.hint:
        lines.append(f'<p class="hint">{escape(verdict.hint)}</p>')
    if verdict.case:
        lines.append(f'<p class="faint">{escape(_told(verdict))}</p>')
        lines += [_row(_inputs(verdict)), _row(_answers(verdict))]
    return f'<div class="tinyfcn-verdict {state}">{STYLE}{"".join(lines)}</div>'


def text(verdict):
    lines = [_seen(f'{verdict.name}: {verdict.said}'), *filter(None, [verdict.hint])]
    if verdict.case:
        lines += ['', _told(verdict)]
    tables = [*_inputs(verdict), *_answers(verdict)] if verdict.case else []
    return '\n'.join(lines + [_typed(*table) for table in tables])


def short(value):
    """A number in few letters, a whole one whole."""
    value = float(value)
    if not isfinite(value) or value != int(value) or abs(value) >= 1e6:
        return f'{value:.4g}'
    return f'{int(value)}'


def _seen(words):
    """Without the letters that no page can show: half a pair, a bell."""
    return ''.join(letter if letter.isprintable() else '·' for letter in words)


def _told(verdict):
    """The arguments that are no arrays; those are drawn."""
    plain = [f'{name} = {value}' for name, value in verdict.case.items() if not _is_array(value)]
    return f'The smallest case that fails: {", ".join(plain)}'


def _is_array(value):
    return hasattr(value, 'dtype')


def _inputs(verdict):
    for name, value in verdict.case.items():
        if _is_array(value):
            if hasattr(value, 'get'):
                name, value = f'{name}, which is not of NumPy, ', value.get()
            yield from islice(_planes(name, value), PLANES)


def _answers(verdict):
    if verdict.mine is None or verdict.mine.ndim == verdict.answer.ndim == 0:   # it is said
        return
    for whose, array, mark in (('your', verdict.mine, 'wrong'),
                               ('right', verdict.answer, 'should')):
        for title, plane, at in islice(_planes(verdict.part, array, verdict.at), PLANES):
            yield f'{whose} {title}', plane, at, mark


def _planes(name, array, at=None):
    """-> title, plane, marked cell; of an array that is marked the one plane where the mark is"""
    shape = ' × '.join(map(str, array.shape))
    part = ', a part' * (max(array.shape[-2:], default=0) > MOST)
    array = array.reshape((1,) * (2 - array.ndim) + array.shape)
    at = at if at is None else (0,) * (array.ndim - len(at)) + tuple(at)
    for index in [at[:-2]] if at else np.ndindex(array.shape[:-2]):
        where = f'[{", ".join(map(str, index))}]' * bool(index)
        of = f' of {shape}' if index else f'  {shape}'
        yield f'{name}{where}{of}{part}', array[index], at and at[-2:]


def _excerpt(n, at):
    """As many of n rows or columns as have room, this one among them."""
    first = max(0, min(at - MOST // 2, n - MOST))
    return range(first, min(n, first + MOST))


def _row(tables):
    return f'<div class="tables">{"".join(_table(*table) for table in tables)}</div>'


def _table(title, plane, at=None, mark=''):
    rows, columns = (_excerpt(n, i) for n, i in zip(plane.shape, at or (0, 0)))
    head = ''.join(f'<th>{j}</th>' for j in columns)
    body = ''.join(f'<tr><th>{i}</th>{"".join(_cell(plane, i, j, at, mark) for j in columns)}</tr>'
                   for i in rows)
    return (f'<figure><figcaption>{escape(title)}</figcaption>'
            f'<table><tr><th></th>{head}</tr>{body}</table></figure>')


def _cell(plane, i, j, at, mark):
    marked = f' class="{mark}"' if at == (i, j) else ''
    return f'<td{marked}>{escape(short(plane[i, j]))}</td>'


def _typed(title, plane, at=None, mark=''):
    rows, columns = (_excerpt(n, i) for n, i in zip(plane.shape, at or (0, 0)))
    cells = [[f'[{short(plane[i, j])}]' if at == (i, j) else f' {short(plane[i, j])} '
              for j in columns] for i in rows]
    wide = max((len(cell) for line in cells for cell in line), default=1)
    return '\n'.join(['', title, *(' '.join(cell.rjust(wide) for cell in line) for line in cells)])
