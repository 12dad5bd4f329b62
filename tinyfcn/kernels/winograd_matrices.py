"""The matrices of Winograd's convolution, in exact fractions: one table for the CPU and the GPU.

    y = Aᵀ [(G w) ⊙ (Bᵀ x)]         m outputs of a filter with r taps, along one axis

The algorithm of Toom and Cook multiplies a polynomial of r coefficients by one of m. It evaluates
both at n = m + r − 1 points, multiplies the values, and interpolates: the product has n
coefficients, and so many values determine it. To convolve x with w is the transpose of multiplying
by w, which gives the three matrices:

    A       evaluates at the points
    G       evaluates at the points; the denominators of the interpolation are divided out here
    Bᵀ      interpolates: a row holds the numerator of one of Lagrange's polynomials

The last of the n points is ∞, where the value of a polynomial is its leading coefficient.

The points decide how much is rounded, since their powers meet in one sum. Powers of 2/3 and 3/2
stay near 1; those of 0, ±1, ±2, the points of Lavin & Gray 2016, grow to 8.
"""
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from typing import NamedTuple

Matrix = list[list[Fraction]]

# of F(4×4, 3×3): 4 outputs of 3 taps take these five points and ∞
POINTS = Fraction(0), Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2)


class Matrices(NamedTuple):
    """What each transform multiplies by, from the left; n is the number of points with ∞."""

    input: Matrix       # Bᵀ (n, n)
    filter: Matrix      # G (n, r)
    output: Matrix      # Aᵀ (m, n)


def toom_cook(points: Sequence[Fraction | int] = POINTS, taps: int = 3) -> Matrices:
    """The matrices for these points and ∞; so many points allow len(points) + 2 − taps outputs.

    >>> for row in toom_cook([0, 1, -1]).output:
    ...     print(*row)
    1 1 1 0
    0 1 -1 1
    """
    finite = [Fraction(point) for point in points]
    outputs = len(finite) + 2 - taps
    input = []
    filter = []
    for point in finite:
        others = [other for other in finite if other != point]
        denominator = prod(point - other for other in others)
        input.append([*_expand(others), Fraction(0)])
        filter.append([power / denominator for power in _powers(point, taps)])
    input.append(_expand(finite))
    filter.append(_leading(taps))
    columns = [*(_powers(point, outputs) for point in finite), _leading(outputs)]
    return Matrices(input, filter, [list(row) for row in zip(*columns)])


def _powers(point: Fraction, count: int) -> list[Fraction]:
    """1, p, p², …: what a polynomial's coefficients are multiplied by, to evaluate it at p."""
    return [point ** i for i in range(count)]


def _leading(count: int) -> list[Fraction]:
    """The same at ∞: the leading coefficient alone."""
    return [Fraction(0)] * (count - 1) + [Fraction(1)]


def _expand(roots: Iterable[Fraction]) -> list[Fraction]:
    """The coefficients of Π (t − root), the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        times_t = [Fraction(0), *coefficients]
        times_root = [*(root * each for each in coefficients), Fraction(0)]
        coefficients = [a - b for a, b in zip(times_t, times_root)]
    return coefficients
