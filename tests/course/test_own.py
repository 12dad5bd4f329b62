"""The reader's own functions in an op and in a training: the same numbers as the library's."""
import time

import numpy as np
import pytest
import test_exercises

from tinyfcn import ops
from tinyfcn.course.own import PARTS, check_functions, read_functions, train, unused_functions
from tinyfcn.course.own.parts import functions_of, own_op
from tinyfcn.course.own.stopwatch import Stopwatch

X = np.random.default_rng(0).standard_normal((2, 3, 7, 6))
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3))
# an op, its arguments, and the exercises that are put into it
OPS = [
    (ops.conv2d, (X, W), dict(stride=2, pad=1, dilation=1, groups=1), names)
    for names in ('conv2d', 'im2col', 'conv2d_backward', 'im2col col2im', 'col2im')
] + [
    (ops.max_pool, (X,), dict(ksize=3, stride=2), 'max_pool'),
    (ops.max_pool, (X,), dict(ksize=2), 'max_pool unpool'),
    (ops.upsample, (X,), dict(factor=2), 'conv_transpose2d'),
    (ops.upsample, (X,), dict(factor=4), 'bilinear'),
    (ops.upsample, (X,), dict(factor=2), 'conv_transpose2d bilinear'),
]


def solutions(names):
    """The solutions of the tests, which do not use the library; and the list of their calls."""
    calls = []

    def counted(name):
        def function(*args):
            calls.append(name)
            return test_exercises.SOLUTIONS[name](*args)
        return function
    return {name: counted(name) for name in names.split()}, calls


@pytest.mark.parametrize('op, args, kwargs, names', OPS,
                         ids=[f'{op.__name__} by {names}' for op, *_, names in OPS])
def test_an_op_calls_the_functions_and_agrees_with_the_library(op, args, kwargs, names):
    functions, calls = solutions(names)
    own = own_op(op, functions, Stopwatch())
    y, cache = own(*args, **kwargs)
    expected, library_cache = op(*args, **kwargs)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
    dy = np.random.default_rng(2).standard_normal(y.shape)
    for g, correct in zip(own.backward(dy, cache), op.backward(dy, library_cache)):
        assert (g is None) == (correct is None)
        if g is not None:
            np.testing.assert_allclose(g, correct, rtol=0, atol=1e-12)
    assert {*calls} == {*names.split()}


def test_what_an_op_returns_has_the_dtype_and_the_shape_of_the_librarys():
    own = own_op(ops.max_pool, {'max_pool': lambda x, *_: ops.max_pool(x, 2)[0].tolist()},
                 Stopwatch())
    assert own(X.astype('float32'), 2)[0].dtype == 'float32'
    with pytest.raises(ValueError, match=r'returns .* \(2, 3, 4, 3\), where \(2, 3, 2, 2\)'):
        own(X, 4)


def test_a_training_with_own_functions_is_that_of_the_library():
    functions = {name: test_exercises.SOLUTIONS[name]
                 for name in ('preprocess', 'im2col', 'bilinear', 'sgd')}
    mine = train(functions, steps=2)
    library = train({}, steps=2)
    np.testing.assert_allclose(mine.losses, library.losses, rtol=1e-5)
    for name, w in library.net.params.items():
        np.testing.assert_allclose(mine.net.params[name], w, rtol=0, atol=1e-5, err_msg=name)
    # the same function with a mistake trains another net
    wrong = train({'bilinear': lambda factor: test_exercises.bilinear(factor)[::-1] * .9}, steps=2)
    assert abs(wrong.losses[1] - library.losses[1]) > 1e-3


def test_the_time_of_a_function_is_counted():
    def slow(image):
        time.sleep(.002)
        return test_exercises.SOLUTIONS['preprocess'](image)

    assert train({'preprocess': slow}, steps=1).seconds['preprocess'] >= 4 * .002


def test_of_two_ways_the_whole_op_is_used():
    everything = dict.fromkeys(test_exercises.SOLUTIONS)
    assert functions_of('conv2d', everything) == ['conv2d']
    assert functions_of('conv2d_backward', {'im2col': None, 'col2im': None}) == ['im2col', 'col2im']
    own = {name: None for names in PARTS.values() for name in names}
    assert unused_functions(own) == ['im2col', 'col2im']
    assert unused_functions({'conv2d': None, 'im2col': None}) == []      # for dw


# ---- The file that they are in

def test_functions_have_the_names_of_the_lessons_or_of_the_exercises(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text('from tinyfcn.ops import conv2d\n\n\ndef max_pool(x):\n    return 1\n\n\n'
                    'def max_pool_mine(x):\n    return 2\n\n\ndef sgd(x):\n    return 3\n\n\n'
                    'bilinear = 5\n')
    functions = read_functions(file)
    assert [(name, function(0)) for name, function in functions.items()] == [
        ('max_pool', 2), ('sgd', 3)]


@pytest.mark.parametrize('text, message', [
    ('x = 1\ny = = 2\n', 'mine.py, line 2: invalid syntax'),
    ('x = 1\n\nx.y\n', "mine.py, line 3: AttributeError: 'int' object has no attribute 'y'"),
    ('def relu(x):\n    return x\n', 'mine.py: defines none of the functions that can train'),
])
def test_a_file_that_cannot_be_used(text, message, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_functions(file)


def test_only_correct_functions_train():
    def unwritten(*_):
        raise NotImplementedError

    sgd = test_exercises.sgd
    assert check_functions({'sgd': sgd, 'conv2d': unwritten}) == {'sgd': sgd}
    with pytest.raises(ValueError, match='none of conv2d is written yet'):
        check_functions({'conv2d': unwritten})
    with pytest.raises(ValueError, match='(?s)sgd is not correct yet.*momentum is not used'):
        check_functions({'sgd': lambda w, g, v, lr, momentum, decay: sgd(w, g, v, lr, 0, decay)})
