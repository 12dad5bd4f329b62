"""Compiled convolutions touch no memory but their arrays, and run in a forked child."""
import numpy as np
import pytest
from test_cpu_vec import guarded, in_a_child

from tinyfcn import ops
from tinyfcn.kernels.convolution import Geometry
from tinyfcn.kernels.cpu import blocking, direct, winograd
from tinyfcn.kernels.cpu.simd import LANES
from tinyfcn.kernels.cpu.tile import SHAPES, choose_shape
from tinyfcn.kernels.cpu.vec import LOWEST


class GuardedNumpy:
    """NumPy, whose new arrays end or begin at a forbidden page, and hold NaN."""

    def __init__(self, at_end):
        self.at_end = at_end

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, shape, dtype):
        array = guarded(shape if isinstance(shape, tuple) else (shape,), dtype, self.at_end)
        array[:] = np.nan if array.dtype.kind == 'f' else 0
        return array

    def zeros(self, shape, dtype):
        array = self.empty(shape, dtype)
        array[:] = 0
        return array

    def copy(self, array):
        copy = self.empty(array.shape, array.dtype)
        copy[:] = array
        return copy


def check(seed, change, algorithm=direct):
    """A random convolution, its transpose and its gradient, in guarded arrays."""
    rng = np.random.default_rng(seed)

    def integer(least, most):
        return int(rng.integers(least, most + 1))

    c, k = integer(1, 40), integer(1, 70)
    ksize = integer(1, 4), integer(1, 4)
    stride, pad, dilation = ((integer(least, most), integer(least, most))
                             for least, most in ((1, 3), (0, 3), (1, 2)))
    if seed % 4 == 0:                                   # without padding x itself is read
        pad = 0, 0
    if seed % 12 == 0:
        ksize, stride = (1, 1), (1, 1)
        change.setattr(direct, 'MIN_ROWS', 1)           # dw is computed as its transpose,
        c, k = max(c, k), min(c, k)                     # with fewer filters than channels
    if algorithm is winograd:
        ksize, stride, dilation = (3, 3), (1, 1), (1, 1)
    geometry = Geometry(stride, pad, dilation)
    size = tuple(integer(d * (n - 1) + 1, 19) for n, d in zip(ksize, dilation))
    x = rng.standard_normal((integer(1, 2), *size, c), 'float32')
    w = rng.standard_normal((k, c, *ksize), 'float32')
    b = rng.standard_normal(k, 'float32')
    y, cache = ops.conv2d.reference(x.transpose(0, 3, 1, 2), w, b, *geometry)
    dy = rng.standard_normal(y.shape, 'float32')
    dx, dw, _ = ops.conv2d.backward(dy, cache)

    guard = GuardedNumpy(at_end=bool((seed + seed // 12) % 2))
    change.setattr(algorithm, 'np', guard)
    change.setattr(algorithm, 'scratch', lambda name, *shape: guard.empty(shape, 'float32'))
    x, w, b, dy = map(guard.copy, (x, w, b, dy.transpose(0, 2, 3, 1)))
    results = [guard.empty(a.shape, 'float32') for a in (dy, x, w)]
    algorithm.convolve(x, w, b, results[0], geometry, LOWEST)
    algorithm.convolve_transposed(dy, w, results[1], geometry)
    algorithm.weight_gradient(x, dy, results[2], geometry)
    for a, true in zip(results, (y.transpose(0, 2, 3, 1), dx.transpose(0, 2, 3, 1), dw)):
        error = np.abs(a - true).max() / max(1, np.abs(true).max())
        assert error < 1e-5, f'seed {seed}: {error:.2g} of the maximum'


@pytest.mark.parametrize('algorithm', [direct, winograd], ids=['direct', 'winograd'])
def test_nothing_is_read_or_written_outside_the_arrays(algorithm, monkeypatch):
    def check_all():
        for seed in range(80):
            check(seed, monkeypatch, algorithm)
    assert in_a_child(check_all) == 0                   # -11, say, after a forbidden access


@pytest.mark.parametrize('bad', [np.inf, np.nan])
def test_a_weight_that_is_not_finite_meets_no_zeros_beside_the_image(bad):
    """With it a tap at the border would spread NaN where the reference has a number."""
    w = np.ones((3, 2, 3, 3), 'float32')
    w[1, 0, 0, 2] = bad
    dy = np.ones((1, 5, 6, 3), 'float32')
    dx = np.empty((1, 7, 8, 2), 'float32')
    direct.convolve_transposed(dy, w, dx, Geometry((1, 1), (0, 0), (1, 1)))
    with np.errstate(all='ignore'):
        true, _ = ops.conv_transpose2d.reference(dy.transpose(0, 3, 1, 2), w)
    np.testing.assert_array_equal(dx, true.transpose(0, 2, 3, 1))
    assert np.isfinite(dx).any() and not np.isfinite(dx).all()


@pytest.mark.parametrize('algorithm', [direct, winograd], ids=['direct', 'winograd'])
def test_what_lay_in_scratch_memory_before_is_of_no_consequence(algorithm, monkeypatch):
    """Tiles compute with it beside the last channel; it must reach no result, and no warning."""
    def leftovers(name, *shape):
        memory = np.full(shape, np.inf, 'float32')
        memory.flat[::2] = -np.inf
        return memory

    monkeypatch.setattr(algorithm, 'scratch', leftovers)
    monkeypatch.setattr(blocking, 'MIN_WORK', 1)
    rng = np.random.default_rng(9)
    x = rng.standard_normal((2, 21, 19, 5), 'float32')
    dy = rng.standard_normal((2, 21, 19, 7), 'float32')
    dw = np.empty((7, 5, 3, 3), 'float32')
    with np.errstate(all='raise'):
        algorithm.weight_gradient(x, dy, dw, Geometry((1, 1), (1, 1), (1, 1)))
    assert np.isfinite(dw).all()


def test_1x1_of_images_that_do_not_follow_each_other_in_memory():
    """Rows were cut off, images or every second row left out; of x, and of y."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((4, 10, 12, 20), 'float32')
    w = rng.standard_normal((24, 20, 1, 1), 'float32')
    memory = np.zeros((4, 10, 12, 24), 'float32')
    geometry = Geometry((1, 1), (0, 0), (1, 1))
    for part in np.s_[:, :-2], np.s_[::2], np.s_[::-1], np.s_[:, ::2], np.s_[:, :, :-3]:
        true = x[part] @ w[:, :, 0, 0].T
        for y in memory[part], np.empty_like(true):
            direct.convolve(x[part], w, None, y, geometry, LOWEST)
            np.testing.assert_allclose(y, true, rtol=1e-4, atol=1e-4)
        dw = np.empty_like(w)
        direct.weight_gradient(x[part], memory[part], dw, geometry)
        true_dw = np.tensordot(memory[part], x[part], ([0, 1, 2], [0, 1, 2]))
        np.testing.assert_allclose(dw[:, :, 0, 0], true_dw, rtol=1e-4, atol=1e-3)


def test_a_forked_child_computes_on_threads_of_its_own(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '2')
    monkeypatch.setattr(blocking, 'MIN_WORK', 1)
    check(3, monkeypatch)
    assert in_a_child(lambda: check(3, monkeypatch)) == 0


def test_every_shape_of_a_tile_is_chosen_for_some_layer():
    chosen = {choose_shape(pixels, filters)
              for pixels in range(1, 200) for filters in range(1, 300)}
    assert chosen == SHAPES.keys()


def test_a_tile_is_never_longer_than_its_line():
    assert all(choose_shape(pixels, filters)[0] <= pixels
               for pixels in range(1, 20) for filters in (1, LANES, 2 * LANES, 256))
