"""How much Winograd's convolution rounds: the table of kernels/README.md, computed anew.

A row is an algorithm and its points. As in the kernels, transforms and sums are made in float32,
and the factors of the products are float32 or tf32 numbers, which the tensor cores of a GPU read:
these have 10 bits behind the leading one. An error is the root mean square of the difference from
float64, relative to that of the output.
"""
import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import tinyfcn
from tinyfcn.kernels.winograd_matrices import POINTS, toom_cook

PAGE = (Path(tinyfcn.__file__).parent / 'kernels/README.md').read_text('utf-8')
ROW = re.compile(r'^\| (direct|F\(\d×\d\)) \| (.*?) \| (\S+) \| (\S+) \|$', re.M)
POINTS_OF_THE_PAPER = 0, 1, -1, 2, -2
TOLERANCE = .25         # of an error: the order of a sum differs from one machine to another


class Row(NamedTuple):
    """Of the table; a direct sum has no points."""

    points: tuple[Fraction, ...]
    float32: float
    tf32: float


def read_points(text):
    """'0 ±1/2' -> 0, 1/2, −1/2; '–' -> none"""
    points = []
    for word in text.replace('–', '').split():
        point = Fraction(word.removeprefix('±'))
        points += [point, -point] if word.startswith('±') else [point]
    return tuple(points)


TABLE = [Row(read_points(points), float(float32), float(tf32))
         for _, points, float32, tf32 in ROW.findall(PAGE)]


# ---- The two algorithms

def round_to_tf32(x):
    """To the nearest number with 10 bits behind the leading one; to the even one of two."""
    bits = x.astype('float32').view('uint32')
    return ((bits + 0xfff + (bits >> 13 & 1)) & 0xffffe000).view('float32')


def unrounded(x):
    return x


ROUNDING = {'float32': unrounded, 'tf32': round_to_tf32}


def convolve_directly(x, w, rounded=unrounded):
    windows = sliding_window_view(rounded(x), (3, 3), (1, 2))
    return np.tensordot(rounded(w), windows, ((1, 2, 3), (0, 3, 4)))


def convolve_tiles(x, w, points, rounded):
    """x (C, H, W), w (K, C, 3, 3) -> y (K, H − 2, W − 2), which whole tiles cover."""
    to_v, to_u, to_y = (np.array(matrix, 'float32') for matrix in toom_cook(points))
    size, length = to_y.shape                           # of a tile: m outputs of m + 2 pixels
    tiles = sliding_window_view(x, (length, length), (1, 2))[:, ::size, ::size]
    rows, columns = tiles.shape[1:3]
    v = rounded(to_v @ tiles @ to_v.T).transpose(3, 4, 0, 1, 2)
    u = rounded(to_u @ w @ to_u.T).transpose(2, 3, 0, 1)
    m = u @ v.reshape(length, length, len(x), rows * columns)
    m = m.reshape(length, length, len(w), rows, columns).transpose(2, 3, 4, 0, 1)
    y = (to_y @ m @ to_y.T).transpose(0, 1, 3, 2, 4)
    return y.reshape(len(w), rows * size, columns * size)


@cache
def layer():
    """x behind a ReLU, w with He initialisation, and y in float64."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((256, 18, 18)), 0).astype('float32')
    w = (rng.standard_normal((16, 256, 3, 3)) * (2 / (9 * 256)) ** .5).astype('float32')
    return x, w, convolve_directly(x.astype('float64'), w.astype('float64'))


def error_of(y):
    _, _, true = layer()
    return (np.square(y - true).mean() / np.square(true).mean()) ** .5


@cache
def error(points, precision):
    x, w, _ = layer()
    rounded = ROUNDING[precision]
    return error_of(convolve_tiles(x, w, points, rounded) if points else
                    convolve_directly(x, w, rounded))


# ---- The tests

@pytest.mark.parametrize('precision', ROUNDING)
def test_the_table_of_the_page_is_what_is_measured(precision):
    assert {len(row.points) for row in TABLE} == {0, 3, 5}      # direct, F(2×2) and F(4×4)
    for row in TABLE:
        expected = getattr(row, precision)
        assert abs(error(row.points, precision) - expected) <= TOLERANCE * expected, row


@pytest.mark.parametrize('precision, gain', [('float32', 2), ('tf32', 2)])
def test_no_other_points_of_the_table_round_less(precision, gain):
    """The points of the paper round more than `gain` times as much."""
    errors = {row.points: error(row.points, precision) for row in TABLE if len(row.points) == 5}
    assert errors[POINTS] == min(errors.values())
    assert errors[POINTS_OF_THE_PAPER] >= gain * errors[POINTS]


def test_the_kernel_of_the_cpu_rounds_as_the_table_says():
    winograd = pytest.importorskip('tinyfcn.kernels.cpu.winograd', exc_type=ImportError)
    from tinyfcn.kernels.convolution import Geometry
    from tinyfcn.kernels.cpu.vec import LOWEST
    x, w, true = layer()
    y = np.empty((1, *true.shape[1:], len(w)), 'float32')
    image = np.ascontiguousarray(x.transpose(1, 2, 0))[None]
    winograd.convolve(image, w, None, y, Geometry((1, 1), (0, 0), (1, 1)), LOWEST)
    expected = next(row.float32 for row in TABLE if row.points == POINTS)
    assert abs(error_of(y[0].transpose(2, 0, 1)) - expected) <= TOLERANCE * expected


def test_tf32_has_ten_bits_behind_the_leading_one():
    ones = np.float32([1, 1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-11 - 2**-20])
    rounded = np.float32([1, 1 + 2**-10, 1, 1 + 2**-9, -1 - 2**-10])
    np.testing.assert_array_equal(round_to_tf32(ones), rounded)
