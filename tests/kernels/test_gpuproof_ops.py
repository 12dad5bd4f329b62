"""Every op on every row of the table, on arrays that are strict as CuPy's: `strict_cupy.py`.

The readable body runs there unchanged and gives what it gives on NumPy; so do the stand-ins of
kernels/gpu_*.py, whose kernels the host's own compiler makes. Nothing leaves the card on the way.
"""
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from fake_cupy import lent
from samples import TABLE, changed
from test_ops import backward, cast, forward, rounding, some_dy

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.kernels.registry import find_kernel

pytestmark = pytest.mark.gpuproof

WAYS = dict(body=reference_only, stand_ins=nullcontext)

# Uploads, downloads, synchronisations of an op there and back. Dropout draws on the host, and one
# array of bytes goes up. A body that needs sparse matrices makes them on the card, where CuPy asks
# how many entries they have: whoever does without waiting is a stand-in.
NOTHING, DRAWN = (0, 0, 0), (1, 0, 0)
OF_BODIES = dict(avg_pool=(0, 0, 4), avg_pool_to=(0, 0, 4), resize=(0, 0, 4), upsample=(2, 0, 8))


@pytest.fixture
def cupy():
    with lent() as module:
        yield module


def each(keep=lambda sample: True):
    rows = {name: sample for name, sample in TABLE.items() if keep(sample)}
    return pytest.mark.parametrize('sample', rows.values(), ids=rows)


# ---- Helpers

def alike(there, here, tol):
    """`there` is all on the card, and on the host it would be `here`, field by field."""
    if isinstance(here, tuple | list):
        assert type(there) is type(here) and len(there) == len(here)
        for a, b in zip(there, here):
            alike(a, b, tol)
    elif isinstance(here, dict):
        assert there.keys() == here.keys()
        alike([*there.values()], [*here.values()], tol)
    elif hasattr(here, 'toarray'):
        alike(there.toarray(), here.toarray(), tol)
    elif isinstance(here, np.ndarray | np.generic):
        assert type(there).__module__ == 'cupy', f'{type(there)} is not on the card'
        assert there.shape == here.shape
        if there.dtype.kind not in 'iu' or here.dtype.kind not in 'iu':     # switches: of any width
            assert there.dtype == here.dtype, f'{there.dtype} in place of {here.dtype}'
        close(there.get(), here, tol if here.dtype.kind == 'f' else 0)
    else:
        assert type(there) is type(here) and there == here


def close(a, b, tol):
    error = np.max(np.abs(np.subtract(a, b, dtype='float64')), initial=0)
    rms = np.mean(np.square(b, dtype='float64')) ** .5
    assert error <= tol * max(1, rms), f'differs by {error:.3g}'


def allowed(sample, way):
    """How often this sample's op may speak to the host, there and back."""
    if sample.op == 'dropout' and sample.kwargs.get('train'):
        return DRAWN
    stood_in = way == 'stand_ins' and find_kernel(sample.op, False, *sample.args, **sample.kwargs)
    return NOTHING if stood_in else OF_BODIES.get(sample.op, NOTHING)


def talk(stats):
    return stats.uploads, stats.downloads, stats.synchronisations


def there_and_back(sample, dy):
    """-> y, cache, what is new of its state, the gradients"""
    y, cache, *state = forward(sample)
    return y, cache, state, backward(sample, dy, cache)


def truth(sample):
    """Of the readable body on NumPy: -> dy, (y, cache, what is new of its state, the gradients)"""
    with reference_only():
        dy = some_dy(forward(sample)[0])
        return dy, there_and_back(sample, dy)


def judge(cupy, here, dy, true, way):
    """The sample on the card, one of the WAYS, gives the truth, and the card is left in peace."""
    there, up = changed(here, cupy.asarray), cupy.asarray(dy) if dy.shape else dy
    cupy.stats.reset()
    with WAYS[way]():
        own = there_and_back(there, up)
    said = talk(cupy.stats)
    alike(own, true, rounding(here, true[0]) if here.args[0].dtype == 'float32' else 1e-12)
    assert said == allowed(there, way), 'uploads, downloads, synchronisations'


# ---- The table

@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@each()
def test_an_op_gives_on_the_card_what_it_gives_on_the_host(cupy, sample, dtype, way):
    here = cast(sample, dtype)
    judge(cupy, here, *truth(here), way)


@pytest.mark.parametrize('how', [{}, dict(stride=2, pad=1), dict(dilation=2), dict(groups=2)])
def test_the_matrix_of_a_convolution_is_made_on_the_card(cupy, how):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 4, 7, 6))
    w = rng.standard_normal((2, 4 // how.get('groups', 1), 3, 3))
    y, cache = ops.conv2d(x, w, **how)
    m = ops.conv_matrix(cupy.asarray(w), x.shape[2:], **how)
    alike(m @ cupy.asarray(x).ravel(), y.ravel(), 1e-12)
    alike(m.T @ cupy.asarray(y).ravel(), ops.conv2d.backward(y, cache)[0].ravel(), 1e-12)


# ---- A mixture inside an op is seen

MIXTURES = {
    'a constant of NumPy': (
        lambda x: np.maximum(x, np.zeros(x.shape, x.dtype)), TypeError, 'Unsupported type'),
    'a function of NumPy alone': (
        lambda x: np.maximum(np.asarray(x), 0), TypeError, 'Implicit conversion'),
    'an index of NumPy': (
        lambda x: x[np.arange(len(x))], TypeError, 'Unsupported type'),
    'the answer is left on the host': (
        lambda x: np.maximum(x.get(), 0), AssertionError, 'is not on the card'),
    'a way through the host': (
        lambda x: sys.modules['cupy'].asarray(np.maximum(x.get(), 0)), AssertionError,
        'uploads, downloads, synchronisations'),
    'a question': (
        lambda x: x.clip(0) if (x > 0).any() else 0 * x, AssertionError,
        'uploads, downloads, synchronisations'),
    'memory that nobody wrote to': (
        lambda x: sys.modules['cupy'].empty_like(x), AssertionError, 'differs by nan'),
    'a wider number': (
        lambda x: x.clip(0) * np.float64(1), AssertionError, 'float64 in place of float32'),
}


@pytest.mark.parametrize('relu, error, words', MIXTURES.values(), ids=MIXTURES)
def test_a_mixture_inside_an_op_is_seen(cupy, monkeypatch, relu, error, words):
    here = cast(TABLE['relu-0'], 'float32')
    dy, true = truth(here)

    def planted(x):
        y = relu(x)
        return y, (y,)

    planted.backward = lambda dy, cache: (dy * cupy.asarray(cache[0] > 0),)
    monkeypatch.setattr(ops, 'relu', planted)
    with pytest.raises(error, match=words):
        judge(cupy, here, dy, true, 'body')
