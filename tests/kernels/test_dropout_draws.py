"""The kernels of dropout draw the units that the reference draws, and leave rng as it does."""
from types import SimpleNamespace

import numpy as np
import pytest

from tinyfcn.kernels import dropout

# the smallest that are not 0, some that float32 rounds, and the largest that are not 1
PROBABILITIES = 0., 1e-9, 2**-24, .1, .3, 1 / 3, .5, .9, 1 - 2**-24, 1 - 1e-9, 1.
SHAPES = (2, 3, 4, 5), (1, 8, 33, 33), (0, 2), (1, 7, 3, 3), (6,)


def draws(draw, bit_generator):
    """Of each shape and p in turn, from one generator; then some of its numbers."""
    rng = np.random.Generator(bit_generator(7))
    kept = [draw(rng, shape, p) for shape in SHAPES for p in PROBABILITIES]
    return [*kept, rng.random(3, 'float32'), rng.random(3)]


def draw_by_the_reference(rng, shape, p):
    return rng.random(shape, 'float32') >= p


@pytest.mark.parametrize('bit_generator', [np.random.PCG64, np.random.MT19937, np.random.SFC64])
def test_the_units_are_those_of_the_reference(bit_generator, monkeypatch):
    monkeypatch.setattr(dropout, 'PIECE', 1 << 10)
    results = draws(dropout.draw_kept, bit_generator)
    expected = draws(draw_by_the_reference, bit_generator)
    for a, b in zip(results, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_an_even_number_of_units_needs_no_floats():
    rng = SimpleNamespace(bit_generator=np.random.PCG64(7))         # which has no `random`
    kept = dropout.draw_kept(rng, (3, 4), .5)
    np.testing.assert_array_equal(kept, np.random.default_rng(7).random((3, 4), 'float32') >= .5)


@pytest.mark.parametrize('p', PROBABILITIES)
def test_numbers_beside_p_are_compared_as_floats_are(p):
    near = int(p * 2**32) + np.arange(-3 * 256, 3 * 256)
    bits = near[(near >= 0) & (near < 2**32)].astype('uint32')
    floats = (bits >> 8).astype('float32') / 2**24
    assert floats.dtype == 'float32' and len(floats) >= 512
    np.testing.assert_array_equal(dropout.is_kept(bits, p), floats >= p)
