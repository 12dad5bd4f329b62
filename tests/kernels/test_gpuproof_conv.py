"""Convolution algorithms and normalisations of the GPU against the reference, without a GPU.

The .cu kernels run in tests/cuda_emulator.py, products in tests/fake_cuda/. The reference computes
in float64. Scratch memory is sometimes so small that a layer runs in several pieces.
"""
import numpy as np
import pytest
from cuda_emulator import emulate, use_emulator
from fake_cuda.driver import counting
from hypothesis import HealthCheck, given, settings, strategies as st
from test_cpu_conv import problems, to_float64, transposed

from tinyfcn import ops
from tinyfcn.dispatch import exact
from tinyfcn.kernels import registry
from tinyfcn.kernels.convolution import Geometry
from tinyfcn.kernels.gpu import conv, conv1x1, im2col, norm, winograd
from tinyfcn.kernels.gpu.product import RUN
from tinyfcn.kernels.registry import find_kernel
from tinyfcn.ops.fused import conv_relu

pytestmark = pytest.mark.gpuproof

# by name: the algorithm, and its largest error in units of the largest value
ALGORITHMS = {'im2col': (im2col, 2e-6), 'conv1x1': (conv1x1, 2e-6), 'winograd': (winograd, 1e-5)}
FEW = settings(max_examples=25, deadline=None, derandomize=True, database=None,
               suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def cupy(real_cupy):
    with use_emulator():
        yield real_cupy


def upload(cupy, x, layout):
    """x on the GPU, in the memory layout that a crop or a transpose would leave."""
    if x is None:
        return None
    if layout == 'sliced':
        larger = cupy.asarray(np.full([2 * n + 1 for n in x.shape], np.nan, x.dtype))
        every_second = tuple(slice(1, None, 2) for _ in x.shape)
        larger[every_second] = cupy.asarray(x.copy())
        return larger[every_second]
    if layout == 'transposed':
        return cupy.asarray(x.T.copy()).T
    return cupy.asarray(x.copy())


def assert_close(a, b, tol, what):
    if b is None:
        assert a is None, what
        return
    a = a.get()
    assert a.shape == b.shape, what
    error = np.abs(a - b).max() / max(1, np.abs(b).max())
    assert error <= tol, f'{what} differs by {error:.2g} of the maximum'


def assert_same_cache(a, b):
    assert len(a) == len(b)
    assert all(p is q if hasattr(p, 'dtype') else p == q for p, q in zip(a, b))


def check(cupy, op, arrays, kwargs, want, rng, layout, dtype, tol):
    """Values, cache, every wanted gradient and no other; the same bits in both thread orders."""
    arrays = [a if a is None else a.astype(dtype) for a in arrays]
    true_y, true_cache = op.reference(*to_float64(arrays), **kwargs)
    dy = rng.standard_normal(true_y.shape).astype(dtype)
    true_grads = op.backward.reference(dy.astype('float64'), true_cache, want)
    on_gpu, gpu_dy = [upload(cupy, a, layout) for a in arrays], upload(cupy, dy, layout)
    assert find_kernel(op.__name__, False, *on_gpu, **kwargs)

    with counting() as counts:
        y, cache = op(*on_gpu, **kwargs)
        grads = op.backward(gpu_dy, cache, want)
    assert (counts['uploads'], counts['downloads'], counts['waits']) == (0, 0, 0)
    with emulate(order='reverse'):
        again = [op(*on_gpu, **kwargs)[0], *op.backward(gpu_dy, cache, want)]

    assert_same_cache(cache, op.reference(*on_gpu, **kwargs)[1])
    for name, own, other, true in zip(('y', 'dx', 'dw', 'db'), (y, *grads), again,
                                      (true_y, *true_grads), strict=True):
        assert_close(own, true, tol, name)
        assert own is None or (own.dtype == dtype and own.flags.c_contiguous), name
        assert own is None or own.get().tobytes() == other.get().tobytes(), name


def problems_for(name):
    """Problems that an algorithm supports: 1×1 windows at stride 1, or 3×3 ones for Winograd."""
    def to_1x1(problem):
        (x, w, b), kwargs, *rest = problem
        return [x, w[:, :, :1, :1], b], dict(groups=1), *rest

    def has_one_group(problem):
        return problem[1]['groups'] == 1

    if name == 'conv1x1':
        return problems(False).filter(has_one_group).map(to_1x1)
    if name == 'winograd':
        return problems(True).filter(has_one_group)
    return problems(False)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', ALGORITHMS)
def test_an_algorithm_agrees_with_the_reference(cupy, name, dtype, monkeypatch):
    algorithm, tol = ALGORITHMS[name]
    monkeypatch.setattr(registry, '_kernels', {})
    conv.register(lambda problem: algorithm, exact=False)

    @FEW
    @given(problems_for(name), st.sampled_from(['C order', 'sliced', 'transposed']), st.booleans())
    def run(problem, layout, in_pieces):
        arrays, kwargs, want, rng, _ = problem
        monkeypatch.setattr(im2col, 'MAX_PIECE', 20000 if in_pieces else 1 << 28)
        monkeypatch.setattr(im2col, 'MIN_SUM', 3 if in_pieces else 512)
        tolerance = tol if dtype == 'float32' else 1e-12
        check(cupy, ops.conv2d, arrays, kwargs, want, rng, layout, dtype, tolerance)
        if name == 'conv1x1':
            arrays[0] = rng.standard_normal((2, len(arrays[1]), 3, 4), 'float32')
            arrays[2] = None
        else:
            arrays, kwargs = transposed(arrays, kwargs, rng)
            if name == 'winograd':
                kwargs['output_padding'] = 0
        check(cupy, ops.conv_transpose2d, arrays, kwargs, want, rng, layout, dtype, tolerance)

    run()


# c, k, ksize, size, geometry and the algorithm that is chosen: by default, and inside exact()
CASES = {
    'a 3×3 of VGG':          (32, 48, 3, 24, dict(pad=1), winograd, im2col),
    'the same, dilated':     (32, 48, 3, 24, dict(pad=2, dilation=2), im2col, im2col),
    'a small map':           (48, 64, 3, 8, dict(pad=1), im2col, im2col),
    'a first layer':         (3, 32, 3, 20, dict(pad=10), im2col, im2col),
    'a 3×3 at stride 2':     (32, 32, 3, 23, dict(pad=1, stride=2), im2col, im2col),
    '1×1':                   (48, 32, 1, 32, {}, conv1x1, conv1x1),
    '1×1 of small maps':     (48, 32, 1, 9, {}, im2col, im2col),
    '1×1 at stride 2':       (48, 32, 1, 33, dict(stride=2), im2col, im2col),
    'fc6':                   (16, 64, 7, 10, {}, im2col, im2col),
    'two groups of AlexNet': (24, 32, 5, 13, dict(pad=2, groups=2), im2col, im2col),
    'one group a channel':   (16, 16, 3, 24, dict(pad=1, groups=16), im2col, im2col),
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_layers_of_nets(cupy, case, monkeypatch):
    c, k, ksize, size, kwargs, by_default, when_exact = case
    rng = np.random.default_rng(1)
    used = []
    x = rng.standard_normal((2, c, size, size), 'float32')
    w = rng.standard_normal((k, c // kwargs.get('groups', 1), ksize, ksize), 'float32')
    b = rng.standard_normal(k, 'float32')
    for algorithm, _ in ALGORITHMS.values():
        for name in 'convolve', 'convolve_transposed', 'weight_gradient':
            monkeypatch.setattr(algorithm, name,
                                record_use(algorithm, getattr(algorithm, name), used))
    on_gpu = [cupy.asarray(a) for a in (x, w, b)]
    y, cache = ops.conv2d(*on_gpu, **kwargs)
    dy = rng.standard_normal(y.shape, 'float32')
    grads = ops.conv2d.backward(cupy.asarray(dy), cache)
    assert used == [by_default] * 3
    with exact():
        ops.conv2d(*on_gpu, **kwargs)
    assert used[3:] == [when_exact]
    true_y, true_cache = ops.conv2d.reference(*to_float64([x, w, b]), **kwargs)
    true_grads = ops.conv2d.backward(dy.astype('float64'), true_cache)
    tol = 1e-5 if by_default is winograd else 3e-6
    for name, a, b in zip(('y', 'dx', 'dw', 'db'), (y, *grads), (true_y, *true_grads)):
        assert np.abs(a.get() - b).max() <= tol * np.abs(b).max(), name


@pytest.mark.parametrize('is_part', [False, True], ids=['y', 'a part of a concat'])
@pytest.mark.parametrize('images', [1, 2])
@pytest.mark.parametrize('name', ALGORITHMS)
def test_relu_behind_a_convolution(cupy, name, images, is_part, monkeypatch):
    """The bits of a convolution and of ReLU, forward and backward; a NaN stays one."""
    monkeypatch.setattr(registry, '_kernels', {})
    conv.register(lambda problem: ALGORITHMS[name][0], exact=False)
    rng = np.random.default_rng(2)
    ksize = 1 if name == 'conv1x1' else 3
    x = rng.standard_normal((images, 4, 9, 8), 'float32')
    x[-1, 0, 8, 7] = np.nan
    x = cupy.asarray(x)
    w = cupy.asarray(rng.standard_normal((5, 4, ksize, ksize), 'float32'))
    b = cupy.asarray(rng.standard_normal(5, 'float32'))
    dy = cupy.asarray(rng.standard_normal((images, 5, 9, 8), 'float32'))
    geometry = dict(pad=ksize // 2)
    whole = cupy.asarray(np.full((images, 8, 9, 8), -7, 'float32'))
    out = whole[:, 2:7] if is_part else None
    for bias in b, None:
        has_kernel = find_kernel('conv_relu', False, x, w, bias, **geometry, out=out)
        assert bool(has_kernel) == (images == 1 or not is_part)     # else the reference copies
        y, cache = conv_relu(x, w, bias, **geometry, out=out)
        before, conv_cache = ops.conv2d(x, w, bias, **geometry)
        np.testing.assert_array_equal(y.get(), np.maximum(before.get(), 0))
        assert np.isnan(y.get()).any() and not np.isnan(y.get()).all()
        assert_same_cache(cache[0], conv_cache)
        assert cache[1] is y
        if is_part:
            assert y is out and (whole.get()[:, [0, 1, 7]] == -7).all()
        assert find_kernel('conv_relu_backward', False, dy, cache)
        masked = cupy.where(y > 0, dy, 0)
        for own, expected in zip(conv_relu.backward(dy, cache),
                                 ops.conv2d.backward(masked, conv_cache), strict=True):
            assert own is expected is None or own.get().tobytes() == expected.get().tobytes()


def test_out_may_be_the_input(cupy):
    x = np.random.default_rng(3).standard_normal((1, 4, 9, 8), 'float32')
    w = np.random.default_rng(4).standard_normal((4, 4, 3, 3), 'float32')
    expected, _ = conv_relu(x, w, pad=1)
    x = cupy.asarray(x)
    y, _ = conv_relu(x, cupy.asarray(w), pad=1, out=x)
    assert y is x
    assert_close(y, expected, 2e-6, 'y')


def record_use(algorithm, function, used):
    """The function, which appends the algorithm to `used` first."""
    def recorded(*args):
        used.append(algorithm)
        return function(*args)
    return recorded


def test_pieces_cover_every_place_once_and_fit_into_scratch_memory(monkeypatch):
    rng = np.random.default_rng(8)
    for _ in range(300):
        places, values, results, scratch = (int(rng.integers(1, largest))
                                            for largest in (900, 400, 200, 60000))
        monkeypatch.setattr(im2col, 'MAX_PIECE', scratch)
        monkeypatch.setattr(im2col, 'MIN_SUM', 7)
        monkeypatch.setattr(im2col, 'MAX_SUMS', 1000)
        firsts, counts = zip(*im2col.pieces(places, values))
        assert firsts == tuple(np.cumsum((0, *counts[:-1])))
        assert firsts[-1] < places <= sum(counts) < places + RUN
        assert max(counts) == RUN or max(counts) * values <= scratch
        count, blocks, at_once = im2col.split_sum(places, results, values)
        assert (blocks - 1) * count < places <= blocks * count
        assert (count, at_once) == (RUN, 1) or count * values * at_once <= scratch
        assert not any(each % RUN for each in (*counts, count))


def test_the_gradient_of_few_filters_is_split_into_many_blocks():
    """conv1_2 of VGG-16 at 698×698: 64 by 64 sums over 30625 tiles would not occupy a GPU."""
    count, blocks, at_once = im2col.split_sum(175 ** 2, 36 * 64 * 64, 36 * 128)
    assert blocks > 30 and count > 500 and at_once >= blocks


@pytest.mark.parametrize('algorithm', [im2col, winograd], ids=['im2col', 'winograd'])
def test_an_incomplete_last_block_reads_nothing_outside_the_arrays(cupy, algorithm, monkeypatch):
    """45 places, or 60 tiles, in two blocks of 32, under a sanitizer."""
    monkeypatch.setattr(im2col, 'MIN_SUM', 20)
    n, size = (1, (45, 1)) if algorithm is im2col else (3, (80, 4))
    rng = np.random.default_rng(9)
    x, dy = (rng.standard_normal((n, c, *size), 'float32') for c in (2, 3))
    geometry = Geometry((1, 1), (1, 1), (1, 1))
    with emulate(sanitize='address'):
        dw = algorithm.weight_gradient(cupy.asarray(x), cupy.asarray(dy), (3, 2, 3, 3), geometry, 1)
    _, cache = ops.conv2d.reference(x, np.zeros((3, 2, 3, 3), 'float32'), pad=1)
    assert_close(dw, ops.conv2d.backward.reference(dy, cache)[1], 1e-5, 'dw')


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_batch_norm_agrees_with_the_reference(cupy, dtype, monkeypatch):
    @FEW
    @given(st.tuples(*[st.integers(1, 5)] * 4),
           st.sampled_from(['C order', 'sliced', 'transposed']), st.booleans(), st.booleans(),
           st.booleans(), st.integers(0, 999))
    def run(shape, layout, train, frozen, in_parts, seed):
        monkeypatch.setattr(norm, 'MIN_SLICE', 9 if in_parts else 8192)
        monkeypatch.setattr(norm, 'PART', 11 if in_parts else 2048)
        shape = (*shape[:3], shape[3] + 2)
        rng = np.random.default_rng(seed)
        x = 3 * rng.standard_normal(shape) + 30 * rng.standard_normal((shape[1], 1, 1))
        rest = [rng.standard_normal(shape[1]) for _ in range(4)]
        rest[3] **= 2
        arrays = [a.astype(dtype) for a in (x, *rest)]
        kwargs = dict(train=train, frozen=frozen, eps=1e-3)
        on_gpu = [upload(cupy, a, layout) for a in arrays]
        assert find_kernel('batch_norm', False, *on_gpu, **kwargs)
        y, cache, *state = ops.batch_norm(*on_gpu, **kwargs)
        true_y, true_cache, *true_state = ops.batch_norm.reference(*to_float64(arrays), **kwargs)
        tol = 1e-4 if dtype == 'float32' else 1e-11     # x is about 30 and varies by 3
        assert_close(y, true_y, tol, 'y')
        for own, true in zip(cache[:4], true_cache[:4], strict=True):
            assert_close(own, true, tol, 'cache')
        assert cache[0] is on_gpu[0] and cache[1] is on_gpu[1] and cache[4] == true_cache[4]
        for own, true in zip(*[s[0] if s else () for s in (state, true_state)], strict=True):
            assert_close(own, true, tol, 'state')
        dy = rng.standard_normal(shape).astype(dtype)
        dx, dw, db, *none = ops.batch_norm.backward(upload(cupy, dy, layout), cache)
        true_grads = ops.batch_norm.backward(dy.astype('float64'), true_cache)
        for name, own, true in zip(('dx', 'dw', 'db'), (dx, dw, db), true_grads):
            assert_close(own, true, 10 * tol, name)
        assert none == [None, None]

    run()


def test_a_variance_beside_a_large_mean_is_not_lost(cupy):
    """For values at 1000 that vary by one, Σx² − n·mean² would be 0 in float32."""
    rng = np.random.default_rng(7)
    x = (1000 + rng.standard_normal((2, 3, 60, 70))).astype('float32')
    one, zero = cupy.asarray(np.ones(3, 'float32')), cupy.asarray(np.zeros(3, 'float32'))
    _, (*_, inverse, _), _ = ops.batch_norm(cupy.asarray(x), one, zero, zero, one, train=True,
                                              eps=0.)
    np.testing.assert_allclose(inverse.get(), 1 / x.std((0, 2, 3), dtype='float64'), rtol=1e-5)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('size, channels', [(5, 3), (1, 4), (3, 8), (9, 5), (4, 6), (2, 1)])
def test_local_response_norm_agrees_with_the_reference(cupy, size, channels, dtype):
    rng = np.random.default_rng(size)
    x = rng.standard_normal((2, channels, 4, 7)).astype(dtype)
    kwargs, on_gpu = dict(size=size, alpha=.7, beta=.6, k=2), upload(cupy, x, 'transposed')
    assert find_kernel('local_response_norm', False, on_gpu, **kwargs)
    y, cache = ops.local_response_norm(on_gpu, **kwargs)
    true_y, true_cache = ops.local_response_norm.reference(x.astype('float64'), **kwargs)
    dy = rng.standard_normal(x.shape).astype(dtype)
    dx, = ops.local_response_norm.backward(upload(cupy, dy, 'transposed'), cache)
    true_dx, = ops.local_response_norm.backward(dy.astype('float64'), true_cache)
    tol = 2e-6 if dtype == 'float32' else 1e-13
    for name, own, true in (('y', y, true_y), ('s', cache[2], true_cache[2]), ('dx', dx, true_dx)):
        assert_close(own, true, tol, name)
    assert cache[0] is on_gpu and cache[1] is y and cache[3:] == true_cache[3:]


def test_unsupported_arguments_have_no_kernel(cupy):
    x, w = (cupy.asarray(np.ones(shape, 'float32')) for shape in ((1, 4, 9, 9), (4, 4, 3, 3)))
    b, kwargs = w[:, 0, 0, 0], dict(stride=1, pad=0, dilation=1)
    found = [find_kernel(*call) for call in (
        ('conv2d', False, x, w.astype('float64')), ('conv2d', False, x, w[0]),
        ('conv2d', False, x[:, 1:], w), ('conv2d', False, x.astype('int32'), w),
        ('conv2d', False, x, np.ones((4, 4, 3, 3), 'float32')), ('conv2d', False, x, w, b[1:]),
        ('conv2d_backward', False, x, (x, w, None, kwargs, 1)), ('im2col', False, x[0], 3),
        ('conv_transpose2d', False, x, w[1:]), ('col2im', False, x[0], (9, 9), 3),
        ('col2im', False, x[0], 9, 3),
        ('batch_norm', False, x, b, b, b, b[1:]), ('batch_norm', False, x, b, b, b, b, True, None),
        ('batch_norm', False, x[:, :, :1, :1], b, b, b, b, True),
        ('local_response_norm', False, x, 0), ('local_response_norm', False, x, 5, 'much'))]
    assert found == [None] * len(found)
    assert find_kernel('conv2d', False, x, w) and find_kernel('im2col', False, x, 3)
    with pytest.raises(ValueError, match='3×3'):
        ops.conv2d(x[:, :, :2], w)
