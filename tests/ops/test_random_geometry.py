"""200 geometries of every op (and 800 more in `make test-more`), sought out by hypothesis:
values by plain loops, gradients by HIPS autograd.

The same descriptions draw the table (samples.py); here hypothesis chooses, and shrinks what fails.
"""
from copy import deepcopy

import autograd_ops
import numpy as np
import pytest
import reference_loops
from autograd import make_vjp
from hypothesis import HealthCheck, given, settings, strategies as st
from samples import NAMES, PICKERS

from tinyfcn import ops


def close(a, b, tol):
    assert np.shape(a) == np.shape(b)
    assert np.max(np.abs(a - b)) <= tol * max(1, np.max(np.abs(b)))


def examples(count):
    """Hypothesis, `count` times, with the same draws on every machine."""
    def of(test):
        limits = settings(derandomize=True, max_examples=count, deadline=None, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
        return pytest.mark.parametrize('name', NAMES)(limits(given(data=st.data())(test)))
    return of


@examples(200)
def test_values_and_gradients(name, data):
    compare(name, data)


@pytest.mark.fuzz
@examples(800)
def test_values_and_gradients_at_length(name, data):
    compare(name, data)


def compare(name, data):
    sample = PICKERS[name](lambda lo, hi: data.draw(st.integers(lo, hi)))
    args, op = sample.args, getattr(ops, name)

    def how():                                  # an rng among them starts anew
        return deepcopy(sample.kwargs)

    y, cache, *_ = op(*args, **how())
    close(y, getattr(reference_loops, name)(*args, **how()), 1e-12)
    if name == 'max_switches':
        return
    dy = np.random.default_rng(2).standard_normal(np.shape(y))
    grads = op.backward(dy, cache)
    wanted = tuple(i for i, dx in enumerate(grads) if dx is not None)
    vjp, _ = make_vjp(lambda *args: getattr(autograd_ops, name)(*args, **how()), wanted)(*args)
    for i, dx in zip(wanted, vjp(dy)):
        close(grads[i], dx, 1e-10)
