"""A batch of 0 images goes through every op, forward and backward, and has the shapes of any other.

Data sets end, crops are filtered: what is left of a batch may be nothing. Gradients of weights are
then sums of nothing, 0.
"""
from copy import deepcopy

import numpy as np
import pytest
from samples import NAMES, TABLE, changed

from tinyfcn import ops

WEIGHTS = dict(conv2d='xwb', conv_transpose2d='xwb', batch_norm=('x', 'w', 'b', 'mean', 'var'))


def of_batch(sample):
    """Whether the first axis of each array in args is the batch."""
    return [i == 0 or sample.op not in WEIGHTS for i in range(len(sample.args))]


def emptied(sample):
    """The sample without its images."""
    args = tuple(a[:0] if images else a for a, images in zip(sample.args, of_batch(sample)))
    kwargs = dict(sample.kwargs)
    if kwargs.get('pixel_weight') is not None:
        kwargs['pixel_weight'] = kwargs['pixel_weight'][:0]
    for name in 'shape', 'size':                                # those that begin with N
        if sample.op in ('col2im', 'unpool') and len(kwargs.get(name, ())) == 4:
            kwargs[name] = 0, *kwargs[name][1:]
    return sample._replace(args=args, kwargs=kwargs)


def is_statistic(sample):
    return sample.op == 'batch_norm' and sample.kwargs.get('train') and not sample.kwargs.get(
        'frozen')


def run(sample):
    """In float32, which has kernels on both devices. -> y and the gradients"""
    sample = changed(sample, lambda v: v.astype('float32') if v.dtype.kind == 'f' else v)
    op = getattr(ops, sample.op)
    y, cache, *_ = op(*sample.args, **deepcopy(sample.kwargs))
    dy = 1. if np.ndim(y) == 0 else np.zeros(y.shape, y.dtype)
    return y, op.backward(dy, cache)


ROWS = {name: sample for name, sample in TABLE.items() if not is_statistic(sample)}


@pytest.mark.parametrize('sample', ROWS.values(), ids=ROWS)
def test_no_images(sample):
    (y, grads), (full_y, full_grads) = run(emptied(sample)), run(sample)
    assert y.dtype.kind == full_y.dtype.kind and (y.dtype == full_y.dtype or y.dtype.kind == 'i')
    assert y.shape == (0, *full_y.shape[1:]) if full_y.ndim else y == 0
    for dx, full, images in zip(grads, full_grads, of_batch(sample)):
        assert (dx is None) == (full is None)
        if dx is not None:
            assert dx.dtype == full.dtype
            assert dx.shape == ((0, *full.shape[1:]) if images else full.shape)
            assert not dx.any()


@pytest.mark.cupy
@pytest.mark.parametrize('name', NAMES)
def test_no_images_on_a_gpu(real_cupy, name):
    sample = emptied(next(row for key, row in ROWS.items() if key.startswith(f'{name}-')))
    y, grads = run(sample)
    on_gpu = changed(sample, lambda v: real_cupy.asarray(
        v, 'float32' if v.dtype.kind == 'f' else None))
    gpu_y, cache, *_ = getattr(ops, name)(*on_gpu.args, **deepcopy(on_gpu.kwargs))
    dy = real_cupy.zeros(y.shape, y.dtype) if y.shape else 1.
    gpu_grads = getattr(ops, name).backward(dy, cache)
    assert gpu_y.shape == y.shape
    assert [getattr(dx, 'shape', None) for dx in gpu_grads] == [
        getattr(dx, 'shape', None) for dx in grads]


def test_statistics_of_no_images_are_refused():
    x, one = np.zeros((0, 3, 4, 4)), np.ones(3)
    with pytest.raises(ValueError, match=r'\(0, 3, 4, 4\) has no value for each channel'):
        ops.batch_norm(x, one, one, one, one, train=True)


@pytest.mark.parametrize('shape', [(2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 4, 0), (0, 0, 4, 4)])
def test_only_the_batch_may_be_empty(shape):
    for op in ops.relu, ops.resize:
        with pytest.raises(ValueError, match='only the first axis'):
            op(np.zeros(shape), **(dict(size=2) if op is ops.resize else {}))


def test_a_convolution_without_filters_is_refused():
    x, w = np.zeros((1, 3, 4, 4)), np.zeros((0, 3, 1, 1))
    for call in (lambda: ops.conv2d(x, w), lambda: ops.conv_matrix(w, (4, 4))):
        with pytest.raises(ValueError, match=r'\(0, 3, 1, 1\): it has no filters'):
            call()
