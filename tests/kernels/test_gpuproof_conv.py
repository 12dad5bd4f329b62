"""The GPU's roads of a convolution and its normalisations, held to the definitions on the host.

Kernels are the very texts, made by the host's compiler; products are NumPy's. The definition
computes in float64 on NumPy; scratch memory is sometimes so small that a layer comes in pieces.
"""
import numpy as np
import pytest
from cuda_emulator import running
from fake_cupy import lent
from hypothesis import HealthCheck, given, settings, strategies as st
from test_cpu_conv import problems, transposed, wide

from tinyfcn import ops
from tinyfcn.dispatch import exact
from tinyfcn.kernels import registry
from tinyfcn.kernels.gpu import (
    conv as gpu_conv,
    conv1x1 as gpu_pixels,
    im2col as gpu_columns,
    norm as gpu_norm,
    winograd as gpu_winograd,
)
from tinyfcn.kernels.registry import find_kernel

pytestmark = pytest.mark.gpuproof

ROADS = {'columns': (gpu_columns, 2e-6), 'pixels': (gpu_pixels, 2e-6),
         'winograd': (gpu_winograd, 1e-4)}
REST = settings(max_examples=25, deadline=None, derandomize=True, database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def cupy():
    with lent() as module:
        yield module


def upload(cupy, x, layout):
    """On the card, in the order of memory that a crop, a transpose or a flip would leave."""
    if x is None:
        return None
    if layout == 'sliced':
        whole = cupy.asarray(np.full([2 * n + 1 for n in x.shape], np.nan, x.dtype))
        whole[tuple(slice(1, None, 2) for _ in x.shape)] = cupy.asarray(x.copy())
        return whole[tuple(slice(1, None, 2) for _ in x.shape)]
    if layout == 'turned':
        return cupy.asarray(x.T.copy()).T
    return cupy.asarray(x.copy())


def close(a, b, tol, what):
    if b is None:
        assert a is None, what
        return
    a = a.get()
    assert a.shape == b.shape, what
    error = np.abs(a - b).max() / max(1, np.abs(b).max())
    assert error <= tol, f'{what} differs by {error:.2g} of the maximum'


def same_cache(a, b):
    assert len(a) == len(b)
    assert all(p is q if hasattr(p, 'dtype') else p == q for p, q in zip(a, b))


def judge(cupy, op, arrays, kwargs, want, rng, layout, dtype, tol):
    """Values, cache, each gradient that is wanted and no other; in both orders the same bits."""
    arrays = [a if a is None else a.astype(dtype) for a in arrays]
    true_y, true_cache = op.reference(*wide(arrays), **kwargs)
    dy = rng.standard_normal(true_y.shape).astype(dtype)
    truth = op.backward.reference(dy.astype('float64'), true_cache, want)
    there, there_dy = [upload(cupy, a, layout) for a in arrays], upload(cupy, dy, layout)
    assert find_kernel(op.__name__, False, *there, **kwargs)

    cupy.stats.reset()
    y, cache = op(*there, **kwargs)
    grads = op.backward(there_dy, cache, want)
    with running(order='reverse'):
        again = [op(*there, **kwargs)[0], *op.backward(there_dy, cache, want)]
    assert str(cupy.stats) == '0 uploads, 0 downloads, 0 synchronisations'

    same_cache(cache, op.reference(*there, **kwargs)[1])
    for name, own, other, true in zip(('y', 'dx', 'dw', 'db'), (y, *grads), again,
                                      (true_y, *truth), strict=True):
        close(own, true, tol, name)
        assert own is None or (own.dtype == dtype and own.flags.c_contiguous), name
        assert own is None or own.get().tobytes() == other.get().tobytes(), name


def drawn(name):
    """Problems of a road: of 1×1 windows at stride 1 for pixels, of 3×3 ones for Winograd."""
    def narrowed(problem):
        (x, w, b), kwargs, *rest = problem
        return [x, w[:, :, :1, :1], b], dict(groups=1), *rest
    if name == 'pixels':
        return problems(False).filter(lambda problem: problem[1]['groups'] == 1).map(narrowed)
    return problems(True).filter(lambda problem: problem[1]['groups'] == 1) \
        if name == 'winograd' else problems(False)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', ROADS)
def test_a_road_is_the_definition(cupy, name, dtype, monkeypatch):
    road, tol = ROADS[name]
    monkeypatch.setattr(registry, '_kernels', {})
    gpu_conv.offer(lambda *_: road, exact=False)

    @REST
    @given(drawn(name), st.sampled_from(['C order', 'sliced', 'turned']), st.booleans())
    def run(problem, layout, narrow):
        arrays, kwargs, want, rng, _ = problem
        monkeypatch.setattr(gpu_columns, 'SCRATCH', 20000 if narrow else 1 << 28)
        monkeypatch.setattr(gpu_columns, 'DEEP', 3 if narrow else 512)
        tolerance = tol if dtype == 'float32' else 1e-12
        judge(cupy, ops.conv2d, arrays, kwargs, want, rng, layout, dtype, tolerance)
        if name == 'pixels':
            arrays[0] = rng.standard_normal((2, len(arrays[1]), 3, 4), 'float32')
            arrays[2] = None
        else:
            arrays, kwargs = transposed(arrays, kwargs, rng)
            if name == 'winograd':
                kwargs['output_padding'] = 0
        judge(cupy, ops.conv_transpose2d, arrays, kwargs, want, rng, layout, dtype, tolerance)

    run()


# c, k, ksize, size, geometry and the road that is taken, exact() or not
CASES = {
    'a 3×3 of VGG':          (32, 48, 3, 24, dict(pad=1), gpu_winograd, gpu_columns),
    'its like, dilated':     (32, 48, 3, 24, dict(pad=2, dilation=2), gpu_columns, gpu_columns),
    'a small map':           (48, 64, 3, 8, dict(pad=1), gpu_columns, gpu_columns),
    'a first layer':         (3, 32, 3, 20, dict(pad=10), gpu_columns, gpu_columns),
    'a 3×3 at stride 2':     (32, 32, 3, 23, dict(pad=1, stride=2), gpu_columns, gpu_columns),
    '1×1':                   (48, 32, 1, 32, {}, gpu_pixels, gpu_pixels),
    '1×1 of small maps':     (48, 32, 1, 9, {}, gpu_columns, gpu_columns),
    '1×1 at stride 2':       (48, 32, 1, 33, dict(stride=2), gpu_columns, gpu_columns),
    'fc6':                   (16, 64, 7, 10, {}, gpu_columns, gpu_columns),
    'two groups of AlexNet': (24, 32, 5, 13, dict(pad=2, groups=2), gpu_columns, gpu_columns),
    'every channel alone':   (16, 16, 3, 24, dict(pad=1, groups=16), gpu_columns, gpu_columns),
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_layers_of_nets(cupy, case, monkeypatch):
    c, k, ksize, size, kwargs, fast, slow = case
    rng, taken = np.random.default_rng(1), []
    x = rng.standard_normal((2, c, size, size), 'float32')
    w = rng.standard_normal((k, c // kwargs.get('groups', 1), ksize, ksize), 'float32')
    b = rng.standard_normal(k, 'float32')
    for road, _ in ROADS.values():
        for name in 'convolve', 'transpose', 'correlate':
            monkeypatch.setattr(road, name, spied(road, getattr(road, name), taken))
    there = [cupy.asarray(a) for a in (x, w, b)]
    y, cache = ops.conv2d(*there, **kwargs)
    dy = rng.standard_normal(y.shape, 'float32')
    grads = ops.conv2d.backward(cupy.asarray(dy), cache)
    assert taken == [fast] * 3
    with exact():
        ops.conv2d(*there, **kwargs)
    assert taken[3:] == [slow]
    true_y, true_cache = ops.conv2d.reference(*wide([x, w, b]), **kwargs)
    truth = ops.conv2d.backward(dy.astype('float64'), true_cache)
    for name, a, b in zip(('y', 'dx', 'dw', 'db'), (y, *grads), (true_y, *truth)):
        assert np.abs(a.get() - b).max() <= (1e-4 if fast is gpu_winograd else 3e-6) \
            * np.abs(b).max(), name


def spied(road, verb, taken):
    def spy(*args):
        taken.append(road)
        return verb(*args)
    return spy


def test_pieces_are_all_places_once_and_fit_into_scratch_memory(monkeypatch):
    rng = np.random.default_rng(8)
    for _ in range(300):
        places, each, sums, scratch = (int(rng.integers(1, most)) for most in (900, 400, 200, 3000))
        monkeypatch.setattr(gpu_columns, 'SCRATCH', scratch)
        monkeypatch.setattr(gpu_columns, 'DEEP', 7)
        monkeypatch.setattr(gpu_columns, 'SUMS', 1000)
        firsts, counts = zip(*gpu_columns.pieces(places, each))
        assert firsts == tuple(np.cumsum((0, *counts[:-1]))) and sum(counts) == places
        assert max(counts) == 1 or max(counts) * each <= scratch
        count, blocks, most = gpu_columns.shares(places, sums, each)
        assert (blocks - 1) * count < places <= blocks * count
        assert (count, most) == (1, 1) or count * each * most <= scratch


def test_a_graphics_card_is_filled_by_the_gradient_of_few_filters():
    """conv1_2 of VGG-16 at 698×698: 64 by 64 sums over 30625 tiles, in many blocks, not in one."""
    count, blocks, most = gpu_columns.shares(175 ** 2, 36 * 64 * 64, 36 * 128)
    assert blocks > 30 and count > 500 and most >= blocks


@pytest.mark.parametrize('road', [gpu_columns, gpu_winograd], ids=['columns', 'winograd'])
def test_a_last_block_that_is_not_full_reads_nothing_beyond(cupy, road, monkeypatch):
    """13 places, and 15 tiles, in blocks of 7 and 8: one is missing, and a sanitizer watches."""
    monkeypatch.setattr(gpu_columns, 'DEEP', 6)
    n, size = (1, (13, 1)) if road is gpu_columns else (3, (20, 4))
    rng = np.random.default_rng(9)
    x, dy = (rng.standard_normal((n, c, *size), 'float32') for c in (2, 3))
    geometry = (1, 1), (1, 1), (1, 1)
    with running(sanitize='address'):
        dw = road.correlate(cupy.asarray(x), cupy.asarray(dy), (3, 2, 3, 3), geometry, 1)
    _, cache = ops.conv2d.reference(x, np.zeros((3, 2, 3, 3), 'float32'), pad=1)
    close(dw, ops.conv2d.backward.reference(dy, cache)[1], 1e-5, 'dw')


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_batch_norm_is_its_definition(cupy, dtype, monkeypatch):
    @REST
    @given(st.tuples(*[st.integers(1, 5)] * 4), st.sampled_from(['C order', 'sliced', 'turned']),
           st.booleans(), st.booleans(), st.booleans(), st.integers(0, 999))
    def run(shape, layout, train, frozen, narrow, seed):
        monkeypatch.setattr(gpu_norm, 'SLICE', 9 if narrow else 8192)
        monkeypatch.setattr(gpu_norm, 'PART', 11 if narrow else 2048)
        shape = (shape[0], shape[1], shape[2], shape[3] + 2)
        rng = np.random.default_rng(seed)
        x = 3 * rng.standard_normal(shape) + 30 * rng.standard_normal((shape[1], 1, 1))
        rest = [rng.standard_normal(shape[1]) for _ in range(4)]
        rest[3] **= 2
        arrays = [a.astype(dtype) for a in (x, *rest)]
        kwargs = dict(train=train, frozen=frozen, eps=1e-3)
        there = [upload(cupy, a, layout) for a in arrays]
        assert find_kernel('batch_norm', False, *there, **kwargs)
        y, cache, *state = ops.batch_norm(*there, **kwargs)
        true_y, true_cache, *true_state = ops.batch_norm.reference(*wide(arrays), **kwargs)
        tol = 1e-4 if dtype == 'float32' else 1e-11             # of x at 30 that varies by 3
        close(y, true_y, tol, 'y')
        for own, true in zip(cache[:3], true_cache[:3], strict=True):
            close(own, true, tol, 'cache')
        assert cache[1] is there[1] and cache[3] == true_cache[3]
        for own, true in zip(*[s[0] if s else () for s in (state, true_state)], strict=True):
            close(own, true, tol, 'state')
        dy = rng.standard_normal(shape).astype(dtype)
        dx, dw, db, *none = ops.batch_norm.backward(upload(cupy, dy, layout), cache)
        truth = ops.batch_norm.backward(dy.astype('float64'), true_cache)
        for name, own, true in zip(('dx', 'dw', 'db'), (dx, dw, db), truth):
            close(own, true, 10 * tol, name)
        assert none == [None, None]

    run()


def test_a_variance_far_from_zero_is_not_lost(cupy):
    """Of values at 1000 that vary by one, Σx² − n·mean² would leave nothing in float32."""
    rng = np.random.default_rng(7)
    x = (1000 + rng.standard_normal((2, 3, 60, 70))).astype('float32')
    one, zero = cupy.asarray(np.ones(3, 'float32')), cupy.asarray(np.zeros(3, 'float32'))
    _, (_, _, inverse, _), _ = ops.batch_norm(cupy.asarray(x), one, zero, zero, one, train=True,
                                              eps=0.)
    np.testing.assert_allclose(inverse.get(), 1 / x.std((0, 2, 3), dtype='float64'), rtol=1e-5)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('size, channels', [(5, 3), (1, 4), (3, 8), (9, 5)])
def test_local_response_norm_is_its_definition(cupy, size, channels, dtype):
    rng = np.random.default_rng(size)
    x = rng.standard_normal((2, channels, 4, 7)).astype(dtype)
    kwargs, there = dict(size=size, alpha=.7, beta=.6, k=2), upload(cupy, x, 'turned')
    assert find_kernel('local_response_norm', False, there, **kwargs)
    y, cache = ops.local_response_norm(there, **kwargs)
    true_y, true_cache = ops.local_response_norm.reference(x.astype('float64'), **kwargs)
    dy = rng.standard_normal(x.shape).astype(dtype)
    dx, = ops.local_response_norm.backward(upload(cupy, dy, 'turned'), cache)
    true_dx, = ops.local_response_norm.backward(dy.astype('float64'), true_cache)
    tol = 2e-6 if dtype == 'float32' else 1e-13
    for name, own, true in (('y', y, true_y), ('s', cache[2], true_cache[2]), ('dx', dx, true_dx)):
        close(own, true, tol, name)
    assert cache[0] is there and cache[1] is y and cache[3:] == true_cache[3:]


def test_what_the_bodies_refuse_they_refuse_themselves(cupy):
    x, w = (cupy.asarray(np.ones(shape, 'float32')) for shape in ((1, 4, 9, 9), (4, 4, 3, 3)))
    b, kwargs = w[:, 0, 0, 0], dict(stride=1, pad=0, dilation=1)
    found = [find_kernel(*asked) for asked in (
        ('conv2d', False, x, w.astype('float64')), ('conv2d', False, x, w[0]),
        ('conv2d', False, x[:, 1:], w), ('conv2d', False, x.astype('int32'), w),
        ('conv2d', False, x, np.ones((4, 4, 3, 3), 'float32')), ('conv2d', False, x, w, b[1:]),
        ('conv2d_backward', False, x, (x, w, None, kwargs, 1)), ('im2col', False, x[0], 3),
        ('conv_transpose2d', False, x, w[1:]), ('col2im', False, x[0], (9, 9), 3),
        ('col2im', False, x[0], 9, 3),
        ('batch_norm', False, x, b, b, b, b[1:]), ('batch_norm', False, x, b, b, b, b, True, None),
        ('batch_norm', False, x[:, :, :1, :1], b, b, b, b, True),
        ('local_response_norm', False, x, 4), ('local_response_norm', False, x, 5, 'much'))]
    assert found == [None] * len(found)
    assert find_kernel('conv2d', False, x, w) and find_kernel('im2col', False, x, 3)
    with pytest.raises(ValueError, match='a window of 3×3 does not fit'):
        ops.conv2d(x[:, :, :2], w)
