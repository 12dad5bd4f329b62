"""The three convolution algorithms on the CPU, each against the reference on random geometry.

The reference computes in float64 from the same numbers, so what is measured is an algorithm's own
rounding error.
"""
import threading
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tinyfcn import ops
from tinyfcn.dispatch import exact, reference_only
from tinyfcn.kernels import registry
from tinyfcn.kernels.convolution import Geometry
from tinyfcn.kernels.cpu import blocking, conv, direct, small_maps, winograd
from tinyfcn.kernels.cpu.vec import LOWEST
from tinyfcn.kernels.registry import find_kernel
from tinyfcn.ops.fused import conv_relu, conv_relu_backward

# by name: the algorithm, and its largest error in units of the largest value
ALGORITHMS = {
    'direct': (direct, 2e-6),
    'small_maps': (small_maps, 2e-6),
    'winograd': (winograd, 1e-5),
}
LAYOUTS = ('C order', 'channels last', 'sliced', 'backwards')


def change_layout(x, layout):
    """The same values in another memory layout, read-only."""
    if layout == 'channels last' and x.ndim == 4:
        x = x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    elif layout == 'sliced':
        larger = np.full([2 * n + 1 for n in x.shape], np.nan, x.dtype)
        every_second = tuple(slice(1, None, 2) for _ in x.shape)
        larger[every_second] = x
        x = larger[every_second]
    elif layout == 'backwards':
        back = (slice(None, None, -1),) * min(x.ndim, 3)
        x = x[back].copy()[back]
    x.flags.writeable = False
    return x


def assert_close(a, b, tol, name=''):
    if b is None:
        assert a is None, name
        return
    assert (a.shape, a.dtype) == (b.shape, np.float32), name
    error = np.abs(a - b).max() / max(1, np.abs(b).max())
    assert error <= tol, f'{name} differs by {error:.2g} of the maximum'


def assert_same_cache(a, b):
    assert len(a) == len(b)
    assert all(p is q if isinstance(p, np.ndarray) else p == q for p, q in zip(a, b))


def to_float64(arrays):
    return [a if a is None else a.astype('float64') for a in arrays]


@pytest.fixture
def use_only(monkeypatch):
    """Let one algorithm take every problem, and three threads share even the smallest."""
    def use(algorithm, threads=3):
        monkeypatch.setattr(registry, '_kernels', {})
        conv.register(lambda problem: algorithm, exact=False)
        monkeypatch.setattr(registry, 'MIN_SIZE', 1)
        monkeypatch.setattr(blocking, 'MIN_WORK', 1)
        monkeypatch.setenv('TINYFCN_THREADS', str(threads))
    return use


@st.composite
def problems(draw, three_by_three):
    """(x, w, b), kwargs, wanted gradients, a random stream, a layout: any strides, tiny images."""
    def integer(least, most):
        return draw(st.integers(least, most))

    groups = integer(1, 3)
    c, k = integer(1, 20), integer(1, 20) * groups
    if three_by_three:
        ksize, kwargs = (3, 3), dict(pad=(integer(0, 4), integer(0, 4)))
    else:
        ksize = integer(1, 5), integer(1, 4)
        kwargs = dict(stride=(integer(1, 4), integer(1, 3)), pad=(integer(0, 5), integer(0, 5)),
                      dilation=(integer(1, 3), integer(1, 2)))
    dilation, pad = kwargs.get('dilation', (1, 1)), kwargs['pad']
    size = [integer(max(1, d * (n - 1) + 1 - 2 * p), 14) if d * (n - 1) + 1 - 2 * p <= 14 else
            d * (n - 1) + 1 for n, d, p in zip(ksize, dilation, pad)]
    rng = np.random.default_rng(integer(0, 9999))
    arrays = [rng.standard_normal((integer(1, 3), c * groups, *size), 'float32'),
              rng.standard_normal((k, c, *ksize), 'float32'),
              rng.standard_normal(k, 'float32') if integer(0, 1) else None]
    arrays = [a if a is None else change_layout(a, draw(st.sampled_from(LAYOUTS)))
              for a in arrays]
    want = [bool(integer(0, 1)) for _ in 'xwb']
    return arrays, dict(kwargs, groups=groups), want, rng, draw(st.sampled_from(LAYOUTS))


def check(op, arrays, kwargs, want, rng, layout, tol):
    """Values, cache, every gradient that is wanted and no other; the same bits when run twice."""
    y, cache = op(*arrays, **kwargs)
    true_y, true_cache = op.reference(*to_float64(arrays), **kwargs)
    assert_close(y, true_y, tol, 'y')
    assert_same_cache(cache, op.reference(*arrays, **kwargs)[1])
    assert y.strides[1] == y.itemsize or y.shape[1] == 1                    # channels last
    dy = change_layout(rng.standard_normal(y.shape, 'float32'), layout)
    grads = op.backward(dy, cache, want)
    true_grads = op.backward(dy.astype('float64'), true_cache, want)
    for name, a, b in zip(('dx', 'dw', 'db'), grads, true_grads, strict=True):
        assert_close(a, b, tol, name)
    assert all(wanted or a is None for a, wanted in zip(grads, want))
    again = [op(*arrays, **kwargs)[0], *op.backward(dy, cache, want)]
    for a, b in zip([y, *grads], again):
        np.testing.assert_array_equal(a, b)


def transposed(arrays, kwargs, rng):
    """The convolution's w, now for its transpose: x has the channels that y had."""
    x, w, b = arrays
    channels = w.shape[1] * kwargs['groups']
    x = rng.standard_normal((len(x), len(w), *(min(n, 6) for n in x.shape[2:])), 'float32')
    stride, pad = kwargs.get('stride', (1, 1)), kwargs['pad']
    least = [d * (k - 1) + (n - 1) * s for k, d, n, s in
             zip(w.shape[2:], kwargs.get('dilation', (1, 1)), x.shape[2:], stride)]
    pad = tuple(min(p, n // 2) for p, n in zip(pad, least))                 # else y would be empty
    output_padding = tuple(int(rng.integers(s)) for s in stride)
    b = None if b is None else rng.standard_normal(channels, 'float32')
    return [x, w, b], dict(kwargs, pad=pad, output_padding=output_padding)


@pytest.mark.parametrize('name', ALGORITHMS)
def test_an_algorithm_agrees_with_the_reference(name, use_only):
    algorithm, tol = ALGORITHMS[name]
    use_only(algorithm)

    @settings(max_examples=300, deadline=None, derandomize=True, database=None,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(problems(name == 'winograd'))
    def run(problem):
        arrays, kwargs, want, rng, layout = problem
        assert find_kernel('conv2d', False, *arrays, **kwargs)
        check(ops.conv2d, arrays, kwargs, want, rng, layout, tol)
        arrays, kwargs = transposed(arrays, kwargs, rng)
        assert find_kernel('conv_transpose2d', False, *arrays, **kwargs)
        check(ops.conv_transpose2d, arrays, kwargs, want, rng, layout, tol)

    run()


def slice_of_a_larger_array(shape):
    """Some of the channels of a channels-last array that is 7 everywhere."""
    n, c, h, w = shape
    larger = np.full((n, h, w, c + 11), 7, 'float32').transpose(0, 3, 1, 2)
    return larger, larger[:, 3:3 + c]


@pytest.mark.parametrize('name', ALGORITHMS)
def test_relu_behind_a_convolution(name, use_only):
    """y, in memory of its own or in a part of a concat, and the gradients at the masked dy."""
    algorithm, tol = ALGORITHMS[name]
    use_only(algorithm)

    @settings(max_examples=100, deadline=None, derandomize=True, database=None,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
    @given(problems(name == 'winograd'), st.booleans())
    def run(problem, into_a_slice):
        arrays, kwargs, want, rng, layout = problem
        true_y, _ = conv_relu.reference(*to_float64(arrays), **kwargs)
        larger, out = slice_of_a_larger_array(true_y.shape) if into_a_slice else (None, None)
        assert find_kernel('conv_relu', False, *arrays, **kwargs, out=out)
        y, cache = conv_relu(*arrays, **kwargs, out=out)
        assert out is None or y is out
        assert_close(y, true_y, tol, 'y')
        if into_a_slice:
            out[...] = 7
            assert (larger == 7).all()                              # nothing beside y was written
            y[...] = true_y
        dy = change_layout(rng.standard_normal(y.shape, 'float32'), layout)
        assert find_kernel('conv_relu_backward', False, dy, cache)
        true_cache = tuple(to_float64(cache[0][:3])) + cache[0][3:], np.asarray(y, 'float64')
        true_grads = conv_relu.backward(dy.astype('float64'), true_cache, want)
        grads = conv_relu.backward(dy, cache, want)
        for grad_name, a, b in zip(('dx', 'dw', 'db'), grads, true_grads, strict=True):
            assert_close(a, b, tol, grad_name)

    run()


def test_relu_behind_a_convolution_keeps_nan(use_only):
    rng = np.random.default_rng(9)
    x = rng.standard_normal((1, 5, 9, 9), 'float32')
    x[0, 2, 4, 4] = np.nan
    w = rng.standard_normal((20, 5, 3, 3), 'float32')
    use_only(direct)
    y, cache = conv_relu(x, w)
    true_y, _ = conv_relu.reference(x, w)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(true_y))
    assert np.isnan(y).any() and not np.isnan(y).all()
    dy = np.ones_like(y)
    dx, _, _ = conv_relu.backward(dy, cache)
    true_dx, _, _ = conv_relu_backward.reference(dy, cache)
    np.testing.assert_allclose(dx, true_dx, rtol=1e-4, atol=1e-4)       # NaN is not above 0


@pytest.mark.parametrize('kind', ['C order', 'in the memory of x', 'read-only'])
def test_out_that_a_kernel_cannot_write_to_at_once(kind, use_only):
    """The result is that of the reference; so is the error."""
    use_only(direct)
    rng = np.random.default_rng(8)
    pixels = rng.standard_normal((1, 8, 8, 24), 'float32')
    x = pixels.transpose(0, 3, 1, 2)[:, :12]
    w = rng.standard_normal((12, 12, 3, 3), 'float32')
    true_y, _ = conv_relu.reference(x, w, pad=1)
    out = {'C order': np.empty((1, 12, 8, 8), 'float32'), 'in the memory of x': x,
           'read-only': np.empty((1, 8, 8, 12), 'float32').transpose(0, 3, 1, 2)}[kind]
    out.flags.writeable = kind != 'read-only'
    assert find_kernel('conv_relu', False, x, w, pad=1, out=out)
    if kind == 'read-only':
        with pytest.raises(ValueError):
            conv_relu(x, w, pad=1, out=out)
        return
    y, _ = conv_relu(x, w, pad=1, out=out)
    assert y is out
    np.testing.assert_allclose(out, true_y, rtol=1e-4, atol=1e-4)


# c, k, ksize, size, geometry and the algorithm that is chosen: by default, and inside exact()
CASES = {
    'a 3×3 of VGG':          (64, 80, 3, 48, dict(pad=1), winograd, direct),
    'the same, dilated':     (64, 80, 3, 48, dict(pad=2, dilation=2), direct, direct),
    'a small map':           (64, 300, 3, 8, dict(pad=1), small_maps, small_maps),
    'a first layer':         (3, 64, 3, 60, dict(pad=30), direct, direct),
    'an expand layer':       (16, 64, 3, 24, dict(pad=1), direct, direct),
    'a larger one':          (16, 64, 3, 50, dict(pad=1), winograd, direct),
    'the stem of a ResNet':  (3, 64, 7, 65, dict(pad=3, stride=2), direct, direct),
    'a 3×3 at stride 2':     (32, 32, 3, 33, dict(pad=1, stride=2), direct, direct),
    '1×1':                   (48, 32, 1, 20, {}, direct, direct),
    '1×1 of a ResNet':       (160, 70, 1, 20, {}, direct, direct),
    '1×1 at stride 2':       (48, 32, 1, 61, dict(stride=2), direct, direct),
    'fc6':                   (32, 256, 7, 10, {}, small_maps, small_maps),
    'two groups of AlexNet': (48, 64, 5, 27, dict(pad=2, groups=2), direct, direct),
    'a learned deconv':      (21, 21, 4, 34, dict(stride=2), direct, direct),
    'thin and small':        (4, 4, 3, 20, dict(pad=1), None, None),
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
@pytest.mark.parametrize('exactly', [False, True], ids=['default', 'exact'])
def test_layers_of_nets(case, exactly, monkeypatch):
    c, k, ksize, size, kwargs, *expected = case
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, c, size, size), 'float32')
    w = rng.standard_normal((k, c // kwargs.get('groups', 1), ksize, ksize), 'float32')
    b = rng.standard_normal(k, 'float32')
    used = []
    for algorithm, _ in ALGORITHMS.values():
        monkeypatch.setattr(algorithm, 'convolve', record_use(algorithm, used))
    with exact() if exactly else nullcontext():
        y, cache = ops.conv2d(x, w, b, **kwargs)
        assert (used or [None]) == [expected[exactly]] * max(1, kwargs.get('groups', 1))
        dy = rng.standard_normal(y.shape, 'float32')
        grads = ops.conv2d.backward(dy, cache)
    true_y, true_cache = ops.conv2d.reference(*to_float64([x, w, b]), **kwargs)
    true_grads = ops.conv2d.backward(dy.astype('float64'), true_cache)
    tol = 1e-5 if expected[exactly] is winograd else 3e-6
    for name, a, b in zip(('y', 'dx', 'dw', 'db'), (y, *grads), (true_y, *true_grads)):
        assert np.abs(a - b).max() <= tol * np.abs(b).max(), name


def record_use(algorithm, used):
    """algorithm.convolve, which appends the algorithm to `used` first."""
    convolve = algorithm.convolve

    def recorded(*args):
        used.append(algorithm)
        return convolve(*args)
    return recorded


# c, k, size: the largest error of y, dx and dw measured, in millionths of the largest value; the
# second number was measured with the points 0, ±1, ±2 of the paper
WINOGRAD_ERRORS = {
    (16, 64, 60): (1.1, 6.0),
    (64, 64, 60): (1.5, 7.1),
    (128, 128, 40): (1.9, 9.5),
    (256, 256, 30): (4.6, 13),
    (512, 512, 24): (4.1, 17),
    (16, 512, 21): (3.4, 18),
}


@pytest.mark.parametrize('c, k, size', WINOGRAD_ERRORS)
def test_the_rounding_error_of_winograd_is_small(c, k, size):
    """Of a layer with He initialisation, forward and in each gradient; the paper has twice it."""
    rng = np.random.default_rng(2)
    x = np.maximum(rng.standard_normal((1, size, size, c), 'float32'), 0)
    w = rng.standard_normal((k, c, 3, 3), 'float32') * np.float32((2 / 9 / c) ** .5)
    dy = rng.standard_normal((1, size, size, k), 'float32')
    geometry = Geometry((1, 1), (1, 1), (1, 1))
    results = [np.empty_like(a) for a in (dy, x, w)]
    winograd.convolve(x, w, None, results[0], geometry, LOWEST)
    winograd.convolve_transposed(dy, w, results[1], geometry)
    winograd.weight_gradient(x, dy, results[2], geometry)
    x, w, dy = to_float64([x, w, dy])
    y, cache = ops.conv2d.reference(x.transpose(0, 3, 1, 2), w, pad=1)
    dx, dw, _ = ops.conv2d.backward(dy.transpose(0, 3, 1, 2), cache)
    expected = y.transpose(0, 2, 3, 1), dx.transpose(0, 2, 3, 1), dw
    largest = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(results, expected))
    measured, of_the_paper = WINOGRAD_ERRORS[c, k, size]
    assert 1e6 * largest <= min(1.3 * measured, of_the_paper / 2)


@pytest.mark.parametrize('name', ALGORITHMS)
def test_four_threads_at_once(name, use_only):
    algorithm, _ = ALGORITHMS[name]
    use_only(algorithm)
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
    run(results[0])                                                 # with no other thread
    for own in results:
        assert len(own) == 5
        for a, b in zip(own, results[0]):
            for p, q in zip(a, b):
                np.testing.assert_array_equal(p, q)


def test_nested_blocks_never_allow_more_kernels(monkeypatch):
    """Of exact() and reference_only() the stricter holds, in either order; errors leave a block."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((1, 64, 62, 62), 'float32')
    w = rng.standard_normal((64, 64, 3, 3), 'float32')
    used = []
    for algorithm in winograd, direct:
        monkeypatch.setattr(algorithm, 'convolve', record_use(algorithm, used))
    for outer, inner in (exact, reference_only), (reference_only, exact):
        with outer(), inner():
            ops.conv2d(x, w, pad=1)
        assert used == []
    with pytest.raises(KeyError), exact():
        with exact():
            pass
        ops.conv2d(x, w, pad=1)
        raise KeyError
    ops.conv2d(x, w, pad=1)
    assert used == [direct, winograd]


def test_weights_may_change_in_place():
    """Nothing of w is kept from one call to the next."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, 64, 62, 62), 'float32')
    w = rng.standard_normal((64, 64, 3, 3), 'float32')
    before, _ = ops.conv2d(x, w, pad=1)
    w *= 2
    np.testing.assert_array_equal(ops.conv2d(x, w, pad=1)[0], 2 * before)


def test_an_unwanted_gradient_is_not_computed(monkeypatch):
    """The first layer of a net needs no dx."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((1, 64, 62, 62), 'float32')
    y, cache = ops.conv2d(x, rng.standard_normal((64, 64, 3, 3), 'float32'), pad=1)
    monkeypatch.setattr(winograd, 'convolve_transposed', None)      # a call raises TypeError
    dx, dw, _ = ops.conv2d.backward(y, cache, want=(False, True, False))
    assert dx is None and dw.shape == (64, 64, 3, 3)
    with pytest.raises(TypeError):
        ops.conv2d.backward(y, cache)


def test_unsupported_arguments_have_no_kernel():
    """float64, and everything that the reference rejects."""
    x, w = np.ones((1, 64, 62, 62), 'float32'), np.ones((64, 64, 3, 3), 'float32')
    geometry = dict(stride=1, pad=1, dilation=1)
    found = [find_kernel('conv2d', False, *to_float64([x, w])),
             find_kernel('conv2d', False, x, w[0]),
             find_kernel('conv2d', False, x[:, 1:], w), find_kernel('conv2d', False, [1.], w),
             find_kernel('conv2d', False, x, w, groups=3), find_kernel('conv2d', False),
             find_kernel('conv2d', False, x, w, w[0, 0, 0]),
             find_kernel('conv2d_backward', False, x[:, :, 1:], (x, w, None, geometry, 1)),
             find_kernel('conv_relu', False, x, w, out=x[:, :, 1:-1, 1:]),
             find_kernel('conv_relu_backward', False, x, ((x, w, None, geometry, 1), x[:, 1:]))]
    assert found == [None] * 10
    assert find_kernel('conv2d', False, x=x, w=w)


def test_channels_last_does_not_copy_a_crop():
    x = np.ones((1, 9, 8, 16), 'float32').transpose(0, 3, 1, 2)
    assert np.shares_memory(blocking.channels_last(x[:, :, 2:, 3:-1]), x)
    assert blocking.channels_last(np.ones((1, 16, 9, 8), 'float32')).flags.c_contiguous


@pytest.mark.parametrize('threads', [1, 2, 3, 5])
def test_channels_last_copies_every_image(threads, monkeypatch):
    """Whatever rows a thread has: some of one image, or the end of one and the next."""
    monkeypatch.setattr(blocking, 'MIN_WORK', 1)
    monkeypatch.setenv('TINYFCN_THREADS', str(threads))
    x = np.arange(3 * 2 * 4 * 5, dtype='float32').reshape(3, 2, 4, 5)
    np.testing.assert_array_equal(blocking.channels_last(x), x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize('name', ALGORITHMS)
def test_the_number_of_threads_changes_no_bit(name, use_only, monkeypatch):
    algorithm, _ = ALGORITHMS[name]
    use_only(algorithm)
    monkeypatch.setattr(small_maps, 'LEAST_BLOCK', 16)      # or this would all be one block
    rng = np.random.default_rng(7)
    results = []
    x = rng.standard_normal((3, 70, 33, 29), 'float32')
    w = rng.standard_normal((90, 70, 3, 3), 'float32')
    b = rng.standard_normal(90, 'float32')
    for threads in 1, 2, 3, 5:
        monkeypatch.setenv('TINYFCN_THREADS', str(threads))
        y, cache = ops.conv2d(x, w, b, pad=1)
        results.append([y, *ops.conv2d.backward(y, cache)])
        y, cache = conv_relu(x, w, b, pad=1)
        results[-1] += [y, *conv_relu.backward(y, cache)]
    for own in results[1:]:
        for a, b in zip(own, results[0]):
            np.testing.assert_array_equal(a, b)
