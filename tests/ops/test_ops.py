"""Every op on every row of the table: values, gradients, dtypes, strides, what stays untouched.

Three oracles that share no code with tinyfcn: reference_loops.py, autograd_ops.py under HIPS
autograd, and PyTorch. Finite differences along random directions are the fourth.
"""
from copy import deepcopy
from itertools import product

import autograd_ops
import numpy as np
import pytest
import reference_loops
from autograd import make_vjp
from optional_deps import needs_torch, torch, torch_oracle
from samples import LAYOUTS, LOSSES, NAMES, TABLE, changed, relaid

from tinyfcn import ops
from tinyfcn.gradcheck import check

AT_LEAST = dict(conv2d=30, conv_transpose2d=15, max_pool=60, softmax_cross_entropy=40)
CONVOLUTIONS = 'conv2d', 'conv_transpose2d'


# ---- Helpers

def each(keep=lambda sample: True):
    """Parametrise over the rows of the table that `keep` admits."""
    rows = {name: sample for name, sample in TABLE.items() if keep(sample)}
    return pytest.mark.parametrize('sample', rows.values(), ids=rows)


def each_of(*names):
    return each(lambda sample: sample.op in names)


def close(a, b, tol):
    assert np.shape(a) == np.shape(b)
    error, allowed = np.max(np.abs(a - b)), tol * max(1, np.max(np.abs(b)))
    assert error <= allowed, f'differs by {error:.3g}, {allowed:.3g} is allowed'


def forward(sample):
    """op(*args, **how); an rng among `how` starts anew. -> y, cache, *state"""
    return getattr(ops, sample.op)(*sample.args, **deepcopy(sample.kwargs))


def backward(sample, dy, cache, **want):
    return getattr(ops, sample.op).backward(dy, cache, **want)


def some_dy(y):
    return np.random.default_rng(1).standard_normal(np.shape(y)).astype(y.dtype)


def run(sample):
    """-> y, a random dy, and the gradient of every input under it"""
    y, cache, *_ = forward(sample)
    dy = some_dy(y)
    return y, dy, backward(sample, dy, cache)


def cast(sample, dtype):
    """Every array of floats in another dtype."""
    return changed(sample, lambda v: v.astype(dtype) if v.dtype.kind == 'f' else v)


def arrays(sample):
    return [v for v in (*sample.args, *sample.kwargs.values()) if isinstance(v, np.ndarray)]


# ---- The table itself

def test_table_is_large_enough():
    have = {name: sum(sample.op == name for sample in TABLE.values()) for name in NAMES}
    assert set(NAMES) == set(ops.__all__) - {'conv_matrix'}
    assert all(have[name] >= AT_LEAST.get(name, 15) for name in NAMES), have


def test_table_keeps_off_kinks_and_ties():
    for sample in TABLE.values():
        x = sample.args[0]
        if sample.op in ('relu', 'leaky_relu'):
            assert np.abs(x).min() >= 1e-3
        if sample.op in ('max_pool', 'max_switches') and x.size > 1:
            assert np.diff(np.sort(x, axis=None)).min() >= .999e-3
        kwargs = sample.kwargs
        if sample.op == 'batch_norm' and kwargs.get('train') and not kwargs.get('frozen'):
            assert x.size // x.shape[1] >= 18


# ---- Four oracles

@each()
def test_forward_equals_plain_loops(sample):
    by_loops = getattr(reference_loops, sample.op)
    close(forward(sample)[0], by_loops(*sample.args, **deepcopy(sample.kwargs)),
          1e-12)


# A switch has no gradient; at scores of 1e4 finite differences drown in rounding, so only the
# oracles check those
@each(lambda sample: sample.op != 'max_switches' and np.abs(sample.args[0]).max() < 1e3)
def test_gradients_along_random_directions(sample):
    report = check(getattr(ops, sample.op), *sample.args, **sample.kwargs)
    assert report.rows
    assert report.ok, str(report)


@each(lambda sample: sample.op != 'max_switches')
def test_values_and_gradients_equal_hips_autograd(sample):
    y, dy, grads = run(sample)
    wanted = tuple(i for i, dx in enumerate(grads) if dx is not None)
    by_autograd = getattr(autograd_ops, sample.op)
    vjp, true_y = make_vjp(lambda *args: by_autograd(*args, **deepcopy(sample.kwargs)),
                           wanted)(*sample.args)
    close(y, true_y, 1e-10)
    for i, dx in zip(wanted, vjp(dy)):
        close(grads[i], dx, 1e-10)


@each_of('max_switches')
def test_switches_equal_the_argmax_over_taps(sample):
    np.testing.assert_array_equal(forward(sample)[0],
                                  autograd_ops.max_switches(*sample.args, **sample.kwargs))


@needs_torch
@each(lambda sample: torch_oracle is None or torch_oracle.knows(sample))
def test_values_and_gradients_equal_pytorch(sample):
    y, dy, grads = run(sample)
    twin = changed(deepcopy(sample), lambda v: torch.from_numpy(np.array(v)))
    wanted = [i for i, dx in enumerate(grads) if dx is not None]
    for i in wanted:
        twin.args[i].requires_grad_()
    true_y = getattr(torch_oracle, sample.op)(*twin.args, **twin.kwargs)
    close(y, true_y.detach().numpy(), 1e-10)
    if wanted:
        true_y.backward(torch.as_tensor(dy))
    for i in wanted:
        close(grads[i], twin.args[i].grad.numpy(), 1e-10)


# ---- The contract: what every op does with its arrays

@each()
def test_backward_returns_one_gradient_for_each_array(sample):
    _, _, grads = run(sample)
    assert type(grads) is tuple
    assert len(grads) == len(sample.args)
    for i, (a, dx) in enumerate(zip(sample.args, grads)):
        given = (sample.op == 'max_switches' or a is None or a.dtype.kind != 'f'
                 or sample.op == 'batch_norm' and i > 2)    # switches, labels, running statistics
        assert (dx is None) == given
        assert given or dx.shape == a.shape


def rounding(sample, y):
    """How far float32 may stray, in units of the values' rms.

    A sum of K terms of unit scale rounds like a random walk, ε·√K, and no sum here has more terms
    than the largest array has values; 32 is for the luck of the worst of some hundred values.
    Nothing rounds where values are only moved.
    """
    if sample.op in ('relu', 'max_switches', 'concat', 'channels', 'crop', 'pad'):
        return 0.
    alone = sample.op in ('leaky_relu', 'dropout', 'add', 'multiply', 'scale')
    terms = 1 if alone else max(np.size(a) for a in (y, *arrays(sample)))
    return 32 * float(np.finfo('float32').eps) * terms ** .5


@each()
def test_dtype_in_is_dtype_out_and_float32_is_near_float64(sample):
    singles = cast(sample, 'float32')
    doubles = cast(singles, 'float64')          # the very same numbers
    (y, cache, *state), (true_y, true_cache, *_) = forward(singles), forward(doubles)
    if sample.op not in ('max_switches', *LOSSES):                      # integers; always float64
        assert y.dtype == 'float32' and true_y.dtype == 'float64'
    if sample.op in LOSSES:                                             # summed there, too
        assert true_y.dtype == 'float64'
        of_each = sample.kwargs.get('reduce') == 'none'
        assert y.dtype == ('float32' if of_each else 'float64')
    assert all(v.dtype == 'float32' for pair in state for v in pair)
    dy = some_dy(y)
    grads = backward(singles, dy, cache)
    true_grads = backward(doubles, dy.astype(true_y.dtype), true_cache)
    for a, b in zip((y, *grads), (true_y, *true_grads)):
        if b is not None:
            error, rms = np.max(np.abs(a - b)), np.mean(np.square(b, dtype='float64')) ** .5
            assert error <= rounding(sample, y) * max(1, rms)
    assert all(dx.dtype == 'float32' for dx in grads if dx is not None)
    assert all(dx.dtype == 'float64' for dx in true_grads if dx is not None)


@each()
def test_numpy_numbers_do_not_widen(sample):
    """np.float64(.5) in place of .5 leaves a float32 op in float32."""
    def strong(v):
        if isinstance(v, tuple):
            return tuple(map(strong, v))
        return {int: np.int64, float: np.float64}.get(type(v), lambda v: v)(v)

    plain = cast(sample, 'float32')
    hard = plain._replace(kwargs={key: strong(v) for key, v in plain.kwargs.items()})
    (y, _, grads), (true_y, _, true_grads) = run(hard), run(plain)
    for a, b in zip((y, *grads), (true_y, *true_grads)):
        assert (a is None) == (b is None)
        if b is not None:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@each()
def test_inputs_are_not_changed_and_backward_may_run_twice(sample):
    before = [a.tobytes() for a in arrays(sample)]
    y, cache, *_ = forward(sample)
    dy = some_dy(y)
    dy_before = dy.tobytes()
    once = [None if dx is None else dx.copy() for dx in backward(sample, dy, cache)]
    twice = backward(sample, dy, cache)
    assert [a.tobytes() for a in arrays(sample)] == before
    assert dy.tobytes() == dy_before
    for a, b in zip(once, twice):
        np.testing.assert_array_equal(a, b)


@each()
def test_any_strides_give_the_same(sample):
    true_y, dy, true_grads = run(sample)
    for layout in LAYOUTS:
        odd = relaid(layout, sample)
        y, cache, *_ = forward(odd)
        close(y, true_y, 1e-12)
        for dx, true_dx in zip(backward(odd, layout(dy) if dy.ndim else dy, cache), true_grads):
            if true_dx is not None:
                close(dx, true_dx, 1e-12)


@each_of(*CONVOLUTIONS)
def test_want_skips_gradients_that_are_not_needed(sample):
    y, cache = forward(sample)
    every = backward(sample, some_dy(y), cache)
    for want in product((True, False), repeat=3):
        for dx, full, wanted in zip(backward(sample, some_dy(y), cache, want=want), every, want):
            assert (dx is None) == (full is None or not wanted)
            if dx is not None:
                np.testing.assert_array_equal(dx, full)


@each(lambda sample: sample.op not in CONVOLUTIONS)
def test_want_is_accepted_everywhere(sample):
    y, cache, *_ = forward(sample)
    want = [True] * len(sample.args)
    for a, b in zip(backward(sample, some_dy(y), cache, want=want),
                    backward(sample, some_dy(y), cache)):
        np.testing.assert_array_equal(a, b)


# ---- What must hold whatever the numbers are

@each(lambda sample: sample.op != 'dropout' and sample.args[0].ndim > 2)
def test_images_of_a_batch_are_independent(sample):
    """Pictures in reverse order give outputs in reverse order; statistics and sums stay."""
    filters = sample.args[1] if sample.op in CONVOLUTIONS else None
    reverse = changed(sample, lambda v: v[::-1] if v.ndim > 2 and v is not filters else v)
    y = forward(sample)[0]
    close(forward(reverse)[0], y[::-1] if np.ndim(y) else y, 1e-12)


@each_of(*CONVOLUTIONS)
def test_convolution_is_linear_in_x_and_in_w(sample):
    (x, w, _), rng = sample.args, np.random.default_rng(1)
    other_x, other_w = rng.standard_normal(x.shape), rng.standard_normal(w.shape)

    def y(x, w):
        return forward(sample._replace(args=(x, w)))[0]

    close(y(x + 2 * other_x, w), y(x, w) + 2 * y(other_x, w), 1e-12)
    close(y(x, w + 2 * other_w), y(x, w) + 2 * y(x, other_w), 1e-12)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@each_of('conv2d', 'conv_transpose2d', 'im2col', 'col2im', 'max_switches', 'max_pool', 'take',
         'unpool', 'add', 'multiply', 'relu')
def test_small_integers_are_exact(sample, dtype):
    """Also with ties under the maximum: the first of equals wins."""
    whole = cast(changed(sample, np.rint), dtype)
    if sample.args[-1] is not None and sample.args[-1].dtype.kind != 'f':       # switches stay
        whole = whole._replace(args=(*whole.args[:-1], sample.args[-1]))
    np.testing.assert_array_equal(forward(whole)[0],
                                  getattr(reference_loops, sample.op)(*whole.args, **whole.kwargs))


@each_of(*LOSSES)
def test_a_constant_moves_no_loss_and_gradients_sum_to_zero(sample):
    score, label = sample.args
    n, _, h, w = score.shape
    loss, dscore = forward(sample)
    constant = np.random.default_rng(1).standard_normal((n, 1, h, w))
    close(forward(sample._replace(args=(score + constant, label)))[0], loss, 1e-12)
    close(dscore.sum(1), np.zeros((n, h, w)), 1e-12)


@each_of(*LOSSES)
def test_ignored_pixels_do_not_count(sample):
    (score, label), ignore = sample.args, sample.kwargs['ignore']
    ignored = (label == ignore)[:, None]
    noise = np.random.default_rng(1).standard_normal(score.shape)
    loss, dscore = forward(sample)
    noisy = score.copy('K')                     # of the same strides, so that sums round alike
    noisy += ignored * noise
    other_loss, other = forward(sample._replace(args=(noisy, label)))
    np.testing.assert_array_equal(other_loss, loss)
    np.testing.assert_array_equal(other, dscore)
    assert not (dscore * ignored).any()
    if ignored.all():
        assert not np.any(loss)


@each_of('softmax_cross_entropy', 'focal_loss')
def test_mean_is_the_sum_over_the_number_of_valid_pixels(sample):
    (_, label), kwargs = sample.args, sample.kwargs
    losses = [forward(sample._replace(kwargs=dict(kwargs, reduce=reduce)))
              for reduce in ('sum', 'mean', 'none')]
    (total, dtotal), (mean, dmean), (each, deach) = losses
    valid = max(1, (label != kwargs['ignore']).sum())
    close(total, each.sum(), 1e-12)
    np.testing.assert_array_equal(deach, dtotal)
    close(mean, total / valid, 1e-12)
    close(dmean, dtotal / valid, 1e-12)
    assert type(total) is type(mean) is np.float64


@each_of('batch_norm')
def test_running_statistics_move_towards_those_of_the_batch(sample):
    x, _, _, mean, var = sample.args
    _, _, *state = forward(sample)
    if not sample.kwargs.get('train') or sample.kwargs.get('frozen'):
        assert not state
        return
    (new_mean, new_var), = state
    m = sample.kwargs.get('momentum', .1)
    close(new_mean, (1 - m) * mean + m * x.mean((0, 2, 3)), 1e-12)
    close(new_var, (1 - m) * var + m * x.var((0, 2, 3), ddof=1), 1e-12)     # PyTorch's unbiased one


# ---- One example each, that a random row would not hit

@pytest.mark.parametrize('layout', LAYOUTS)
def test_first_of_equals(layout):
    x = layout(np.ones((1, 1, 3, 4)))
    switches, _ = ops.max_switches(x, 2)
    assert switches.tolist() == [[[[0, 2], [8, 10]]]]


def test_padding_never_wins_a_max_pool():
    switches, _ = ops.max_switches(np.full((1, 1, 3, 3), -np.inf), 3, stride=2, pad=1)
    y, _ = ops.max_pool(np.full((1, 1, 3, 3), -np.inf), 3, stride=2, pad=1)
    assert switches.min() >= 0 and switches.max() < 9
    assert (y == -np.inf).all()


def test_max_pool_propagates_nan():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 1, 2] = np.nan
    y, _ = ops.max_pool(x, 2)
    assert np.isnan(y[0, 0]).tolist() == [[False, True], [False, False]]


def test_pooling_rounds_up_by_default():
    x = np.zeros((1, 1, 5, 5))
    for op in (ops.max_pool, ops.avg_pool, ops.max_switches):
        assert op(x, 2)[0].shape == (1, 1, 3, 3)
        assert op(x, 2, ceil=False)[0].shape == (1, 1, 2, 2)


def test_the_mean_of_a_constant_is_the_constant_also_where_the_window_hangs_over():
    np.testing.assert_array_equal(ops.avg_pool(np.ones((1, 1, 5, 6)), 4, stride=3)[0], 1)


def test_dropout_drops_a_share_p():
    x = np.ones((1, 10, 100, 100))
    y, cache = ops.dropout(x, p=.3, train=True, rng=np.random.default_rng(0))
    dx, = ops.dropout.backward(x, cache)
    share = (y == 0).mean()                     # 100 000 draws: four standard errors are .006
    assert abs(share - .3) < .006
    assert np.unique(y).size == 2
    close(y.max(), 1 / .7, 1e-12)
    np.testing.assert_array_equal(dx, y)


def test_dropout_is_the_identity_outside_training():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    y, cache = ops.dropout(x, p=.9)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(ops.dropout.backward(x, cache)[0], x)


def test_the_dice_loss_by_hand():
    """Of four pixels one is void; class 1 has a single one, and counts as much as class 0."""
    p = np.array([[[[.8, .6, .3, .9]], [[.2, .4, .7, .1]]]])
    label = np.array([[[0, 0, 1, 255]]])
    dice = [2 * (.8 + .6) / (.8 + .6 + .3 + 2), 2 * .7 / (.2 + .4 + .7 + 1)]
    loss, _ = ops.dice_loss(np.log(p), label)
    close(loss, 1 - sum(dice) / 2, 1e-12)
    weighted, _ = ops.dice_loss(np.log(p), label, class_weight=np.array([1., 3.]))
    close(weighted, 1 - (dice[0] + 3 * dice[1]) / 4, 1e-12)
    sure, gradient = ops.dice_loss(1e4 * (label[:, None] == [[[0]], [[1]]]), label)
    assert sure == 0 and not gradient.any()


def test_the_focal_loss_without_its_factor_is_cross_entropy():
    rng = np.random.default_rng(1)
    score, label = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    for a, b in zip(ops.focal_loss(score, label, gamma=0),
                    ops.softmax_cross_entropy(score, label)):
        close(a, b, 1e-14)


@pytest.mark.parametrize('gamma', [.5, 2])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_the_focal_loss_of_a_sure_pixel_is_0_and_has_no_gradient(gamma, dtype):
    score = np.array([[[[1e4, 50.]], [[-1e4, -50.]]]], dtype)
    loss, dscore = ops.focal_loss(score, np.zeros((1, 1, 2), int), gamma=gamma)
    assert 0 <= loss < 1e-20 and np.abs(dscore).max() < 1e-20


def test_huge_scores_do_not_overflow():
    score = np.array([[[[1e4]], [[-1e4]]]], 'float32')
    loss, dscore = ops.softmax_cross_entropy(score, np.array([[[1]]]))
    assert loss == 2e4
    assert dscore.ravel().tolist() == [1, -1]
