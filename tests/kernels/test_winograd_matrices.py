"""The matrices of Winograd's convolution compute a convolution: exactly, whatever the points."""
from fractions import Fraction
from itertools import product

import pytest

from tinyfcn.kernels.winograd_matrices import POINTS, toom_cook


@pytest.mark.parametrize('points, taps', [
    ((0, 1, -1), 3), ((0, 1, -1, 2, -2), 3), (POINTS, 3), ((0, 3, Fraction(1, 7)), 2),
    ((5, 0, -1, Fraction(2, 9)), 5)], ids=str)
def test_the_matrices_compute_a_convolution_exactly(points, taps):
    """y[o] = Σ w[t] x[o + t], for every pixel of x and tap of w that alone is 1."""
    to_v, to_u, to_y = toom_cook(points, taps)
    n = len(points) + 1
    assert [len(to_v), len(to_u), len(to_y)] == [n, n, n - taps + 1]
    for pixel, tap, (o, row) in product(range(n), range(taps), enumerate(to_y)):
        y = sum(row[i] * to_u[i][tap] * to_v[i][pixel] for i in range(n))
        assert y == (pixel == o + tap)


def test_the_matrices_of_the_paper():
    """Lavin & Gray 2016, section 4.1, whose rows differ in sign alone."""
    to_v, to_u, to_y = toom_cook((0, 1, -1))
    half = Fraction(1, 2)
    assert to_v == [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    assert to_u == [[-1, 0, 0], [half, half, half], [half, -half, half], [0, 0, 1]]
    assert to_y == [[1, 1, 1, 0], [0, 1, -1, 1]]
