"""Source code as a lesson shows it: the readable body, without what decorates it."""
import re
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest

from tinyfcn import Net, models, ops, optim
from tinyfcn.net.alignment import Alignment
from tinyfcn.viz import show_source


def shown(source):
    """The code that a notebook shows, without its colours."""
    page = ElementTree.fromstring(source._repr_html_())
    return ''.join(page.find('pre').itertext())


@pytest.mark.parametrize('function, first, last', [
    (ops.im2col, 'def im2col(x, ksize, stride=1, pad=0, dilation=1):',
     '    return cols.reshape(n, c * kh * kw, oh * ow), (x.shape, *geometry)'),
    (ops.add, 'def add(*xs):', '    return sum(xs[1:], xs[0]), (len(xs), xs[0].shape)'),
    (ops.im2col.backward, 'def im2col_backward(dy, cache):',
     '    return col2im(dy, *cache)[:1]'),
    (models.fcn.fcn32s, 'def fcn32s(n, n_class=21, width=1, up=upsample):',
     '    stride32(n, n_class, up)'),
    (Alignment.__eq__, 'def __eq__(self, other):',
     '    return (self.scale, self.shift) == (other.scale, other.shift)'),
    (Alignment().__str__, 'def __str__(self):',
     "    return f'image = {y}' if y == x else f'image = ({y}, {x})'"),
    (optim.SGD, 'class SGD(Optimizer):', '                       float(scale))'),
    (optim.sgd_update, 'def sgd_update(w: Array, g: Array, v: Array, ', '    w -= v'),
    (Net.walk, 'def walk(', None),
])
def test_the_body_from_its_first_line_to_its_last(function, first, last):
    source = show_source(function)
    lines = source.code.splitlines()
    assert lines[0].startswith(first) and last in (None, lines[-1])
    assert not any(line.startswith('@') for line in lines)
    assert shown(source) == source.code


@pytest.mark.parametrize('name', ops.__all__)
def test_every_op_shows_what_it_computes(name):
    op = getattr(ops, name)
    assert show_source(op).code.startswith(f'def {name}(')
    assert shown(show_source(op)) == show_source(op).code
    if hasattr(op, 'backward'):
        both = show_source(op, backward=True).code
        assert both.startswith(show_source(op).code + f'\n\n\ndef {name}_backward(')
        assert '\n@' not in both
        compile(both, name, 'exec')


def test_a_method_is_shown_from_the_margin_on():
    code = show_source(Alignment.window).code
    assert code == dedent(code) and code.startswith('def window(self')
    compile(code, 'window', 'exec')


def test_where_it_stands_is_told():
    source = show_source(ops.conv2d)
    file, line = re.fullmatch(r'(\S+), line (\d+)', source.where).groups()
    assert file == 'tinyfcn/ops/conv.py'
    path = Path(ops.__file__).parent / 'conv.py'
    assert path.read_text('utf-8').splitlines()[int(line) - 1].startswith('def conv2d(')
    assert repr(source) == f'# {source.where}\n{source.code}'


def test_words_strings_and_comments_have_their_colours():
    page = show_source(less)._repr_html_()
    for kind, text in [('keyword', 'return'), ('def', 'less'), ('string', '&#x27;&lt;b&gt;bold'),
                       ('comment', '# &amp; so on'), ('number', '5')]:
        assert re.search(f'<span style="color: [^"]*-{kind}-color[^"]*">{re.escape(text)}', page)


def less(a, b):
    """a < b & '<b>'"""
    return a < b, '<b>bold</b>', f'<i>{a}</i>', 5       # & so on


def test_code_is_escaped_and_fetches_nothing():
    page = show_source(less)._repr_html_()
    assert shown(show_source(less)) == show_source(less).code
    assert '<b>' not in page and '<i>' not in page and '&lt;b&gt;' in page
    assert not re.search(r'https?:|url\(|@import|<script|<link|\bsrc|\bhref', page)


@pytest.mark.parametrize('function, name', [(len, 'len'), (5, 'int'), (print, 'print')])
def test_what_has_no_source_is_refused(function, name):
    with pytest.raises(ValueError, match=f'^{name} has no source in Python to show; take a'):
        show_source(function)


def test_what_has_no_backward_is_refused():
    with pytest.raises(ValueError, match='^conv_matrix has no backward; only an op has one'):
        show_source(ops.conv_matrix, backward=True)
