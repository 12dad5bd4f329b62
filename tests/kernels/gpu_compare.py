"""An op on CuPy against its reference implementation on NumPy."""
from copy import deepcopy

import numpy as np
from gpu_samples import MORE_OPS
from samples import changed

from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.runtime.backend import to_numpy
from tinyfcn.runtime.gpu import to_gpu

# of the largest value: sums are in another order
TOLERANCE = dict(float32=1e-5, float64=1e-12)


def map_arrays(value, change):
    """change(value); of a tuple or a dict, the same with each of its values changed."""
    if isinstance(value, tuple):
        return tuple(map_arrays(each, change) for each in value)
    if isinstance(value, dict):
        return {key: map_arrays(each, change) for key, each in value.items()}
    return change(value)


def download(x):
    """The same with NumPy arrays for those of CuPy, and dense for sparse matrices."""
    def to_host(value):
        return to_numpy(value.toarray() if hasattr(value, 'toarray') else value)

    return map_arrays(x, to_host)


def assert_close(a, b, tol):
    """Equal in type and, up to rounding, in value; NaN and ∞ at the same places."""
    if isinstance(b, tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b):
            assert_close(one, other, tol)
    elif isinstance(b, np.ndarray | np.generic) and b.dtype.kind == 'f':
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        difference = np.abs(a[finite] - b[finite]).max(initial=0)
        assert difference <= tol * np.abs(b[finite]).max(initial=1)
    else:
        np.testing.assert_equal(a, b)


def with_dtype(sample, dtype='float32'):
    """The sample with all its floating-point arrays in `dtype`."""
    return changed(sample, lambda v: v.astype(dtype) if v.dtype.kind == 'f' else v)


def compare_with_reference(sample, tol=TOLERANCE['float32']):
    """An op on the GPU agrees with its reference: values, arrays written in place, gradients."""
    def upload(value):
        return to_gpu(value) if isinstance(value, np.ndarray) else value

    op = getattr(ops, sample.op, None) or MORE_OPS[sample.op]
    args, kwargs = map_arrays((sample.args, deepcopy(sample.kwargs)), upload)
    result = op(*args, **kwargs)
    with reference_only():
        true_args = deepcopy(sample.args)
        true_result = op(*true_args, **deepcopy(sample.kwargs))
    writes_in_place = true_result is None
    assert_close(download(args), true_args, tol if writes_in_place else 0)
    if writes_in_place:
        return
    assert_close(download(result), download(true_result), tol)
    if sample.op == 'max_switches':                 # positions have no gradient
        return

    true_y, true_cache, *_ = true_result
    dy = np.random.default_rng(1).standard_normal(true_y.shape)
    dy = dy.astype(true_y.dtype) if true_y.shape else 1.5
    with reference_only():
        true_grads = op.backward(dy, true_cache)
    grads = op.backward(upload(dy), result[1])
    assert_close(download(grads), true_grads, tol)
