"""Winograd on the GPU: its transforms are the shared matrices, and it rounds as the table says."""
import numpy as np
import pytest
from test_winograd_errors import TABLE, TOLERANCE, error_of, layer

from tinyfcn.kernels.convolution import Geometry
from tinyfcn.kernels.gpu import winograd
from tinyfcn.kernels.gpu.launch import launch
from tinyfcn.kernels.winograd_matrices import POINTS, toom_cook
from tinyfcn.runtime.gpu import precision

pytestmark = pytest.mark.cupy


@pytest.fixture
def cupy(real_cupy):
    return real_cupy


@pytest.mark.parametrize('dtype, tol', [('float32', 3e-7), ('float64', 1e-15)])
def test_the_transforms_multiply_by_the_matrices(cupy, dtype, tol):
    """M X Mᵀ, of every X that is 1 in one place, is a column of the Kronecker product M ⊗ M."""
    def units(count):
        return cupy.asarray(np.eye(count, dtype=dtype))

    def empty(*shape):
        return cupy.empty(shape, dtype)

    to_v, to_u, to_y = (np.array(matrix, 'float64') for matrix in toom_cook())
    v, u, rotated, m, y, dw = (empty(36, 36), empty(36, 9), empty(36, 9), empty(36, 16),
                               empty(36, 16), empty(36, 9))
    launch('winograd', 'transform_input', 36, units(36), v, 36, 1, 6, 6, 0, 0, 1, 1, 0, 1, 36)
    launch('winograd', 'transform_gradient', 16, units(16), m, 16, 1, 4, 4, 1, 1, 0, 1, 16)
    launch('winograd', 'transform_output', 144, units(36), None, y, 36, 1, 4, 4, 1, 1, 0, 36, 0, 0)
    launch('winograd_filters', 'transform_filters', 9, units(9), u, 9, 1, 0)
    launch('winograd_filters', 'transform_filters', 9, units(9), rotated, 9, 1, 1)
    launch('winograd_filters', 'filter_gradient', 36, units(36), dw, 36)
    for name, found, matrix in (
            ('Bᵀ', v, to_v), ('A', m, to_y.T), ('G', u, to_u), ('Aᵀ', y.T, to_y),
            ('Gᵀ', dw.T, to_u.T), ('G of rotated filters', rotated[:, ::-1], to_u)):
        expected = np.kron(matrix, matrix)
        np.testing.assert_allclose(found.get(), expected, rtol=0, atol=tol * expected.max(),
                                   err_msg=name)


def test_a_layer_in_tf32_rounds_as_the_table_says(cupy):
    """In float32 it rounds less: the driver sums products in double."""
    x, w, true = layer()
    y = cupy.empty((1, *true.shape), 'float32')
    with precision('tf32'):
        winograd.convolve(cupy.asarray(x[None]), cupy.asarray(w), None, y,
                          Geometry((1, 1), (0, 0), (1, 1)), 1, False)
    expected = next(row.tf32 for row in TABLE if row.points == POINTS)
    assert abs(error_of(y[0].get()) - expected) <= TOLERANCE * expected


def test_tiles_that_do_not_exist_are_zeros(cupy):
    """15 tiles of 3 images, in a piece of 32."""
    x = cupy.asarray(np.ones((3, 2, 20, 4), 'float32'))
    v = cupy.empty((36, 2, 32), 'float32')
    launch('winograd', 'transform_input', 64, x, v, 3, 2, 20, 4, 1, 1, 5, 1, 0, 1, 32)
    v = v.get()
    assert not v[:, :, 15:].any() and v[:, :, :15].any((0, 1)).all()
    assert winograd._tiles(x) == [5, 1]
