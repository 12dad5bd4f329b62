"""The window of a pool along one axis of an image."""
from typing import NamedTuple

from ...geometry import window


class WindowAxis(NamedTuple):
    """Window i covers the pixels from i·stride − pad on, `ksize` of them."""

    ksize: int
    stride: int
    pad: int


def window_axes(ksize, stride, pad):
    """The window along the height and along the width; the stride defaults to ksize."""
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    return WindowAxis(ksize[0], stride[0], pad[0]), WindowAxis(ksize[1], stride[1], pad[1])
