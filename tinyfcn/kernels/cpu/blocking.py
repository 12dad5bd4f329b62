"""What the CPU kernels share: channels-last memory, scratch memory, threads.

The shape stays (N, C, H, W), but the memory is (N, H, W, C). There a window is a few long runs of
memory.
"""
from math import prod
from threading import local

import numpy as np

from ...runtime.threads import parallel, split_range

MIN_WORK = 1 << 21          # multiplications that make it worth waking one more thread
MAX_SCRATCH = 1 << 23       # values of a scratch buffer that a thread keeps, 32 MB

_scratch = local()


def scratch(name, *shape):
    """Uninitialised float32 memory of this shape, reused by the next call with the same name.

    Fresh memory comes from the system page by page, which would cost a part of every layer's time.
    So each thread keeps one buffer for each name. A buffer must not leave the block of work that
    asked for it: never return it, never cache it, and ask for a name again only when nothing reads
    its earlier contents any more. Larger requests are not kept.
    """
    size = prod(shape)
    kept = _scratch.__dict__
    if name not in kept or kept[name].size < size:
        if size > MAX_SCRATCH:
            return np.empty(shape, 'float32')
        kept[name] = np.empty(size, 'float32')
    return kept[name][:size].reshape(shape)


def parallel_for(work, count, cost):
    """Call work(slice) for all of range(count), on as many threads as pay. -> list of results

    `cost` is the number of multiplications that each of the `count` items takes.
    """
    min_length = MIN_WORK // cost + 1
    if count < 2 * min_length:                          # as split_range would find out
        return [work(slice(0, count))]
    return parallel(work, split_range(count, min_length))


def channels_last(x):
    """(N, C, H, W) of any strides -> (N, H, W, C) in which the channels of a pixel are adjacent.

    A view where x is laid out like this already, a copy elsewhere.
    """
    x = x.transpose(0, 2, 3, 1)
    if x.shape[3] == 1 or x.strides[3] == x.itemsize:
        return x
    y = np.empty(x.shape, x.dtype)

    def copy(part):                                     # of the rows of all images
        at = part.start
        while at < part.stop:
            image, top = divmod(at, x.shape[1])
            end = min(x.shape[1], top + part.stop - at)
            y[image, top:end] = x[image, top:end]
            at += end - top

    # to copy a value takes as long as 8 multiplications
    parallel_for(copy, count=len(x) * x.shape[1], cost=8 * prod(x.shape[2:]))
    return y
