"""NaN and ∞ go where the equations send them, and no further: kernels and references alike."""
from copy import deepcopy

import numpy as np
import pytest
from samples import LOSSES, PICKERS, changed, picks

from tinyfcn import ops
from tinyfcn.dispatch import exact, reference_only

BAD = np.nan, np.inf, -np.inf
SPREADING = 'relu', 'max_pool', 'avg_pool', 'avg_pool_to', 'upsample', 'resize', \
    'local_response_norm', 'batch_norm', 'conv2d', 'conv_transpose2d', 'crop', \
    'softmax_cross_entropy'


def same(a, b, tol=2e-6):
    assert a.shape == b.shape
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_array_equal(np.isinf(a), np.isinf(b))
    finite = np.isfinite(b)
    assert np.abs(a[finite] - b[finite]).max(initial=0) <= tol * np.abs(b[finite]).max(initial=1)


def run(sample, dy=None):
    op = getattr(ops, sample.op)
    with np.errstate(all='ignore'):
        y, cache, *_ = op(*sample.args, **deepcopy(sample.kwargs))
        if dy is None:
            return y
        return [dx for dx in op.backward(dy, cache) if dx is not None]


@pytest.mark.parametrize('bad', BAD)
@pytest.mark.parametrize('name', SPREADING)
def test_an_exact_kernel_spreads_them_as_its_reference_does(name, bad):
    for i in range(12):
        pick = picks(i)
        sample = changed(PICKERS[name](pick),
                         lambda v: v.astype('float32') if v.dtype.kind == 'f' else v)
        x = sample.args[0].copy()
        x.flat[pick(0, x.size - 1)] = bad
        planted = sample._replace(args=(x, *sample.args[1:]))
        with reference_only():
            expected = run(planted)
        with exact():
            same(run(planted), expected)
        if name == 'softmax_cross_entropy':             # its dy is a number
            continue
        dy = np.ones_like(expected)
        dy.flat[pick(0, dy.size - 1)] = bad
        with reference_only():
            expected = run(sample, dy)
        with exact():
            for dx, true in zip(run(sample, dy), expected):
                # dw of batch_norm is a sum in which all cancel: what is left is rounding
                same(dx, true, 1e-5 if name == 'batch_norm' else 2e-6)


def test_one_pixel_that_is_not_a_number_stays_one_pixel_wide():
    """A band of the dense product multiplied it by zeros."""
    x = np.zeros((1, 1, 8, 8), 'float32')
    x[0, 0, 3, 4] = np.nan
    assert np.isnan(ops.avg_pool(x, 2)[0]).sum() == 1
    assert np.isnan(ops.resize(x, (8, 8))[0]).sum() == 1
    assert np.isnan(ops.upsample(x, 2)[0]).sum() == 16


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('bad', BAD)
@pytest.mark.parametrize('every_class', [False, True])
def test_what_an_ignored_pixel_holds_does_not_matter(dtype, bad, every_class):
    rng = np.random.default_rng(0)
    score = rng.standard_normal((2, 3, 4, 5)).astype(dtype)
    label = rng.integers(0, 3, (2, 4, 5))
    label[0, 1, 2] = label[1, 3, 3] = 255
    broken = score.copy()
    broken[0, :None if every_class else 1, 1, 2] = bad
    broken[1, :None if every_class else 1, 3, 3] = bad
    calls = [(ops.softmax_cross_entropy, kwargs) for kwargs in (
        dict(), dict(reduce='mean'), dict(reduce='none'), dict(label_smoothing=.1))]
    for op, kwargs in [*calls, (ops.focal_loss, {}), (ops.dice_loss, {})]:
        for reference in True, False:
            with reference_only() if reference else exact():
                loss, dscore = op(score, label, **kwargs)
                other_loss, other = op(broken, label, **kwargs)
            np.testing.assert_array_equal(other_loss, loss)
            np.testing.assert_array_equal(other, dscore)
            assert not other[label[:, None].repeat(3, 1) == 255].any()


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('bad', BAD)
def test_weights_that_no_pixel_has_do_not_matter(dtype, bad):
    """A class that is never true, and the weights of pixels that are ignored."""
    score = np.random.default_rng(0).standard_normal((1, 3, 2, 2)).astype(dtype)
    label = np.array([[[1, 2], [255, 1]]])
    weights = np.array([bad, 2., 3.], dtype)
    of_pixels = np.array([[[1., 2.], [bad, 4.]]], dtype)
    for loss, dscore in (
            ops.softmax_cross_entropy(score, label, class_weight=weights, pixel_weight=of_pixels),
            ops.focal_loss(score, label, class_weight=weights, pixel_weight=of_pixels),
            ops.dice_loss(score, label, class_weight=weights)):
        assert np.isfinite(loss) and np.isfinite(dscore).all()


@pytest.mark.parametrize('op', LOSSES)
def test_a_valid_pixel_that_is_not_finite_makes_the_loss_so(op):
    score = np.zeros((1, 2, 1, 1), 'float32')
    score[0, 1] = np.nan
    for reference in True, False:
        with reference_only() if reference else exact():
            assert np.isnan(getattr(ops, op)(score, np.zeros((1, 1, 1), int))[0])


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_no_gradient_passes_a_relu_that_is_shut(dtype):
    """Not even ∞, which times 0 would be NaN."""
    x = np.full((1, 1, 2, 3), -1., dtype)
    x[..., 2] = 1
    dy = np.array([[[[np.inf, -np.inf, np.inf], [np.nan, 5, np.nan]]]], dtype)
    _, cache = ops.relu(x)
    for reference in True, False:
        with reference_only() if reference else exact():
            dx, = ops.relu.backward(dy, cache)
        np.testing.assert_array_equal(dx, [[[[0, 0, np.inf], [0, 0, np.nan]]]])
