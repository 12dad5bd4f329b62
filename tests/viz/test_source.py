"""Source code as a lesson shows it: the definition, without decorators."""
import ast
import inspect
import re
from pathlib import Path
from textwrap import dedent

import pytest

from tinyfcn import Net, models, ops, optim
from tinyfcn.net.alignment import Alignment
from tinyfcn.viz import show_source
from tinyfcn.viz.source import Source


def text_of(source):
    """The code in the Markdown that a notebook shows: all between two equal fences."""
    where, text = source._repr_markdown_().split('\n\n', 1)
    assert where == f'*{source.where}*'
    return re.fullmatch('(`{3,})python\n(.*)\n\\1', text, re.S)[2]


def definition_in_its_file(function):
    """The lines from `def` or `class` to the last one, found by name in the parsed file."""
    function = inspect.unwrap(getattr(function, '__func__', function))
    file = Path(inspect.getsourcefile(function)).read_text('utf-8')
    node = ast.parse(file)
    for name in function.__qualname__.split('.'):
        node = next(child for child in node.body if getattr(child, 'name', None) == name)
    return dedent('\n'.join(file.splitlines()[node.lineno - 1:node.end_lineno]))


@pytest.mark.parametrize('function, first', [
    (ops.im2col, 'def im2col('),
    (ops.add, 'def add('),
    (ops.im2col.backward, 'def im2col_backward('),
    (models.fcn.fcn32s, 'def fcn32s('),
    (Alignment.__eq__, 'def __eq__('),
    (Alignment().__str__, 'def __str__('),
    (optim.SGD, 'class SGD('),
    (optim.sgd_update, 'def sgd_update('),
    (Net.walk, 'def walk('),
])
def test_the_code_from_its_first_line_to_its_last(function, first):
    source = show_source(function)
    assert source.code.startswith(first)
    assert source.code == definition_in_its_file(function)
    assert not any(line.startswith('@') for line in source.code.splitlines())
    assert text_of(source) == source.code


@pytest.mark.parametrize('name', ops.__all__)
def test_every_op_shows_what_it_computes(name):
    op = getattr(ops, name)
    assert show_source(op).code.startswith(f'def {name}(')
    assert text_of(show_source(op)) == show_source(op).code
    if hasattr(op, 'backward'):
        both = show_source(op, backward=True).code
        assert both.startswith(show_source(op).code + f'\n\n\ndef {name}_backward(')
        assert '\n@' not in both
        compile(both, name, 'exec')


def test_a_method_is_shown_without_indentation():
    code = show_source(Alignment.window).code
    assert code == dedent(code) and code.startswith('def window(self')
    compile(code, 'window', 'exec')


def test_file_and_line_are_shown():
    source = show_source(ops.conv2d)
    file, line = re.fullmatch(r'(\S+), line (\d+)', source.where).groups()
    assert file == 'tinyfcn/ops/conv.py'
    path = Path(ops.__file__).parent / 'conv.py'
    assert path.read_text('utf-8').splitlines()[int(line) - 1].startswith('def conv2d(')
    assert repr(source) == f'# {source.where}\n{source.code}'


def fenced(text):
    """
    ```
    ````
    """
    return f'```{text}'


def test_a_fence_in_the_code_does_not_end_it():
    source = show_source(fenced)
    assert source._repr_markdown_().endswith('\n`````')
    assert text_of(source) == source.code


def test_code_and_file_are_printable():
    shown = Source('a\x1b[2J.py', "x = '\u202e\x07'  # \x85\n\ty = 1")
    for text in repr(shown), shown._repr_markdown_():
        assert text.replace('\n', '').replace('\t', '').isprintable()
    assert r"x = '\u202e\x07'" in repr(shown)


@pytest.mark.parametrize('function, name', [(len, 'len'), (5, 'int'), (print, 'print')])
def test_a_function_without_python_source_is_refused(function, name):
    with pytest.raises(ValueError, match=f'^{name} has no source in Python to show; take a'):
        show_source(function)


def test_a_function_without_backward_is_refused():
    with pytest.raises(ValueError, match='^conv_matrix has no backward; only an op has one'):
        show_source(ops.conv_matrix, backward=True)
