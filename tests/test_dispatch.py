"""The decorators of an op: a kernel runs where it accepts the arguments, and nowhere else."""
import threading

import numpy as np
import pytest

import tinyfcn
from tinyfcn import ops
from tinyfcn.dispatch import backward_of, reference_only
from tinyfcn.kernels import registry
from tinyfcn.kernels.registry import find_kernel, kernel
from tinyfcn.runtime.backend import array_module, sparse_module


@pytest.fixture
def marking_kernel(monkeypatch):
    """A kernel for relu on float32 that returns the word 'kernel'."""
    monkeypatch.setattr(registry, '_kernels', {})
    monkeypatch.setattr(registry, 'MIN_SIZE', 1)

    @kernel('relu', 'numpy', accepts=lambda x: x.dtype == 'float32')
    def relu(x):
        return 'kernel', x


X = np.ones((1, 1, 2, 2), 'float32')


def test_a_kernel_runs_where_it_accepts_the_arguments(marking_kernel):
    assert ops.relu(X)[0] == 'kernel'
    assert ops.relu(X.astype('float64'))[0].dtype == 'float64'
    assert ops.leaky_relu(X)[0].all()


def test_the_reference_can_always_be_called(marking_kernel):
    assert ops.relu.reference(X)[0].all()
    with reference_only():
        with reference_only():
            assert ops.relu(X)[0].all()
        assert ops.relu(X)[0].all()
    assert ops.relu(X)[0] == 'kernel'
    with pytest.raises(RuntimeError), reference_only():
        raise RuntimeError
    assert ops.relu(X)[0] == 'kernel'


def test_reference_only_concerns_one_thread(marking_kernel):
    results = []
    with reference_only():
        other = threading.Thread(target=lambda: results.append(ops.relu(X)[0]))
        other.start()
        other.join()
    assert results == ['kernel']


def test_a_backward_may_have_a_kernel_of_its_own(monkeypatch):
    monkeypatch.setattr(registry, '_kernels', {})
    monkeypatch.setattr(registry, 'MIN_SIZE', 1)
    kernel('relu_backward', 'numpy', accepts=lambda dy, cache: True)(
        lambda dy, cache: ('kernel',))
    y, cache = ops.relu(X)
    assert ops.relu.backward(X, cache, want=(True,)) == ('kernel',)
    with reference_only():
        np.testing.assert_array_equal(ops.relu.backward(X, cache)[0], X)


def test_every_op_has_its_backward():
    for name in set(ops.__all__) - {'conv_matrix'}:
        assert callable(getattr(ops, name).backward), name


def test_want_is_passed_only_to_a_backward_that_has_the_argument():
    def twice(x):
        return 2 * x, ()

    @backward_of(twice)
    def without_want(dy, cache):
        return 2 * dy,

    assert twice.backward(3, (), want=(False,)) == (6,)

    @backward_of(twice)
    def with_want(dy, cache, want=None):
        return 2 * dy if want[0] else None,

    assert twice.backward(3, (), (False,)) == (None,)


def test_the_array_chooses_the_module():
    assert array_module(X) is np
    assert sparse_module(X).__name__ == 'scipy.sparse'
    with pytest.raises(TypeError, match='list .*numpy.asarray'):
        array_module([1.])


def test_the_public_names_of_the_package():
    assert tinyfcn.Net and tinyfcn.build and tinyfcn.ops.relu and tinyfcn.metrics and tinyfcn.optim
    assert set(dir(tinyfcn)) >= {'Net', 'build', 'ops', 'metrics', 'optim'}
    with pytest.raises(AttributeError, match='opps'):
        print(tinyfcn.opps)


def test_a_kernel_for_the_cpu_is_not_worth_a_small_array(monkeypatch):
    """To import Numba takes longer than the whole training of a tiny net."""
    monkeypatch.setattr(registry, '_kernels', {})
    kernel('relu', 'numpy', accepts=lambda x: True)(lambda x: ('kernel', x))
    monkeypatch.setattr(registry, 'MIN_SIZE', X.size + 1)
    assert ops.relu(X)[0].all()
    monkeypatch.setattr(registry, 'MIN_SIZE', X.size)
    assert ops.relu(X)[0] == 'kernel'


def test_arrays_in_a_cache_count(monkeypatch):
    """A thin gradient may belong to a large image."""
    monkeypatch.setattr(registry, '_kernels', {})
    monkeypatch.setattr(registry, 'MIN_SIZE', 100)
    kernel('relu_backward', 'numpy', accepts=lambda dy, cache: True)(lambda dy, cache: 'kernel')
    large = np.ones((1, 1, 10, 10), 'float32')
    assert find_kernel('relu_backward', False, X, (large,))
    assert not find_kernel('relu_backward', False, X, (X, 3))
