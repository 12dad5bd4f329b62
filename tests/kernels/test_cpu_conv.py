"""The three roads of a convolution, each held to the definition on random geometry.

The definition computes in float64 from the same numbers; so what is measured is a road's own error.
"""
import threading
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tinyfcn import ops
from tinyfcn.dispatch import exact, reference_only
from tinyfcn.kernels import registry
from tinyfcn.kernels.cpu import (
    blocking as rows,
    conv,
    im2col as columns,
    small_maps as filters,
    winograd,
)
from tinyfcn.kernels.registry import find_kernel

ROADS = {'columns': (columns, 2e-6), 'filters': (filters, 2e-6), 'winograd': (winograd, 3e-5)}
LAYOUTS = ('C order', 'channels last', 'sliced', 'backwards')


def relaid(x, layout):
    """The same values, otherwise in memory, and not to be written to."""
    if layout == 'channels last' and x.ndim == 4:
        x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    elif layout == 'sliced':
        wide = np.full([2 * n + 1 for n in x.shape], np.nan, x.dtype)
        wide[tuple(slice(1, None, 2) for _ in x.shape)] = x
        x = wide[tuple(slice(1, None, 2) for _ in x.shape)]
    elif layout == 'backwards':
        back = (slice(None, None, -1),) * min(x.ndim, 3)
        x = x[back].copy()[back]
    x.flags.writeable = False
    return x


def close(a, b, tol, what=''):
    if b is None:
        assert a is None, what
        return
    assert (a.shape, a.dtype) == (b.shape, np.float32), what
    error = np.abs(a - b).max() / max(1, np.abs(b).max())
    assert error <= tol, f'{what} differs by {error:.2g} of the maximum'


def same_cache(a, b):
    assert len(a) == len(b)
    assert all(p is q if isinstance(p, np.ndarray) else p == q for p, q in zip(a, b))


def wide(arrays):
    return [a if a is None else a.astype('float64') for a in arrays]


@pytest.fixture
def only(monkeypatch):
    """Let one road take everything, and three threads share even the least of work."""
    def take(road, threads=3):
        monkeypatch.setattr(registry, '_kernels', {})
        conv.offer(lambda *_: road, exact=False)
        monkeypatch.setattr(rows, 'CHEAP', 1)
        monkeypatch.setenv('TINYFCN_THREADS', str(threads))
    return take


@st.composite
def problems(draw, three_by_three):
    """(x, w, b), its geometry, and which gradients are wanted: 1-pixel images, any strides."""
    def some(least, most):
        return draw(st.integers(least, most))

    groups = some(1, 3)
    c, k = some(1, 6), some(1, 6) * groups
    if three_by_three:
        ksize, kwargs = (3, 3), dict(pad=(some(0, 4), some(0, 4)))
    else:
        ksize = some(1, 5), some(1, 4)
        kwargs = dict(stride=(some(1, 4), some(1, 3)), pad=(some(0, 5), some(0, 5)),
                   dilation=(some(1, 3), some(1, 2)))
    dilation, pad = kwargs.get('dilation', (1, 1)), kwargs['pad']
    size = [some(max(1, d * (n - 1) + 1 - 2 * p), 14) if d * (n - 1) + 1 - 2 * p <= 14 else
            d * (n - 1) + 1 for n, d, p in zip(ksize, dilation, pad)]
    rng = np.random.default_rng(some(0, 9999))
    arrays = [rng.standard_normal((some(1, 3), c * groups, *size), 'float32'),
              rng.standard_normal((k, c, *ksize), 'float32'),
              rng.standard_normal(k, 'float32') if some(0, 1) else None]
    arrays = [a if a is None else relaid(a, draw(st.sampled_from(LAYOUTS))) for a in arrays]
    return arrays, dict(kwargs, groups=groups), [bool(some(0, 1)) for _ in 'xwb'], rng, draw(
        st.sampled_from(LAYOUTS))


def judge(op, arrays, kwargs, want, rng, layout, tol):
    """Values, cache, every gradient that is wanted and none that is not; twice the same bits."""
    y, cache = op(*arrays, **kwargs)
    true_y, true_cache = op.reference(*wide(arrays), **kwargs)
    close(y, true_y, tol, 'y')
    same_cache(cache, op.reference(*arrays, **kwargs)[1])
    assert y.strides[1] == y.itemsize or y.shape[1] == 1                   # channels side by side
    dy = relaid(rng.standard_normal(y.shape, 'float32'), layout)
    grads = op.backward(dy, cache, want)
    truth = op.backward(dy.astype('float64'), true_cache, want)
    for name, a, b in zip(('dx', 'dw', 'db'), grads, truth, strict=True):
        close(a, b, tol, name)
    assert all(wanted or a is None for a, wanted in zip(grads, want))
    again = [op(*arrays, **kwargs)[0], *op.backward(dy, cache, want)]
    for a, b in zip([y, *grads], again):
        np.testing.assert_array_equal(a, b)


def transposed(arrays, kwargs, rng):
    """The convolution's w, now for its transpose: x has the depth of what was y."""
    x, w, b = arrays
    depth = w.shape[1] * kwargs['groups']
    x = rng.standard_normal((len(x), len(w), *(min(n, 6) for n in x.shape[2:])), 'float32')
    stride, pad = kwargs.get('stride', (1, 1)), kwargs['pad']
    least = [d * (k - 1) + (n - 1) * s for k, d, n, s in
             zip(w.shape[2:], kwargs.get('dilation', (1, 1)), x.shape[2:], stride)]
    pad = tuple(min(p, n // 2) for p, n in zip(pad, least))                 # else nothing is left
    extra = tuple(int(rng.integers(s)) for s in stride)
    b = None if b is None else rng.standard_normal(depth, 'float32')
    return [x, w, b], dict(kwargs, pad=pad, output_padding=extra)


@pytest.mark.parametrize('name', ROADS)
def test_a_road_is_the_definition(name, only):
    road, tol = ROADS[name]
    only(road)

    @settings(max_examples=300, deadline=None, derandomize=True, database=None,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(problems(name == 'winograd'))
    def run(problem):
        arrays, kwargs, want, rng, layout = problem
        assert find_kernel('conv2d', False, *arrays, **kwargs)
        judge(ops.conv2d, arrays, kwargs, want, rng, layout, tol)
        arrays, kwargs = transposed(arrays, kwargs, rng)
        assert find_kernel('conv_transpose2d', False, *arrays, **kwargs)
        judge(ops.conv_transpose2d, arrays, kwargs, want, rng, layout, tol)

    run()


# c, k, ksize, size, geometry and the road that is taken, exact() or not
CASES = {
    'a 3×3 of VGG':          (32, 48, 3, 40, dict(pad=1), winograd, columns),
    'its like, dilated':     (32, 48, 3, 40, dict(pad=2, dilation=2), columns, columns),
    'a small map':           (64, 96, 3, 8, dict(pad=1), filters, filters),
    'a first layer':         (3, 64, 3, 60, dict(pad=30), columns, columns),
    'one that expands':      (16, 64, 3, 30, dict(pad=1), columns, columns),
    'the stem of a ResNet':  (3, 64, 7, 65, dict(pad=3, stride=2), columns, columns),
    'a 3×3 at stride 2':     (32, 32, 3, 33, dict(pad=1, stride=2), columns, columns),
    '1×1':                   (48, 32, 1, 20, {}, columns, columns),
    '1×1 at stride 2':       (48, 32, 1, 21, dict(stride=2), columns, columns),
    'fc6':                   (32, 256, 7, 10, {}, filters, filters),
    'two groups of AlexNet': (48, 64, 5, 27, dict(pad=2, groups=2), columns, columns),
    'a learned deconv':      (21, 21, 4, 34, dict(stride=2), columns, columns),
    'thin and little':       (4, 4, 3, 20, dict(pad=1), None, None),
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
@pytest.mark.parametrize('exactly', [False, True], ids=['fast', 'exact'])
def test_layers_of_nets(case, exactly, monkeypatch):
    c, k, ksize, size, kwargs, *roads = case
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, c, size, size), 'float32')
    w = rng.standard_normal((k, c // kwargs.get('groups', 1), ksize, ksize), 'float32')
    b = rng.standard_normal(k, 'float32')
    taken = []
    for road in ROADS.values():
        monkeypatch.setattr(road[0], 'convolve', spied(road[0], taken))
    with exact() if exactly else nullcontext():
        y, cache = ops.conv2d(x, w, b, **kwargs)
        assert (taken or [None]) == [roads[exactly]] * max(1, kwargs.get('groups', 1))
        dy = rng.standard_normal(y.shape, 'float32')
        grads = ops.conv2d.backward(dy, cache)
    true_y, true_cache = ops.conv2d.reference(*wide([x, w, b]), **kwargs)
    truth = ops.conv2d.backward(dy.astype('float64'), true_cache)
    tol = 3e-5 if roads[exactly] is winograd else 3e-6
    for name, a, b in zip(('y', 'dx', 'dw', 'db'), (y, *grads), (true_y, *truth)):
        assert np.abs(a - b).max() <= tol * np.abs(b).max(), name


def spied(road, taken):
    convolve = road.convolve

    def spy(*args):
        taken.append(road)
        return convolve(*args)
    return spy


@pytest.mark.parametrize('c, k, size', [(64, 64, 50), (512, 512, 16), (16, 512, 21)])
def test_winograd_loses_little(c, k, size):
    """Of a whole layer as He would begin it: 3e-5 of the maximum, forward and in each gradient."""
    rng = np.random.default_rng(2)
    x = np.maximum(rng.standard_normal((1, size, size, c), 'float32'), 0)
    w = rng.standard_normal((k, c, 3, 3), 'float32') * np.float32((2 / 9 / c) ** .5)
    dy = rng.standard_normal((1, size, size, k), 'float32')
    geometry = (1, 1), (1, 1), (1, 1)
    got = (winograd.convolve(x, w, None, (size, size), geometry),
           winograd.transpose(dy, w, (size, size), geometry),
           winograd.correlate(x, dy, w.shape, geometry))
    x, w, dy = wide([x, w, dy])
    y, cache = ops.conv2d.reference(x.transpose(0, 3, 1, 2), w, pad=1)
    dx, dw, _ = ops.conv2d.backward(dy.transpose(0, 3, 1, 2), cache)
    for a, b in zip(got, (y.transpose(0, 2, 3, 1), dx.transpose(0, 2, 3, 1), dw)):
        assert np.abs(a - b).max() <= 3e-5 * np.abs(b).max()


@pytest.mark.parametrize('name', ROADS)
def test_four_threads_at_once(name, only):
    road, _ = ROADS[name]
    only(road)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 16, 21, 19), 'float32')
    w = rng.standard_normal((24, 16, 3, 3), 'float32')

    def run(results):
        for _ in range(5):
            y, cache = ops.conv2d(x, w, pad=1)
            results.append((y, *ops.conv2d.backward(y, cache)[:2]))

    results = [[] for _ in range(5)]
    others = [threading.Thread(target=run, args=(own,)) for own in results[1:]]
    for other in others:
        other.start()
    for other in others:
        other.join()
    run(results[0])                                                         # alone
    for own in results:
        assert len(own) == 5
        for a, b in zip(own, results[0]):
            for p, q in zip(a, b):
                np.testing.assert_array_equal(p, q)


def test_exact_never_loosens(monkeypatch):
    """Of two blocks the stricter holds, whichever is within the other; errors leave it too."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((1, 32, 27, 27), 'float32')
    w, taken = rng.standard_normal((32, 32, 3, 3), 'float32'), []
    for road in winograd, columns:
        monkeypatch.setattr(road, 'convolve', spied(road, taken))
    for blocks in (exact, reference_only), (reference_only, exact):
        with blocks[0](), blocks[1]():
            ops.conv2d(x, w, pad=1)
        assert taken == []
    with pytest.raises(KeyError), exact():
        with exact():
            pass
        ops.conv2d(x, w, pad=1)
        raise KeyError
    ops.conv2d(x, w, pad=1)
    assert taken == [columns, winograd]


def test_weights_may_change_in_place():
    """Nothing of w is kept from one call to the next."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, 32, 27, 27), 'float32')
    w = rng.standard_normal((32, 32, 3, 3), 'float32')
    before, _ = ops.conv2d(x, w, pad=1)
    w *= 2
    np.testing.assert_array_equal(ops.conv2d(x, w, pad=1)[0], 2 * before)


def test_nothing_is_computed_that_nobody_wants(monkeypatch):
    """The first layer of a net has no dx."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1, 32, 27, 27), 'float32')
    y, cache = ops.conv2d(x, rng.standard_normal((32, 32, 3, 3), 'float32'), pad=1)
    monkeypatch.setattr(winograd, 'transpose', None)                        # a call would fall over
    dx, dw, _ = ops.conv2d.backward(y, cache, want=(False, True, False))
    assert dx is None and dw.shape == (32, 32, 3, 3)
    with pytest.raises(TypeError):
        ops.conv2d.backward(y, cache)


def test_what_is_not_for_the_kitchen():
    """Doubles, and all that the body refuses."""
    x, w = np.ones((1, 32, 30, 30), 'float32'), np.ones((32, 32, 3, 3), 'float32')
    found = [find_kernel('conv2d', False, *wide([x, w])), find_kernel('conv2d', False, x, w[0]),
             find_kernel('conv2d', False, x[:, 1:], w), find_kernel('conv2d', False, [1.], w),
             find_kernel('conv2d', False, x, w, groups=3), find_kernel('conv2d', False),
             find_kernel('conv2d', False, x, w, w[0, 0, 0]),
             find_kernel('conv2d_backward', False, x[:, :, 1:], (x, w, None, dict(
                 stride=1, pad=1, dilation=1), 1))]
    assert found == [None] * 8
    assert find_kernel('conv2d', False, x=x, w=w)


def test_a_view_of_a_crop_is_not_copied():
    x = np.ones((1, 9, 8, 16), 'float32').transpose(0, 3, 1, 2)
    assert np.shares_memory(rows.channels_last(x[:, :, 2:, 3:-1]), x)
    assert rows.channels_last(np.ones((1, 16, 9, 8), 'float32')).flags.c_contiguous


def test_few_rows_of_many_pictures_are_one_block():
    assert [*rows.blocks(slice(0, 12), 3, 7)] == [(slice(0, 2), slice(0, 3)),
                                                  (slice(2, 4), slice(0, 3))]
    assert [*rows.blocks(slice(2, 9), 4, 3)] == [
        (slice(0, 1), slice(2, 4)), (slice(1, 2), slice(0, 2)), (slice(1, 2), slice(2, 4)),
        (slice(2, 3), slice(0, 1))]
