"""conv_matrix is the convolution: M x = conv2d(x), Mᵀ y = conv_transpose2d(y), and exact examples.

The examples are small integers or fractions of powers of two, so that equal means equal.
"""
import numpy as np
import pytest
import reference_loops
from samples import LAYOUTS, random_samples

from tinyfcn import ops
from tinyfcn.ops import conv_matrix

COUNT = 60


def close(a, b):
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 1e-12 * max(1, np.abs(b).max())


# ---- By hand: a 4×4 image under a 3×3 kernel

K = np.arange(1, 10).reshape(1, 1, 3, 3)


def test_the_4_by_16_matrix():
    m = conv_matrix(K, (4, 4))
    assert m.shape == (4, 16)
    assert m.nnz == 36
    assert m.dtype == K.dtype
    assert m.toarray().tolist() == [
        [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0],
        [0, 1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0],
        [0, 0, 0, 0, 0, 1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9]]


def test_the_4_by_16_matrix_gathers_and_scatters():
    m = conv_matrix(K, (4, 4))
    assert (m @ np.arange(16)).tolist() == [303, 348, 483, 528]
    assert (m.T @ [1, 2, 3, 4]).reshape(4, 4).tolist() == [
        [1, 4, 7, 6], [7, 23, 33, 24], [19, 53, 63, 42], [21, 52, 59, 36]]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_the_ops_give_the_same_integers(dtype):
    w, x = K.astype(dtype), np.arange(16, dtype=dtype).reshape(1, 1, 4, 4)
    y, _ = ops.conv2d(x, w)
    assert y.ravel().tolist() == [303, 348, 483, 528]
    back, _ = ops.conv_transpose2d(np.array([[[[1, 2], [3, 4]]]], dtype), w)
    assert back[0, 0].tolist() == [
        [1, 4, 7, 6], [7, 23, 33, 24], [19, 53, 63, 42], [21, 52, 59, 36]]


@pytest.mark.parametrize('stride, true', [
    (1, [[0, 0, 1], [0, 4, 6], [4, 12, 9]]),
    (2, [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]])])
def test_transposed_convolution_by_hand(stride, true):
    x = np.array([[[[0., 1.], [2., 3.]]]])
    y, _ = ops.conv_transpose2d(x, x, stride=stride)
    assert y[0, 0].tolist() == true
    m = conv_matrix(x.astype(int), y.shape, stride)
    assert (m.T @ [0, 1, 2, 3]).reshape(y.shape[2:]).tolist() == true


# ---- Bilinear kernels

TENTS = {                                       # ksize: (stride, the kernel along one axis)
    3: (2, [1/2, 1, 1/2]),
    4: (2, [1/4, 3/4, 3/4, 1/4]),
    8: (4, [v / 8 for v in (1, 3, 5, 7, 7, 5, 3, 1)]),
    16: (8, [v / 16 for v in (*range(1, 16, 2), *range(15, 0, -2))]),
    32: (16, [v / 32 for v in (*range(1, 32, 2), *range(31, 0, -2))]),
    63: (32, [v / 32 for v in (*range(1, 33), *range(31, 0, -1))]),
    64: (32, [v / 64 for v in (*range(1, 64, 2), *range(63, 0, -2))]),
}


@pytest.mark.parametrize('ksize', TENTS)
def test_one_pixel_becomes_a_bilinear_kernel(ksize):
    stride, true = TENTS[ksize]
    y, _ = ops.upsample(np.ones((1, 1, 1, 1)), stride, ksize)
    np.testing.assert_array_equal(y[0, 0], np.outer(true, true))
    assert y.sum() == stride ** 2


@pytest.mark.parametrize('ksize', TENTS)
def test_a_constant_stays_a_constant_inside_and_darkens_at_the_edge(ksize):
    stride, true = TENTS[ksize]
    y, _ = ops.upsample(np.ones((1, 1, 5, 5)), stride, ksize)
    edge = ksize - stride                       # where only the first pixel's kernel reaches
    np.testing.assert_array_equal(y[0, 0, edge:-edge, edge:-edge], 1)
    np.testing.assert_array_equal(y[0, 0, edge:-edge, 0], true[0])


def test_upsampling_by_two_by_hand():
    y, _ = ops.upsample(np.array([[[[0., 1.], [2., 3.]]]]), 2, pad=1)
    assert y[0, 0].tolist() == [
        [0, .1875, .5625, .5625], [.375, .75, 1.25, 1.125],
        [1.125, 1.75, 2.25, 1.875], [1.125, 1.6875, 2.0625, 1.6875]]


def test_the_matrix_behind_fcn_32s():
    """A 64×64 kernel at stride 32 upsamples 16×16 to 544×544; each score reaches 4096 pixels."""
    kernel, _ = ops.upsample(np.ones((1, 1, 1, 1)), 32)
    m = conv_matrix(kernel, (544, 544), stride=32)
    assert m.shape == (16 * 16, 544 * 544)
    assert m.nnz == 1_048_576
    score = np.random.default_rng(0).standard_normal((1, 1, 16, 16))
    close((m.T @ score.ravel()).reshape(544, 544), ops.upsample(score, 32)[0][0, 0])


# ---- Any geometry

def test_every_entry_is_where_the_definition_puts_it():
    """M[k, i, j, c, row, column] = w[k, c, u, v] where tap (u, v) of window (i, j) meets it."""
    for sample in random_samples('conv2d', 30):
        (x, w, _), kwargs = sample.args, sample.kwargs
        n, c, h, wide = x.shape
        pixels = np.eye(c * h * wide).reshape(-1, c, h, wide)       # one image for each pixel
        m = conv_matrix(w, x.shape, **kwargs).toarray()
        expected = reference_loops.conv2d(pixels, w, **kwargs).reshape(len(m.T), -1)
        np.testing.assert_array_equal(m.T, expected)


def test_m_x_is_conv2d():
    for sample in random_samples('conv2d', COUNT):
        x, w, _ = sample.args
        y, _ = ops.conv2d(x, w, **sample.kwargs)
        m = conv_matrix(w, x.shape, **sample.kwargs)
        close((m @ x.reshape(len(x), -1).T).T.reshape(y.shape), y)


def test_m_transposed_y_is_conv_transpose2d():
    for sample in random_samples('conv_transpose2d', COUNT):
        (x, w, _), kwargs = sample.args, dict(sample.kwargs)
        y, _ = ops.conv_transpose2d(x, w, **kwargs)
        del kwargs['output_padding']               # the shape of y determines it
        m = conv_matrix(w, y.shape, **kwargs)
        close((m.T @ x.reshape(len(x), -1).T).T.reshape(y.shape), y)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_rows_and_columns_are_in_c_order_whatever_the_strides(layout):
    for sample in random_samples('conv2d', 20):
        x, w, _ = sample.args
        y, _ = ops.conv2d(layout(x), layout(w), **sample.kwargs)
        m = conv_matrix(layout(w), x.shape, **sample.kwargs)
        assert (m != conv_matrix(w, x.shape, **sample.kwargs)).nnz == 0
        close(m @ layout(x)[0].ravel(), y[0].ravel())


@pytest.mark.parametrize('dtype', ['int64', 'int8', 'float32', 'float64'])
def test_the_matrix_has_the_dtype_of_w(dtype):
    assert conv_matrix(K.astype(dtype), (4, 4)).dtype == dtype


def test_leading_axes_of_the_shape_may_be_left_off():
    w = np.random.default_rng(0).standard_normal((2, 3, 2, 2))
    m = conv_matrix(w, (4, 5))
    for shape in ((3, 4, 5), (7, 3, 4, 5)):
        assert (m != conv_matrix(w, shape)).nnz == 0


def test_a_matrix_too_large_is_refused_with_its_size():
    with pytest.raises(ValueError, match=r'9\.2e\+09 entries.*5e\+07'):
        conv_matrix(np.ones((64, 64, 3, 3)), (500, 500), pad=1)
