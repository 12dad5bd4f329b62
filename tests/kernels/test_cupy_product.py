"""Products by cuBLAS, called by the real CuPy: matrices in any order of memory, without copies, in
the precision that is asked for.
"""
from itertools import product as combinations

import numpy as np
import pytest
from fake_cuda.driver import computing, counting

from tinyfcn import build, ops
from tinyfcn.kernels import registry
from tinyfcn.kernels.convolution import Geometry
from tinyfcn.kernels.gpu import conv, conv1x1, im2col, winograd
from tinyfcn.kernels.gpu.product import RUN, multiply, round_up
from tinyfcn.runtime.gpu import precision

pytestmark = pytest.mark.cupy


@pytest.fixture
def cupy(real_cupy):
    return real_cupy


def batch(cupy, rng, count, rows, columns, layout, dtype='float32'):
    """Random matrices: (N, rows, columns) in a memory that is transposed or has longer rows."""
    if layout == 'transposed':
        return batch(cupy, rng, count, columns, rows, 'C order', dtype).swapaxes(1, 2)
    longer = 5 * (layout == 'longer rows')
    x = rng.standard_normal((count, rows, columns + longer)).astype(dtype)
    return cupy.asarray(x)[:, :, :columns]


@pytest.mark.parametrize('dtype, tol', [('float32', 1e-6), ('float64', 1e-15)])
@pytest.mark.parametrize('add', [False, True])
def test_a_product_of_matrices_in_any_order_of_memory(cupy, add, dtype, tol):
    rng = np.random.default_rng(0)
    layouts = ['C order', 'longer rows', 'transposed']
    sizes = [(2, 3, 4), (1, 5, 2), (4, 1, 1), (1, 1, 1), (3, 7, 1)]
    for (m, k, n), a_layout, b_layout, out_layout, (a_count, b_count) in combinations(
            sizes, layouts, layouts, layouts[:2], [(1, 1), (3, 3), (1, 3), (3, 1)]):
        a = batch(cupy, rng, a_count, m, k, a_layout, dtype)
        b = batch(cupy, rng, b_count, k, n, b_layout, dtype)
        out = batch(cupy, rng, max(a_count, b_count), m, n, out_layout, dtype)
        expected = a.get() @ b.get() + (out.get() if add else 0)
        with counting() as counts:
            assert multiply(a, b, out, add) is out
        assert (counts['products'], counts['launches'], counts['device_copies']) == (1, 0, 0)
        np.testing.assert_allclose(out.get(), expected, rtol=0, atol=tol * 20)
        np.testing.assert_allclose(multiply(a, b).get(), a.get() @ b.get(), rtol=0, atol=tol * 20)


def test_a_matrix_without_runs_of_memory_is_copied(cupy):
    x = np.arange(60, dtype='float32').reshape(2, 6, 5)
    every_second = cupy.asarray(x)[:, ::2, ::2]
    y = multiply(every_second, every_second)
    np.testing.assert_array_equal(y.get(), x[:, ::2, ::2] @ x[:, ::2, ::2])
    with pytest.raises(ValueError, match='a product is written in rows'):
        multiply(every_second, every_second, out=every_second)


def test_arguments_that_do_not_fit_are_rejected(cupy):
    x = cupy.asarray(np.ones((2, 3, 3), 'float32'))
    for a, b, out, error, message in (
            (x, x[:, :2], None, ValueError, r'\(2, 3, 3\) @ \(2, 2, 3\): the last axis'),
            (x, cupy.concatenate([x, x]), None, ValueError, 'as many matrices or one'),
            (x, x, x[:1], ValueError, r'out has shape \(1, 3, 3\)'),
            (x, x.astype('float64'), None, TypeError, 'a is float32, b float64'),
            (x.astype('int32'), x.astype('int32'), None, TypeError, 'must be float32')):
        with pytest.raises(error, match=message):
            multiply(a, b, out)


@pytest.mark.parametrize('name', ['float32', 'tf32'])
@pytest.mark.parametrize('algorithm', [im2col, conv1x1, winograd])
def test_the_precision_reaches_every_product(cupy, name, algorithm, monkeypatch):
    """Of one image and of two: a single product and a batch are different calls of cuBLAS."""
    monkeypatch.setattr(registry, '_kernels', {})
    conv.register(lambda problem: algorithm, exact=True)
    ksize = 1 if algorithm is conv1x1 else 3
    w = cupy.asarray(np.ones((5, 4, ksize, ksize), 'float32'))
    for images in 1, 2:
        x = cupy.asarray(np.ones((images, 4, 9, 8), 'float32'))
        with precision(name), counting() as counts:
            y, cache = ops.conv2d(x, w)
            ops.conv2d.backward(y, cache)
        assert counts['products'] >= 3
        assert counts['tf32_products'] == (counts['products'] if name == 'tf32' else 0)


def test_tf32_reaches_every_product_of_a_net(cupy):
    """Half of FCN-8s, whose convolutions run by the algorithms of the whole net."""
    n = build('fcn8s', 21, width=1/2, seed=None).to('gpu')
    image = cupy.zeros((1, 3, 64, 64), 'float32')
    with precision('tf32'), computing(False), counting() as counts:
        n.backward(score=n.forward(image, train=True))
    assert counts['tf32_products'] == counts['products'] == 53


def test_double_precision_is_never_reduced(cupy):
    x = cupy.asarray(np.random.default_rng(0).standard_normal((2, 3, 3)))
    with precision('tf32'):
        y = multiply(x, x)
    np.testing.assert_allclose(y.get(), x.get() @ x.get(), rtol=1e-15)


def test_tf32_rounds_the_factors_to_11_bits(cupy):
    x = np.float32([[[1 + 2**-10, 1 + 2**-12]]])
    with precision('tf32'):
        y = multiply(cupy.asarray(x), cupy.asarray(np.ones((1, 2, 1), 'float32')))
    assert y.get() == 2 + 2**-10


@pytest.mark.parametrize('algorithm', [im2col, winograd], ids=['im2col', 'winograd'])
def test_rows_of_scratch_memory_are_runs(cupy, algorithm, monkeypatch):
    """121 places, as of an 11×11 map, and 9 tiles of it, are computed in rows of 128 and of 32."""
    sizes = []

    def record(a, b, out=None, add=False):
        sizes.append((a.shape, b.shape))
        return multiply(a, b, out, add)

    monkeypatch.setattr(algorithm, 'multiply', record)
    x = cupy.asarray(np.ones((1, 2, 11, 11), 'float32'))
    w = cupy.asarray(np.ones((3, 2, 3, 3), 'float32'))
    y = cupy.empty((1, 3, 11, 11), 'float32')
    geometry = Geometry((1, 1), (1, 1), (1, 1))
    algorithm.convolve(x, w, None, y, geometry, 1, False)
    algorithm.convolve_transposed(y, w, None, x, geometry, 1)
    algorithm.weight_gradient(x, y, w.shape, geometry, 1)
    places = 128 if algorithm is im2col else 32
    assert [b[2] for _, b in sizes[:2]] == [places] * 2
    assert sizes[2][0][2] == sizes[2][1][1] == places
    assert [round_up(n) for n in (1, RUN, RUN + 1)] == [RUN, RUN, 2 * RUN]
