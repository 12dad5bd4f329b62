"""The exercises of the course: right answers are right, known mistakes get the hint meant for them.

SOLUTIONS are the definitions in plain loops, or plain NumPy; nothing of them is the library's.
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

from tinyfcn.course.exercises import Verdict, check
from tinyfcn.course.exercises.array_backend import MODULE, Elsewhere
from tinyfcn.course.exercises.checker import EXERCISES
from tinyfcn.course.exercises.compare import agree, outcome
from tinyfcn.runtime.backend import array_module


def confusion(label, pred, n_class):
    hist = np.zeros((n_class, n_class), int)
    for truth, guess in zip(label.ravel(), pred.ravel()):
        if truth != 255:
            hist[truth, guess] += 1
    return hist


def mean_iu(hist):
    found = []
    for i in range(len(hist)):
        union = hist[i].sum() + hist[:, i].sum() - hist[i, i]
        if union:
            found.append(hist[i, i] / union)
    return sum(found) / len(found)


def im2col(x, ksize, stride, pad):
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, ksize, (2, 3))[:, :, ::stride, ::stride]
    n, c, oh, ow, kh, kw = windows.shape
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


def conv_matrix(w, size, stride, pad):
    pixels = np.eye(w.shape[1] * size[0] * size[1]).reshape(-1, w.shape[1], *size)
    return reference_loops.conv2d(pixels, w, None, stride, pad).reshape(len(pixels), -1).T


def conv2d_backward(dy, x, w, stride, pad):
    wide = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dwide, dw, (kh, kw) = np.zeros_like(wide), np.zeros_like(w), w.shape[2:]
    for n, k, i, j in np.ndindex(dy.shape):
        window = n, slice(None), slice(stride * i, stride * i + kh), slice(stride * j,
                                                                           stride * j + kw)
        dwide[window] += w[k] * dy[n, k, i, j]
        dw[k] += wide[window] * dy[n, k, i, j]
    h, wide = x.shape[2:]
    return dwide[:, :, pad:pad + h, pad:pad + wide], dw, dy.sum((0, 2, 3))


def bilinear(factor):
    tent = [1 - abs(i - factor + .5) / factor for i in range(2 * factor)]
    return np.array([[a * b for a in tent] for b in tent])


def place(layers):
    field, stride, shift = 1, 1, Fraction(0)
    for k, s, p in layers:
        field += (k - 1) * stride
        shift += (Fraction(k - 1, 2) - p) * stride
        stride *= s
    return field, stride, shift


def crop(fine, coarse):
    return (coarse[2] - fine[2]) / fine[1]


def to_conv(w, channels, size):
    filters = np.zeros((len(w), channels, *size))
    for k, c, i, j in np.ndindex(filters.shape):
        filters[k, c, i, j] = w[k, (c * size[0] + i) * size[1] + j]
    return filters


def fuse(coarse, skip, offset):
    up = reference_loops.upsample(coarse, 2, 4)
    return up + skip[:, :, offset:offset + up.shape[2], offset:offset + up.shape[3]]


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


def anywhere(x):
    xp = array_module(x)
    return (x - xp.mean(x)) / xp.std(x)


def with_holes(w, dilation):
    size = [(k - 1) * dilation + 1 for k in w.shape[2:]]
    wide = np.zeros((*w.shape[:2], *size))
    wide[:, :, ::dilation, ::dilation] = w
    return wide


def dense(strides, most):
    kept, holes = [], []
    for i, stride in enumerate(strides):
        holes.append(np.prod(strides[:i]) // np.prod(kept, dtype=int))
        kept.append(stride if np.prod(kept) * stride <= most else 1)
    return np.array(kept), np.array(holes)


def alike(image, alpha, beta):
    pixels = [*np.ndindex(image.shape[:2])]
    k = np.empty((len(pixels), len(pixels)))
    for a, b in np.ndindex(k.shape):
        (i, j), (y, x) = pixels[a], pixels[b]
        unlike = sum((float(u) - float(v)) ** 2 for u, v in zip(image[i, j], image[y, x]))
        k[a, b] = exp(-((i - y) ** 2 + (j - x) ** 2) / 2 / alpha ** 2 - unlike / 2 / beta ** 2)
    return k / np.sqrt(np.outer(k.sum(1), k.sum(1)))


def mean_field(prob, image, how, iterations):
    k = (how['w1'] * alike(image, how['alpha'], how['beta'])
         + how['w2'] * alike(0 * image, how['gamma'], 1.))
    p = q = prob.reshape(len(prob), -1)
    for _ in range(iterations):
        q = p * np.exp(q @ k)
        q /= q.sum(0)
    return q.reshape(prob.shape)


def join(up, skip):
    top, left = ((n - m) // 2 for n, m in zip(skip.shape[2:], up.shape[2:]))
    h, w = up.shape[2:]
    return np.concatenate([up, skip[:, :, top:top + h, left:left + w]], 1)


def pyramid(x, bins):
    h, w = x.shape[2:]
    y = np.empty((*x.shape[:2], bins, bins))
    for i, j in np.ndindex(bins, bins):
        rows = slice(i * h // bins, -(-(i + 1) * h // bins))
        y[:, :, i, j] = x[:, :, rows, j * w // bins:-(-(j + 1) * w // bins)].mean((2, 3))
    return y


SOLUTIONS = dict(
    confusion=confusion, mean_iu=mean_iu, conv2d=reference_loops.conv2d, im2col=im2col,
    conv_matrix=conv_matrix, col2im=reference_loops.col2im, conv2d_backward=conv2d_backward,
    max_pool=reference_loops.max_pool, unpool=reference_loops.unpool,
    conv_transpose2d=lambda x, w, stride, pad: reference_loops.conv_transpose2d(
        x, w, None, stride, pad),
    bilinear=bilinear, place=place, crop=crop, to_conv=to_conv, fuse=fuse,
    softmax_cross_entropy=softmax_cross_entropy, preprocess=preprocess, sgd=sgd, anywhere=anywhere,
    with_holes=with_holes, dense=dense, alike=alike, mean_field=mean_field, join=join,
    pyramid=pyramid)
SLIPS = {f'{name}-{i}': (name, hint, slip) for name, exercise in EXERCISES.items()
         for i, (hint, slip) in enumerate(exercise.slips.items())}


def test_every_exercise_has_a_solution_and_three_known_slips():
    assert set(SOLUTIONS) == set(EXERCISES)
    assert all(len(exercise.slips) >= 3 for exercise in EXERCISES.values())


@pytest.mark.parametrize('name', SOLUTIONS)
def test_the_solution_is_right(name):
    verdict = check(name, SOLUTIONS[name])
    assert verdict.right, verdict
    assert repr(verdict) == f'{name}: {verdict.said}' and 'Well done' in repr(verdict)
    assert verdict.hint == ''


@pytest.mark.parametrize('name, hint, slip', SLIPS.values(), ids=SLIPS)
def test_a_known_slip_gets_its_hint(name, hint, slip):
    verdict = check(name, slip)
    assert not verdict.right and verdict.hint == hint, verdict
    assert hint in repr(verdict)


@pytest.mark.parametrize('name', EXERCISES)
def test_no_two_slips_are_one(name):
    exercise = EXERCISES[name]
    found = [[outcome(exercise, f, args) for args in exercise.cases]
             for f in (exercise.right, *exercise.slips.values())]
    assert not any(isinstance(answer, BaseException) for answer in found[0])
    for one, other in combinations(found, 2):
        assert not all(map(agree, one, other))


@pytest.mark.parametrize('name', EXERCISES)
def test_cases_begin_small(name):
    """What is shown should fit into the head: the first case is among the smallest."""
    sizes = [sum(np.size(arg.get() if isinstance(arg, Elsewhere) else arg) for arg in args)
             for args in EXERCISES[name].cases]
    assert sizes[0] <= min(2 * min(sizes), 32)


# ---- Nobody has written it yet

def stub(*_):
    raise NotImplementedError


@pytest.mark.parametrize('mine', [stub, lambda *_: None, lambda *_: ..., None, ...])
def test_a_stub_is_not_yet(mine):
    for name in EXERCISES:
        verdict = check(name, mine)
        assert not verdict.right and repr(verdict).startswith(f'{name}: not yet')
        assert 'class="tinyfcn-verdict empty"' in verdict._repr_html_()


# ---- What is said

def test_the_smallest_case_that_fails_is_shown():
    def mine(x, ksize, stride, pad):
        cols = im2col(x, ksize, stride, pad)
        return cols + (stride == 2) * (np.arange(cols.shape[2]) == 3)

    verdict = check('im2col', mine)
    assert verdict.case['x'].shape == (1, 1, 4, 5) and verdict.case['stride'] == 2
    assert verdict.at == (0, 0, 3) and verdict.part == 'cols'
    assert verdict.hint == ''           # many a slip explains the cases that are right
    a, b = verdict.mine[0, 0, 3], verdict.answer[0, 0, 3]
    assert a == b + 1
    assert verdict.said == (f'cols[0, 0, 3] is {a:g}, and should be {b:g}; '
                            f'4 of 16 numbers are wrong')
    assert 'stride = 2, pad = 0' in repr(verdict) and f'[{a:g}]' in repr(verdict)
    page = verdict._repr_html_()
    assert page.count('class="wrong"') == page.count('class="should"') == 1
    assert f'<td class="wrong">{a:g}</td>' in page and f'<td class="should">{b:g}</td>' in page


@pytest.mark.parametrize('name, mine, said', [
    ('im2col', lambda x, ksize, stride, pad: im2col(x, ksize, stride, pad)[:, :, :1],
     'cols has shape (1, 4, 1), and should have (1, 4, 4)'),
    ('im2col', lambda *case: im2col(*case).astype(int), 'cols is int64, and should be float64'),
    ('im2col', lambda *case: im2col(*case).tolist(),
     'a list came back; cols is a number or a NumPy array'),
    ('im2col', lambda *case: (im2col(*case), None),
     'a tuple of 2 came back; the answer is cols alone'),
    ('sgd', lambda w, *_: w, 'a NumPy array came back; the answer is w, v'),
    ('sgd', lambda *case: (*sgd(*case), 0), 'a tuple of 3 came back; the answer is w, v'),
    ('mean_iu', lambda hist: np.nan, 'mean_iu is nan, and should be'),
    ('bilinear', lambda factor: bilinear(factor) + np.float64(2e-6) * factor,
     'w[0, 0] is 0.062504, and should be 0.0625;'),
    ('im2col', lambda x, *how: 1 / 0, 'ZeroDivisionError: division by zero, in the line `'),
    ('im2col', lambda x: x, 'your function takes other arguments'),
    ('im2col', im2col(np.ones((1, 1, 2, 2)), (1, 1), 1, 0),
     'a NumPy array was handed in; a function is needed'),
    ('anywhere', lambda x: x.get() if isinstance(x, Elsewhere) else anywhere(x),
     'a NumPy array came back, and x is an array of another module'),
])
def test_what_is_wrong_is_said(name, mine, said):
    assert check(name, mine).said.startswith(said)


def test_an_unknown_name_is_answered_with_the_nearest():
    assert check('im2cool', im2col).hint.startswith('Perhaps im2col')
    assert 'softmax_cross_entropy' in check('?', im2col).hint
    assert not check(5, im2col).right


def test_arguments_of_the_wrong_number_are_told():
    assert check('im2col', lambda x: x).hint == 'It is called with x, ksize, stride, pad.'


def test_integers_may_be_counted_in_floats():
    assert check('confusion', lambda *case: confusion(*case).astype(float)).right
    assert check('place', lambda layers: [float(number) for number in place(layers)]).right


def test_cases_survive_whoever_writes_into_them():
    def careless(w, g, v, *how):
        answer = sgd(w, g, v, *how)
        for array in w, g, v:
            array[...] = np.nan
        return answer

    assert check('sgd', careless).right and check('sgd', sgd).right


def test_a_verdict_may_be_written_into():
    """A reader tries the case that failed, im2col_mine(**verdict.case), and may spoil it."""
    verdict = check('im2col', lambda *case: im2col(*case) + 1)
    assert verdict.at == (0, 0, 0)
    verdict.case['x'][...] = verdict.answer[...] = np.nan
    assert check('im2col', im2col).right


def test_memory_that_is_filled_again_is_copied():
    kept = {}

    def thrifty(w, g, v, *how):
        w, v = sgd(w, g, v, *how)
        kept.setdefault(w.shape, np.empty_like(w))[...] = w
        return kept[w.shape], v

    assert check('sgd', thrifty).right


def test_two_mistakes_get_the_hint_that_explains_the_case_shown():
    def mine(x, w, b, stride, pad):
        y = reference_loops.conv2d(x, w[..., ::-1, ::-1], b, stride, pad)
        return y + (stride == 2)

    assert 'flipped' in check('conv2d', mine).hint


# ---- An array that NumPy cannot reach

@pytest.mark.parametrize('reach', [np.mean, np.std, np.sqrt, np.asarray, np.array, np.sum,
                                   lambda x: np.ones(4) * x, lambda x: x + np.ones(4),
                                   lambda x: np.add(x, 1), lambda x: np.concatenate([x, x])])
def test_numpy_does_not_reach_it(reach):
    with pytest.raises(TypeError):
        reach(Elsewhere(np.arange(4.)))


@pytest.mark.parametrize('mine', [
    anywhere,
    lambda x: (x - x.mean()) / x.std(),
    lambda x: (x - x.__array_namespace__().mean(x)) / x.__array_namespace__().std(x),
    lambda x: (x - float(x.mean())) / float(x.std()),
    lambda x: (x - x.sum() / x.size) / array_module(x).sqrt(((x - x.mean()) ** 2).mean()),
    lambda x: array_module(x).asarray((x - x.mean()) / x.std(), dtype='float64'),
])
def test_many_ways_lead_anywhere(mine):
    assert check('anywhere', mine).right


@pytest.mark.parametrize('installed', [None, ModuleType('cupy')])
def test_its_module_is_lent_for_the_call_alone(monkeypatch, installed):
    monkeypatch.delitem(sys.modules, 'cupy', raising=False)
    if installed:
        monkeypatch.setitem(sys.modules, 'cupy', installed)
    lent = []
    check('anywhere', lambda x: lent.append(array_module(x)) or anywhere(x))
    check('anywhere', lambda x: 1 / 0)
    assert lent == [np, MODULE, np, MODULE]
    assert sys.modules.get('cupy') is installed


# ---- Nonsense

class Broken:
    """Whatever is asked of it fails."""
    def __getattribute__(self, name):
        raise RuntimeError('<broken>')

    def __repr__(self):
        raise RuntimeError('<broken>')

    __len__ = __eq__ = __bool__ = __array__ = __iter__ = __repr__
    __hash__ = None


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError


class Stop(BaseException):
    pass


class Callable:
    __signature__ = 'none'

    def __call__(self, *_):
        return self


def raising(error):
    def mine(*_):
        raise error
    return mine


def deep(*args):
    return deep(*args)


def generating(*_):
    yield 1


def boxed(value):
    array = np.empty(1, object)
    array[0] = value
    return array


def giving(value):
    return lambda *_: value


NONSENSE = [
    *map(giving, [
        [], (), {}, 'text', b'', {1}, 7e300, float('inf'), float('nan'), 10 ** 400, 3j, True,
        Fraction(10 ** 400), np.array(3j), np.array([None]), np.array(['<b>']), np.zeros((0, 3)),
        np.zeros((1,) * 9), np.full((1, 4, 4), np.nan), np.ones((1, 4, 4), 'float16'),
        np.ones(3, 'datetime64[s]'), np.zeros(2, [('a', 'i4')]), np.array(True),
        np.ma.masked, np.ma.ones(3), np.bool_(True), np.int8(3), object(), Broken(), Broken,
        [Broken()] * 3, (np.ones(2), 'b', 3j), boxed(Broken()), print, Elsewhere([1]),
        Elsewhere(np.array(['a'])), (1, 2, [3])]),
    *map(raising, [ValueError('<script>alert(1)</script>'), KeyError(), SystemExit(3), Stop(),
                   StopIteration(), Unspeakable(), GeneratorExit(), MemoryError('\x00\ud800')]),
    deep, generating, giving, len, np.add, int, dict, type('<i>', (), {}), lambda: 1, Callable(),
    lambda *, x: 1, 5, 'text', [1], np.ones(3), Broken(), Broken,
]


@pytest.mark.parametrize('number', range(len(NONSENSE)))        # pytest would ask for its name
def test_nonsense_is_wrong_and_raises_nothing(number):
    for name in EXERCISES:
        verdict = check(name, NONSENSE[number])
        assert isinstance(verdict, Verdict) and not verdict.right
        assert verdict.said and repr(verdict).startswith(f'{name}: ')
        well_formed(verdict._repr_html_())


def test_only_the_reader_stops_a_check():
    with pytest.raises(KeyboardInterrupt):
        check('im2col', raising(KeyboardInterrupt))


# ---- HTML

def well_formed(page):
    """Every tag closed, every letter allowed; nothing fetched from anywhere."""
    root = ElementTree.fromstring(page)
    assert {element.tag for element in root.iter()} <= {
        'div', 'style', 'p', 'b', 'figure', 'figcaption', 'table', 'tr', 'th', 'td'}
    assert {key for element in root.iter() for key in element.keys()} <= {'class'}
    assert not re.search(r'https?:|url\(|@import|<script|<link|\bsrc|\bhref', page)
    page.encode('utf-8')
    return root


@pytest.mark.parametrize('name, hint, slip', SLIPS.values(), ids=SLIPS)
def test_the_page_of_a_slip(name, hint, slip):
    page = check(name, slip)._repr_html_()
    root = well_formed(page)
    assert hint in [''.join(element.itertext()) for element in root.iter('p')]
    assert len(page) < 20_000           # of 100 kB that a lesson may have


def test_what_the_reader_returns_is_escaped():
    kind = type('<img src=x>', (), {})
    for mine in giving(kind()), raising(type('<img src=x>', (Exception,), {})('<img src=x>')):
        page = check('im2col', mine)._repr_html_()
        assert '&lt;img src=x&gt;' in page and '<img' not in page
    assert '<b>x' not in check('<b>x', stub)._repr_html_()


def test_large_arrays_are_shown_around_the_first_wrong_cell():
    def mine(label, pred, n_class):
        hist = confusion(label, pred, n_class)
        if n_class == 21:
            hist[18, 17] += 1
        return hist

    verdict = check('confusion', mine)
    assert verdict.at == (18, 17)
    root = well_formed(verdict._repr_html_())
    answers = [figure for figure in root.iter('figure') if 'hist' in figure.find('figcaption').text]
    for figure in answers:
        assert [head.text for head in figure.find('table').iter('th')][1:11] == [
            str(j) for j in range(11, 21)]
    assert len(answers) == 2
