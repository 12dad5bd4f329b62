"""The parts of a training that the exercises can stand in for, and the ops made of them.

A function of the reader gets the arguments of its exercise, and what it returns is used. The
library's op runs beside it, for the cache that a backward needs; its time is not counted.
"""
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np

from ... import ops
from ...dispatch import backward_of
from ...net import Net
from ..exercises.checker import EXERCISES
from .stopwatch import Stopwatch

Functions = Mapping[str, Callable[..., Any]]

# what a training calls, and the exercises that it can be made of. One of the same name needs no
# others: beside conv2d, im2col is not used in the forward pass
PARTS: dict[str, tuple[str, ...]] = {
    'preprocess': ('preprocess',),
    'conv2d': ('conv2d', 'im2col'),
    'max_pool': ('max_pool',),
    'upsample': ('conv_transpose2d', 'bilinear'),
    'softmax_cross_entropy': ('softmax_cross_entropy',),
    'max_pool_backward': ('unpool',),
    'conv2d_backward': ('conv2d_backward', 'im2col', 'col2im'),
    'sgd': ('sgd',),
    'confusion': ('confusion',),
    'mean_iu': ('mean_iu',),
}
REPLACED_OPS = ops.conv2d, ops.max_pool, ops.upsample


def functions_of(part: str, functions: Functions) -> list[str]:
    """Which of the functions a part is made of; none if it is the library's.

    >>> functions_of('conv2d', {'im2col': ops.im2col})
    ['im2col']
    """
    if part in functions:
        return [part]
    return [name for name in PARTS[part] if name in functions]


def unused_functions(functions: Functions) -> list[str]:
    """Those that no part is made of, such as im2col beside conv2d and conv2d_backward."""
    used = {name for part in PARTS for name in functions_of(part, functions)}
    return [name for name in functions if name not in used]


def replace_ops(net: Net, functions: Functions, stopwatch: Stopwatch) -> None:
    """Let the boxes of a net call the functions, where there are any, and measure both passes."""
    own_ops = {op: own_op(op, functions, stopwatch) for op in REPLACED_OPS}
    for box in net.boxes.values():
        box.op = own_ops.get(box.op, box.op)


def own_op(op: Any, functions: Functions, stopwatch: Stopwatch) -> Any:
    """An op like `op`: its forward, its backward or both call the functions."""
    part = op.__name__
    part_back = f'{part}_backward'
    own_forward = _find(part, functions)
    own_backward = _find(part_back, functions)

    @wraps(op)
    def run(*args: Any, **kwargs: Any) -> Any:
        if own_forward is None:
            with stopwatch.measure(part):
                return op(*args, **kwargs)
        y, cache = op(*args, **kwargs)
        with stopwatch.measure(part):
            mine = own_forward(*args, **kwargs)
        return conform(mine, y, part), cache

    @backward_of(run)
    def run_backward(dy: Any, cache: Any, want: Sequence[bool] | None = None) -> Any:
        with stopwatch.measure(part_back):
            if own_backward is None:
                return op.backward(dy, cache, want)
            return own_backward(dy, cache)

    return run


def _find(part: str, functions: Functions) -> Callable[..., Any] | None:
    """The part made of the functions, called like the library's; None if it is the library's."""
    if part not in PARTS or not functions_of(part, functions):
        return None
    solutions = {name: EXERCISES[name].solution for name in PARTS[part] if name != part}
    return partial(MADE_OF[part], {**solutions, **functions})


def conform(mine: Any, like: Any, part: str) -> Any:
    """A copy of an array of the reader's, in the dtype that the net computes in."""
    if np.shape(mine) != like.shape:
        raise ValueError(f'your {part} returns an array of shape {np.shape(mine)}, where '
                         f'{like.shape} is right')
    return np.array(mine, like.dtype)


# ---- Parts made of exercises: called like the library's op, with the functions before that

def conv2d(own, x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
    _require_plain(dilation, groups)
    bias = np.zeros(len(w), w.dtype) if b is None else b
    if 'conv2d' in own:
        return own['conv2d'](x, w, bias, stride, pad)
    cols = own['im2col'](x, w.shape[2:], stride, pad)               # (N, C·kh·kw, OH·OW)
    y = w.reshape(len(w), -1) @ cols + bias[:, None]                # (N, K, OH·OW)
    return y.reshape(len(x), len(w), *_output_size(x, w, stride, pad))


def conv2d_backward(own, dy, cache):
    x, w, b, geometry, groups = cache
    _require_plain(geometry['dilation'], groups)
    stride, pad = geometry['stride'], geometry['pad']
    if 'conv2d_backward' in own:
        dx, dw, db = own['conv2d_backward'](dy, x, w, stride, pad)
    else:
        cols = own['im2col'](x, w.shape[2:], stride, pad)           # (N, C·kh·kw, OH·OW)
        rows = dy.reshape(len(dy), len(w), -1)                      # (N, K, OH·OW)
        dw = (rows @ cols.transpose(0, 2, 1)).sum(0).reshape(w.shape)
        dcols = w.reshape(len(w), -1).T @ rows
        dx = own['col2im'](dcols, x.shape[2:], w.shape[2:], stride, pad)
        db = dy.sum((0, 2, 3))
    return (conform(dx, x, 'conv2d_backward'), conform(dw, w, 'conv2d_backward'),
            None if b is None else conform(db, b, 'conv2d_backward'))


def _require_plain(dilation, groups):
    if (dilation, groups) != (1, 1):
        raise ValueError('the convolution of the exercises has no dilation and no groups')


def _output_size(x, w, stride, pad):
    return [(size + 2 * pad - ksize) // stride + 1
            for size, ksize in zip(x.shape[2:], w.shape[2:])]


def max_pool(own, x, ksize, stride=None, **_):
    return own['max_pool'](x, ksize, ksize if stride is None else stride)


def max_pool_backward(own, dy, cache):
    """dx: each gradient at the switch of its window, where the maximum was."""
    x, _, geometry = cache
    switches, _ = ops.max_switches(x, **geometry)
    dx = own['unpool'](dy, switches, x.shape[2:])
    return conform(dx, x, 'unpool'),


def upsample(own, x, factor, **_):
    """The transposed convolution of every channel with the bilinear kernel."""
    n, c, h, w = x.shape
    kernel = np.asarray(own['bilinear'](factor), x.dtype)[None, None]
    y = own['conv_transpose2d'](x.reshape(n * c, 1, h, w), kernel, factor, 0)
    return y.reshape(n, c, *y.shape[2:])


MADE_OF: dict[str, Callable[..., Any]] = dict(
    conv2d=conv2d, conv2d_backward=conv2d_backward, max_pool=max_pool,
    max_pool_backward=max_pool_backward, upsample=upsample)
