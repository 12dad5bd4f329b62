"""The exercises of the course: right answers are right, known mistakes get the hint meant for them.

SOLUTIONS are the definitions as plain loops or plain NumPy; none of them uses the library.
"""
import re
import sys
from fractions import Fraction
from itertools import combinations
from math import exp
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
import reference_loops
from numpy.lib.stride_tricks import sliding_window_view

from tinyfcn.course.exercises import Result, check
from tinyfcn.course.exercises.array_backend import DEVICE_MODULE, DeviceArray
from tinyfcn.course.exercises.checker import EXERCISES
from tinyfcn.course.exercises.compare import run_case, same_outcome
from tinyfcn.runtime.backend import array_module


def confusion(label, pred, n_class):
    hist = np.zeros((n_class, n_class), int)
    for true, predicted in zip(label.ravel(), pred.ravel()):
        if true != 255:
            hist[true, predicted] += 1
    return hist


def mean_iu(hist):
    ious = []
    for i in range(len(hist)):
        union = hist[i].sum() + hist[:, i].sum() - hist[i, i]
        if union:
            ious.append(hist[i, i] / union)
    return sum(ious) / len(ious)


def im2col(x, ksize, stride, pad):
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, ksize, (2, 3))[:, :, ::stride, ::stride]
    n, c, oh, ow, kh, kw = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


def conv_matrix(w, size, stride, pad):
    pixels = np.eye(w.shape[1] * size[0] * size[1]).reshape(-1, w.shape[1], *size)
    return reference_loops.conv2d(pixels, w, None, stride, pad).reshape(len(pixels), -1).T


def conv2d_backward(dy, x, w, stride, pad):
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dpadded = np.zeros_like(padded)
    dw = np.zeros_like(w)
    kh, kw = w.shape[2:]
    for n, k, i, j in np.ndindex(dy.shape):
        rows = slice(stride * i, stride * i + kh)
        columns = slice(stride * j, stride * j + kw)
        dpadded[n, :, rows, columns] += w[k] * dy[n, k, i, j]
        dw[k] += padded[n, :, rows, columns] * dy[n, k, i, j]
    high, wide = x.shape[2:]
    return dpadded[:, :, pad:pad + high, pad:pad + wide], dw, dy.sum((0, 2, 3))


def bilinear(factor):
    kernel = [1 - abs(i - factor + .5) / factor for i in range(2 * factor)]
    return np.array([[a * b for a in kernel] for b in kernel])


def alignment(layers):
    field = 1
    stride = 1
    shift = Fraction(0)
    for k, s, p in layers:
        field += (k - 1) * stride
        shift += (Fraction(k - 1, 2) - p) * stride
        stride *= s
    return field, stride, shift


def crop(fine, coarse):
    return (coarse[2] - fine[2]) / fine[1]


def crops(pad):
    """The three crops of FCN-8s, by the sums of lesson 10."""
    pool3 = 1 - pad + Fraction(1 + 2 + 4, 2)
    pool4 = pool3 + Fraction(8, 2)
    score = pool4 + Fraction(16, 2) + 3 * 32
    shift_16 = score - 16 * Fraction(3, 2)
    shift_8 = shift_16 - 8 * Fraction(3, 2)
    return (shift_16 - pool4) / 16, (shift_8 - pool3) / 8, Fraction(15, 2) - shift_8


def backpropagate(F, dscore):
    d = np.zeros(len(F))
    d[-1] = dscore
    for i in range(len(F) - 1, 0, -1):
        for j in range(i):
            d[j] += F[i, j] * d[i]
    return d


def to_conv(w, channels, size):
    filters = np.zeros((len(w), channels, *size))
    for k, c, i, j in np.ndindex(filters.shape):
        filters[k, c, i, j] = w[k, (c * size[0] + i) * size[1] + j]
    return filters


def fuse(coarse, skip, offset):
    up = reference_loops.upsample(coarse, 2, 4)
    top, left = offset if isinstance(offset, tuple) else (offset, offset)
    return up + skip[:, :, top:top + up.shape[2], left:left + up.shape[3]]


def softmax_cross_entropy(score, label):
    dscore = np.zeros(score.shape)
    for n, i, j in np.ndindex(label.shape):
        if label[n, i, j] != 255:
            e = [exp(s - score[n, :, i, j].max()) for s in score[n, :, i, j]]
            dscore[n, :, i, j] = np.array(e) / sum(e)
            dscore[n, label[n, i, j], i, j] -= 1
    return reference_loops.softmax_cross_entropy(score, label), dscore


def preprocess(image):
    x = np.zeros((3, *image.shape[:2]), 'float32')
    for channel, mean in enumerate((104, 117, 123)):
        x[channel] = image[:, :, 2 - channel]
        x[channel] -= mean
    return x


def sgd(w, g, v, lr, momentum, decay):
    v = momentum * v + lr * (g + decay * w)
    return w - v, v


def standardize(x):
    xp = array_module(x)
    return (x - xp.mean(x)) / xp.std(x)


def dilate_kernel(w, dilation):
    size = [(k - 1) * dilation + 1 for k in w.shape[2:]]
    dilated = np.zeros((*w.shape[:2], *size))
    dilated[:, :, ::dilation, ::dilation] = w
    return dilated


def stride_to_dilation(strides, output_stride):
    kept = []
    dilations = []
    for i, stride in enumerate(strides):
        dilations.append(np.prod(strides[:i]) // np.prod(kept, dtype=int))
        kept.append(stride if np.prod(kept) * stride <= output_stride else 1)
    return np.array(kept), np.array(dilations)


def bilateral_kernel(image, alpha, beta):
    pixels = [*np.ndindex(image.shape[:2])]
    k = np.empty((len(pixels), len(pixels)))
    for a, b in np.ndindex(k.shape):
        i, j = pixels[a]
        y, x = pixels[b]
        place = (i - y) ** 2 + (j - x) ** 2
        colour = sum((float(u) - float(v)) ** 2 for u, v in zip(image[i, j], image[y, x]))
        k[a, b] = exp(-place / 2 / alpha ** 2 - colour / 2 / beta ** 2)
    return k / np.sqrt(np.outer(k.sum(1), k.sum(1)))


def mean_field(prob, image, settings, iterations):
    appearance = bilateral_kernel(image, settings['alpha'], settings['beta'])
    smoothness = bilateral_kernel(0 * image, settings['gamma'], 1.)
    k = settings['w1'] * appearance + settings['w2'] * smoothness
    p = prob.reshape(len(prob), -1)
    q = p
    for _ in range(iterations):
        q = p * np.exp(q @ k)
        q /= q.sum(0)
    return q.reshape(prob.shape)


def concat_skip(up, skip):
    top, left = ((n - m) // 2 for n, m in zip(skip.shape[2:], up.shape[2:]))
    h, w = up.shape[2:]
    return np.concatenate([up, skip[:, :, top:top + h, left:left + w]], 1)


def pyramid_pool(x, bins):
    h, w = x.shape[2:]
    y = np.empty((*x.shape[:2], bins, bins))
    for i, j in np.ndindex(bins, bins):
        rows = slice(i * h // bins, -(-(i + 1) * h // bins))
        y[:, :, i, j] = x[:, :, rows, j * w // bins:-(-(j + 1) * w // bins)].mean((2, 3))
    return y


def conv_transpose2d(x, w, stride, pad):
    return reference_loops.conv_transpose2d(x, w, None, stride, pad)


SOLUTIONS = dict(
    confusion=confusion, mean_iu=mean_iu, conv2d=reference_loops.conv2d, im2col=im2col,
    conv_matrix=conv_matrix, col2im=reference_loops.col2im, conv2d_backward=conv2d_backward,
    backpropagate=backpropagate, max_pool=reference_loops.max_pool, unpool=reference_loops.unpool,
    conv_transpose2d=conv_transpose2d, bilinear=bilinear, alignment=alignment, crop=crop,
    crops=crops,
    to_conv=to_conv, fuse=fuse, softmax_cross_entropy=softmax_cross_entropy,
    preprocess=preprocess, sgd=sgd, standardize=standardize, dilate_kernel=dilate_kernel,
    stride_to_dilation=stride_to_dilation, bilateral_kernel=bilateral_kernel,
    mean_field=mean_field, concat_skip=concat_skip, pyramid_pool=pyramid_pool)
MISTAKES = {f'{name}-{i}': (name, hint, mistake) for name, exercise in EXERCISES.items()
         for i, (hint, mistake) in enumerate(exercise.mistakes.items())}


def test_every_exercise_has_a_solution_and_three_known_mistakes():
    assert set(SOLUTIONS) == set(EXERCISES)
    assert all(len(exercise.mistakes) >= 3 for exercise in EXERCISES.values())


@pytest.mark.parametrize('name', SOLUTIONS)
def test_the_solution_is_correct(name):
    result = check(name, SOLUTIONS[name])
    assert result.correct, result
    assert repr(result) == f'{name}: {result.message}' and 'Well done' in repr(result)
    assert result.hint == ''


@pytest.mark.parametrize('name, hint, mistake', MISTAKES.values(), ids=MISTAKES)
def test_a_known_mistake_gets_its_hint(name, hint, mistake):
    result = check(name, mistake)
    assert not result.correct and result.hint == hint, result
    assert hint in repr(result)


@pytest.mark.parametrize('name', EXERCISES)
def test_no_two_mistakes_are_the_same(name):
    exercise = EXERCISES[name]
    functions = exercise.solution, *exercise.mistakes.values()
    outcomes = [[run_case(exercise, function, args) for args in exercise.cases]
                for function in functions]
    assert not any(isinstance(outcome, BaseException) for outcome in outcomes[0])
    for one, other in combinations(outcomes, 2):
        assert not all(map(same_outcome, one, other))


@pytest.mark.parametrize('name', EXERCISES)
def test_the_first_case_is_small(name):
    """A reader should be able to work it out by hand: it is among the smallest."""
    sizes = [sum(np.size(arg.get() if isinstance(arg, DeviceArray) else arg) for arg in args)
             for args in EXERCISES[name].cases]
    assert sizes[0] <= min(2 * min(sizes), 32)


# ---- Stubs

def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize('mine', [stub, lambda *_: None, lambda *_: ..., None, ...])
def test_a_stub_is_not_written_yet(mine):
    for name in EXERCISES:
        result = check(name, mine)
        assert not result.correct and repr(result).startswith(f'{name}: not yet')
        assert 'class="tinyfcn-result unwritten"' in result._repr_html_()


# ---- Messages

def test_the_smallest_case_that_fails_is_shown():
    def mine(x, ksize, stride, pad):
        cols = im2col(x, ksize, stride, pad)
        return cols + (stride == 2) * (np.arange(cols.shape[2]) == 3)

    result = check('im2col', mine)
    assert result.case['x'].shape == (1, 1, 4, 5) and result.case['stride'] == 2
    assert result.wrong_index == (0, 0, 3) and result.output == 'cols'
    assert result.hint == ''            # no known mistake explains the case that fails
    a = result.mine[0, 0, 3]
    b = result.expected[0, 0, 3]
    assert a == b + 1
    assert result.message == (f'cols[0, 0, 3] is {a:g}, and should be {b:g}; '
                              f'4 of 16 numbers are wrong')
    assert 'stride = 2, pad = 0' in repr(result) and f'[{a:g}]' in repr(result)
    page = result._repr_html_()
    assert page.count('class="wrong"') == page.count('class="expected"') == 1
    assert f'<td class="wrong">{a:g}</td>' in page and f'<td class="expected">{b:g}</td>' in page


@pytest.mark.parametrize('name, mine, message', [
    ('im2col', lambda x, ksize, stride, pad: im2col(x, ksize, stride, pad)[:, :, :1],
     'cols has shape (1, 4, 1), and should have (1, 4, 4)'),
    ('im2col', lambda *case: im2col(*case).astype(int), 'cols is int64, and should be float64'),
    ('im2col', lambda *case: im2col(*case).tolist(),
     'cols is a list, and should be a number or a NumPy array'),
    ('im2col', lambda *case: (im2col(*case), None),
     'your function returns a tuple of 2, and should return cols alone'),
    ('sgd', lambda w, *_: w, 'your function returns a NumPy array, and should return w, v'),
    ('sgd', lambda *case: (*sgd(*case), 0),
     'your function returns a tuple of 3, and should return w, v'),
    ('mean_iu', lambda hist: np.nan, 'mean_iu is nan, and should be'),
    ('bilinear', lambda factor: bilinear(factor) + np.float64(2e-6) * factor,
     'w[0, 0] is 0.062504, and should be 0.0625;'),
    ('im2col', lambda x, *args: 1 / 0, 'ZeroDivisionError: division by zero, in the line `'),
    ('im2col', lambda x: x, 'your function takes other arguments'),
    ('im2col', im2col(np.ones((1, 1, 2, 2)), (1, 1), 1, 0),
     'a function is needed, and this is a NumPy array'),
    ('standardize', lambda x: x.get() if isinstance(x, DeviceArray) else standardize(x),
     'y is a NumPy array, and x is an array of another module'),
])
def test_the_message_says_what_is_wrong(name, mine, message):
    assert check(name, mine).message.startswith(message)


def test_an_unknown_name_suggests_the_nearest():
    assert check('im2cool', im2col).hint.startswith('Did you mean im2col')
    assert 'softmax_cross_entropy' in check('?', im2col).hint
    assert not check(5, im2col).correct


def test_the_hint_names_the_arguments():
    assert check('im2col', lambda x: x).hint == 'It is called with x, ksize, stride, pad.'


def test_counts_may_be_floats():
    assert check('confusion', lambda *case: confusion(*case).astype(float)).correct
    assert check('alignment', lambda layers: [*map(float, alignment(layers))]).correct


def test_a_function_that_writes_into_its_arguments_is_not_correct():
    def overwriting(w, g, v, *args):
        answer = sgd(w, g, v, *args)
        for array in w, g, v:
            array[...] = np.nan
        return answer

    def in_place(w, g, v, lr, momentum, decay):
        v *= momentum
        v += lr * (g + decay * w)
        return w - v, v

    for mine, changed in (overwriting, 'w'), (in_place, 'v'):
        result = check('sgd', mine)
        assert not result.correct and f'your function changes {changed},' in result.message
        assert f'{changed} = {changed}.copy()' in result.hint
    assert check('sgd', sgd).correct                    # the cases are as they were


def test_a_result_can_be_overwritten():
    """A reader may run im2col_mine(**result.case), which may write into the case."""
    result = check('im2col', lambda *case: im2col(*case) + 1)
    assert result.wrong_index == (0, 0, 0)
    result.case['x'][...] = np.nan
    result.expected[...] = np.nan
    assert check('im2col', im2col).correct


def test_returned_arrays_are_copied():
    buffers = {}

    def reusing_memory(w, g, v, *args):
        w, v = sgd(w, g, v, *args)
        buffer = buffers.setdefault(w.shape, np.empty_like(w))
        buffer[...] = w
        return buffer, v

    assert check('sgd', reusing_memory).correct


def test_of_two_mistakes_the_hint_explains_the_case_shown():
    def mine(x, w, b, stride, pad):
        y = reference_loops.conv2d(x, w[..., ::-1, ::-1], b, stride, pad)
        return y + (stride == 2)

    assert 'flipped' in check('conv2d', mine).hint


# ---- Arrays that are not in the memory of NumPy

@pytest.mark.parametrize('function', [np.mean, np.std, np.sqrt, np.asarray, np.array, np.sum,
                                   lambda x: np.ones(4) * x, lambda x: x + np.ones(4),
                                   lambda x: np.add(x, 1), lambda x: np.concatenate([x, x])])
def test_numpy_refuses_a_device_array(function):
    with pytest.raises(TypeError):
        function(DeviceArray(np.arange(4.)))


@pytest.mark.parametrize('mine', [
    standardize,
    lambda x: (x - x.mean()) / x.std(),
    lambda x: (x - x.__array_namespace__().mean(x)) / x.__array_namespace__().std(x),
    lambda x: (x - float(x.mean())) / float(x.std()),
    lambda x: (x - x.sum() / x.size) / array_module(x).sqrt(((x - x.mean()) ** 2).mean()),
    lambda x: array_module(x).asarray((x - x.mean()) / x.std(), dtype='float64'),
])
def test_several_solutions_work_for_any_array(mine):
    assert check('standardize', mine).correct


@pytest.mark.parametrize('installed', [None, ModuleType('cupy')])
def test_the_device_module_is_registered_during_the_call_only(monkeypatch, installed):
    monkeypatch.delitem(sys.modules, 'cupy', raising=False)
    if installed:
        monkeypatch.setitem(sys.modules, 'cupy', installed)
    modules = []
    check('standardize', lambda x: modules.append(array_module(x)) or standardize(x))
    check('standardize', lambda x: 1 / 0)
    assert modules == [np, DEVICE_MODULE, np, DEVICE_MODULE]
    assert sys.modules.get('cupy') is installed


# ---- Nonsense

class Broken:
    """An object whose every attribute and method raises."""
    def __getattribute__(self, name):
        raise RuntimeError('<broken>')

    def __repr__(self):
        raise RuntimeError('<broken>')

    __len__ = __eq__ = __bool__ = __array__ = __iter__ = __repr__
    __hash__ = None


class BrokenStr(Exception):
    def __str__(self):
        raise ValueError


class Stop(BaseException):
    pass


class BrokenSignature:
    __signature__ = 'none'

    def __call__(self, *_):
        return self


def raising(error):
    def mine(*_):
        raise error
    return mine


def endless_recursion(*args):
    return endless_recursion(*args)


def generator(*_):
    yield 1


def object_array(value):
    array = np.empty(1, object)
    array[0] = value
    return array


def returning(value):
    return lambda *_: value


NONSENSE = [
    *map(returning, [
        [], (), {}, 'text', b'', {1}, 7e300, float('inf'), float('nan'), 10 ** 400, 3j, True,
        Fraction(10 ** 400), np.array(3j), np.array([None]), np.array(['<b>']), np.zeros((0, 3)),
        np.zeros((1,) * 9), np.full((1, 4, 4), np.nan), np.ones((1, 4, 4), 'float16'),
        np.ones(3, 'datetime64[s]'), np.zeros(2, [('a', 'i4')]), np.array(True),
        np.ma.masked, np.ma.ones(3), np.bool_(True), np.int8(3), object(), Broken(), Broken,
        [Broken()] * 3, (np.ones(2), 'b', 3j), object_array(Broken()), print, DeviceArray([1]),
        DeviceArray(np.array(['a'])), (1, 2, [3])]),
    *map(raising, [ValueError('<script>alert(1)</script>'), KeyError(), SystemExit(3), Stop(),
                   StopIteration(), BrokenStr(), GeneratorExit(), MemoryError('\x00\ud800')]),
    endless_recursion, generator, returning, len, np.add, int, dict, type('<i>', (), {}),
    lambda: 1, BrokenSignature(), lambda *, x: 1, 5, 'text', [1], np.ones(3), Broken(), Broken,
]


# by number, for pytest would ask a Broken for its name
@pytest.mark.parametrize('number', range(len(NONSENSE)))
def test_nonsense_is_incorrect_and_raises_nothing(number):
    for name in EXERCISES:
        result = check(name, NONSENSE[number])
        assert isinstance(result, Result) and not result.correct
        assert result.message and repr(result).startswith(f'{name}: ')
        parse_page(result._repr_html_())


def test_only_a_keyboard_interrupt_stops_a_check():
    with pytest.raises(KeyboardInterrupt):
        check('im2col', raising(KeyboardInterrupt))


# ---- HTML

def parse_page(page):
    """Well-formed, only harmless tags, nothing loaded from the network.   -> the root element"""
    root = ElementTree.fromstring(page)
    assert {element.tag for element in root.iter()} <= {
        'div', 'style', 'p', 'b', 'figure', 'figcaption', 'table', 'tr', 'th', 'td'}
    assert {key for element in root.iter() for key in element.keys()} <= {'class'}
    assert not re.search(r'https?:|url\(|@import|<script|<link|\bsrc|\bhref', page)
    page.encode('utf-8')
    return root


@pytest.mark.parametrize('name, hint, mistake', MISTAKES.values(), ids=MISTAKES)
def test_the_page_of_a_mistake(name, hint, mistake):
    page = check(name, mistake)._repr_html_()
    root = parse_page(page)
    assert hint in [''.join(element.itertext()) for element in root.iter('p')]
    assert len(page) < 20_000           # a whole lesson may have 100 kB


def test_returned_values_are_escaped():
    kind = type('<img src=x>', (), {})
    for mine in returning(kind()), raising(type('<img src=x>', (Exception,), {})('<img src=x>')):
        page = check('im2col', mine)._repr_html_()
        assert '&lt;img src=x&gt;' in page and '<img' not in page
    assert '<b>x' not in check('<b>x', stub)._repr_html_()


def test_large_arrays_are_shown_around_the_first_wrong_number():
    def mine(label, pred, n_class):
        hist = confusion(label, pred, n_class)
        if n_class == 21:
            hist[18, 17] += 1
        return hist

    result = check('confusion', mine)
    assert result.wrong_index == (18, 17)
    root = parse_page(result._repr_html_())
    answers = [figure for figure in root.iter('figure')
               if 'hist' in figure.find('figcaption').text]
    for figure in answers:
        assert [head.text for head in figure.find('table').iter('th')][1:11] == [
            str(j) for j in range(11, 21)]
    assert len(answers) == 2
