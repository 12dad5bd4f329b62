"""The window of a pool along one axis of an image."""
from typing import NamedTuple

from ...geometry import useful_taps, window


class Window(NamedTuple):
    """A window along one axis. The i-th covers `ksize` pixels from i·stride − pad on."""

    ksize: int
    stride: int
    pad: int


def window_axes(size, ksize, stride, pad):
    """The window along the height and along the width of an image; the stride defaults to ksize.

    Taps that no window has inside the image are left out.
    """
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    ksize = map(useful_taps, size, ksize, pad)
    return tuple(map(Window, ksize, stride, pad))
