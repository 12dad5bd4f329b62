"""The window of a pool along one axis of an image."""
from typing import NamedTuple

from ...geometry import window


class Window(NamedTuple):
    """A window along one axis. The i-th covers `ksize` pixels from i·stride − pad on."""

    ksize: int
    stride: int
    pad: int


def window_axes(ksize, stride, pad):
    """The window along the height and along the width; the stride defaults to ksize."""
    ksize, stride, pad, _ = window(ksize, ksize if stride is None else stride, pad)
    return Window(ksize[0], stride[0], pad[0]), Window(ksize[1], stride[1], pad[1])
