"""How a compiled loop sees an image, and how its rows are shared out to the threads.

An image of shape (N, C, H, W) lies in memory as (N, H, W, C), "channels-last": the channels of a
pixel are adjacent, and a loop computes LANES of them at once.
"""
from math import prod
from typing import NamedTuple

from ...runtime.threads import parallel, split_range
from .jit import compiled

MIN_VALUES = 1 << 16        # values that make it worth waking one more thread


class Image(NamedTuple):
    """Where an (N, H, W, C) array of 4-byte values lies; channels are adjacent.

    A loop that is given addresses is compiled once, for whole arrays, for views, and for arrays
    that are read-only. The strides count bytes.
    """

    address: int
    images: int
    rows: int
    columns: int
    channels: int
    image_stride: int
    row_stride: int
    column_stride: int


def image_of(x):
    """The Image of an (N, H, W, C) array, which does not keep the array alive."""
    return Image(x.ctypes.data, *layout(x))


def layout(x):
    """An Image without its address, which is the same for all arrays of a shape and its strides."""
    return *x.shape, *x.strides[:3]


@compiled
def pixel(x, n, i, j, c):
    """The address of channel c at row i, column j of image n."""
    return x.address + n * x.image_stride + i * x.row_stride + j * x.column_stride + 4 * c


def rows_in_parallel(loop, arrays, *args):
    """Call loop(*images, *args, start, stop) for all rows of the last array, on all threads.

    arrays (N, H, W, C); the rows of all images are counted through. Which rows a thread computes
    must not change a bit of the result. The largest array says how much work a row is.
    """
    images = [image_of(x) for x in arrays]
    count = prod(arrays[-1].shape[:2])
    values_per_row = max(x.size for x in arrays) // count
    parts = split_range(count, min_length=1 + MIN_VALUES // values_per_row)
    parallel(lambda part: loop(*images, *args, part.start, part.stop), parts)
