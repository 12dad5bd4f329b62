"""The gradient checker accepts right gradients, finds slightly wrong ones and prints a table."""
import numpy as np
import pytest

from tinyfcn import Net, build, ops
from tinyfcn.dispatch import backward_of
from tinyfcn.gradcheck import check, check_net
from tinyfcn.layers import batch_norm, conv, dropout, max_pool, max_switches, relu, take, unpool

RNG = np.random.default_rng(11)


def square(x, factor=1.):
    """y = factor·x²."""
    return factor * x * x, (x, factor)


@backward_of(square)
def square_backward(dy, cache):
    x, factor = cache
    return 2 * factor * x * dy,


MISTAKES = {
    'sign': lambda dx: -dx,
    'scale by 1 + 1e-4': lambda dx: dx * (1 + 1e-4),
    'one row missing': lambda dx: dx * (np.arange(len(dx)) > 0)[:, None],
    'scale by 1 + 1e-6': lambda dx: dx * (1 + 1e-6),
    'nan': lambda dx: dx * np.nan,
}


def test_a_correct_gradient_passes():
    report = check(square, RNG.standard_normal((6, 5)), factor=3.)
    assert report.ok
    assert report.rows[0].name == 'x'
    assert report.rows[0].shape == (6, 5)


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_wrong_gradient_is_found(monkeypatch, mistake):
    correct = square.backward
    monkeypatch.setattr(square, 'backward',
                        lambda dy, cache, want=None: (MISTAKES[mistake](correct(dy, cache)[0]),))
    report = check(square, RNG.standard_normal((6, 5)))
    assert not report.ok
    assert 'WRONG' in str(report)


def test_float32_is_checked_in_float64_and_not_changed():
    x = RNG.standard_normal((3, 4)).astype('float32')
    before = x.copy()
    assert check(square, x).ok
    np.testing.assert_array_equal(x, before)


def test_only_inputs_with_a_gradient_are_listed():
    score = RNG.standard_normal((1, 3, 4, 4))
    label = RNG.integers(0, 3, (1, 4, 4))
    assert [row.name for row in check(ops.softmax_cross_entropy, score, label).rows] == ['score']
    assert [row.name for row in check(ops.add, score, score).rows] == ['x1', 'x2']


def test_the_report_is_a_table():
    lines = str(check(square, np.array([[1., 2.]]))).splitlines()
    assert lines[0] == 'square: the gradient of every input, ε = 1e-05'
    assert lines[1].split() == ['shape', 'numerical', 'analytic', 'error', 'limit']
    assert lines[2].startswith('x      (1, 2)')
    assert lines[2].endswith('ok')


def two_layer_net():
    n = Net(2)
    n.conv1 = conv(n.data, 3, 3, pad=1)
    n.pool1 = max_pool(relu(n.conv1), 2)
    n.score = conv(dropout(n.pool1), 2, 1)
    return n


def test_a_correct_net_passes_and_is_not_changed():
    n = two_layer_net()
    before = {name: w.copy() for name, w in n.params.items()}
    report = check_net(n, RNG.standard_normal((1, 2, 6, 6)))
    assert report.ok, str(report)
    assert {row.name for row in report.rows} == {'data', *n.params}
    for name, w in n.params.items():
        np.testing.assert_array_equal(w, before[name])


def test_frozen_weights_are_not_listed():
    n = two_layer_net()
    n.frozen = {'conv1.*'}
    rows = check_net(n, RNG.standard_normal((1, 2, 6, 6))).rows
    assert {row.name for row in rows} == {'data', 'score.w', 'score.b'}


def test_a_wrong_box_makes_the_gradients_of_all_layers_below_wrong(monkeypatch):
    correct = ops.max_pool.backward
    monkeypatch.setattr(ops.max_pool, 'backward',
                        lambda dy, cache, want=None: (correct(dy, cache)[0] * 1.001,))
    rows = check_net(two_layer_net(), RNG.standard_normal((1, 2, 6, 6))).rows
    assert {row.name for row in rows if not row.ok} == {'data', 'conv1.w', 'conv1.b'}


def pool_and_unpool():
    """A convolution whose bias has no effect, for a batch norm follows; and switches that jump."""
    n = Net(2)
    n.conv1 = conv(n.data, 4, 3, pad=1)
    n.norm1 = batch_norm(n.conv1)
    n.relu1 = relu(n.norm1)
    n.switches = max_switches(n.relu1, 2)
    n.pool1 = take(n.relu1, n.switches)
    n.unpool1 = unpool(n.pool1, n.switches, like=n.relu1)
    n.score = conv(n.unpool1, 3, 3, pad=1)
    n.params['score.w'] *= 300          # the sum of large scores rounds by more than a fixed limit
    return n


IMAGE = np.random.default_rng(0).standard_normal((1, 2, 24, 24))


def test_a_slope_of_0_is_found_though_its_sums_round():
    report = check_net(pool_and_unpool(), IMAGE, directions=2)
    assert report.ok, str(report)
    assert next(row for row in report.rows if row.name == 'conv1.b').analytic < 1e-9


def wrong_norm(dy, cache, want=None):
    """dx as if the variance of the batch were a constant."""
    _, w, _, inverse, _ = cache
    _, dw, db, *none = CORRECT_NORM(dy, cache)
    dx = (dy - dy.mean((0, 2, 3), keepdims=True)) * (w * inverse)[:, None, None]
    return dx, dw, db, *none


CORRECT_NORM = ops.batch_norm.backward
WRONG = {
    'batch_norm': (wrong_norm, {'data', 'conv1.w'}),
    'unpool': (lambda dy, cache, want=None, right=ops.unpool.backward: (
        right(dy, cache)[0] * (1 + 1e-4), None), {'data', 'conv1.w', 'norm1.w', 'norm1.b'}),
}


@pytest.mark.parametrize('op', WRONG)
def test_a_planted_mistake_is_still_found(op, monkeypatch):
    backward, wrong = WRONG[op]
    monkeypatch.setattr(getattr(ops, op), 'backward', backward)
    rows = check_net(pool_and_unpool(), IMAGE, directions=2).rows
    assert {row.name for row in rows if not row.ok} == wrong


@pytest.mark.fuzz
@pytest.mark.parametrize('factor', [1, 1.001])
def test_the_gradients_of_segnet(factor, monkeypatch):
    """13 convolutions, each with a batch norm, up and down again; five pools."""
    correct = ops.unpool.backward
    monkeypatch.setattr(ops.unpool, 'backward', lambda dy, cache, want=None: (
        correct(dy, cache)[0] * factor, None))
    net = build('segnet', n_class=3, width=1/16, dtype='float64')
    image = np.random.default_rng(1).standard_normal((1, 3, 32, 64))
    report = check_net(net, image, directions=1)
    assert report.ok == (factor == 1), str(report)
