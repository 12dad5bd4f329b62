"""Convolution, its transpose and the backward of both: one registration for every array library.

An algorithm (im2col, Winograd, …) is a module with three functions:

    convolve        y  = M x + b
    transpose       dx = Mᵀ dy          also the forward of conv_transpose2d
    correlate       dw = ⟨x, dy⟩

A backend says how its array library lays out memory and calls an algorithm. `choose(problem)` picks
the algorithm, or returns None where the reference implementation should run.
"""
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ..geometry import axes, conv_size, transposed_size
from .registry import Library, kernel

Array = Any                             # of NumPy or of CuPy
Pair = tuple[int, int]
IntOrPair = int | Sequence[int]         # as an op is called
Forward = tuple[Array, tuple[Any, ...]]                                     # y, cache
Gradients = tuple[Array | None, Array | None, Array | None]                 # dx, dw, db
Choose = Callable[['Problem'], 'ModuleType | None']


class Geometry(NamedTuple):
    """Stride, padding and dilation, each along the height and the width."""

    stride: Pair
    pad: Pair
    dilation: Pair


class Problem(NamedTuple):
    """What the choice of an algorithm may depend on.

    `size` is the (OH, OW) of the convolution, also where its transpose is computed.
    """

    dtype: Any                  # of NumPy, as every array has it
    images: int
    size: Pair
    out_channels: int           # of one group
    in_channels: int            # of one group
    ksize: Pair
    geometry: Geometry
    groups: int

    @property
    def places(self) -> int:
        """How many windows there are in all images."""
        return self.images * self.size[0] * self.size[1]


class Backend(NamedTuple):
    """How one array library runs an algorithm."""

    library: Library
    # whether all are arrays of this library, of one dtype that its kernels compute in
    is_supported: Callable[..., bool]
    # (N, C, H, W) of any strides -> as the algorithms read images
    image_layout: Callable[[Array], Array]
    # (K, C, kh, kw) of any strides -> as the algorithms read weights
    weight_layout: Callable[[Array], Array]
    # (algorithm, x, w, b, output size, geometry, groups) -> (N, C, H, W)
    convolve: Callable[..., Array]
    transpose: Callable[..., Array]
    # (algorithm, x, dy, shape of w, geometry, groups) -> dw
    correlate: Callable[..., Array]
    # dy in the image layout -> db, the sum of each channel
    sum_pixels: Callable[[Array], Array]


def register(backend: Backend, choose: Choose, exact: bool) -> None:
    """Register the four ops for `backend`, each by the algorithm that `choose` picks."""
    ops = Convolutions(backend, choose)
    for name, accepts, function in (
            ('conv2d', ops.accepts_conv, ops.conv),
            ('conv2d_backward', ops.accepts_conv_backward, ops.conv_backward),
            ('conv_transpose2d', ops.accepts_conv_transpose, ops.conv_transpose),
            ('conv_transpose2d_backward', ops.accepts_conv_transpose_backward,
             ops.conv_transpose_backward)):
        kernel(name, backend.library, accepts, exact)(function)


class Convolutions:
    """The four ops on one array library. Each `accepts_…` is true where an algorithm is chosen."""

    def __init__(self, backend: Backend, choose: Choose) -> None:
        self.backend = backend
        self.choose = choose

    # ---- conv2d

    def accepts_conv(
            self, x: Array, w: Array, b: Array | None = None, stride: IntOrPair = 1,
            pad: IntOrPair = 0, dilation: IntOrPair = 1, groups: int = 1) -> ModuleType | None:
        if not self._channels_agree(x, w, b, groups, reads=1):
            return None
        kwargs = dict(stride=stride, pad=pad, dilation=dilation)
        size = conv_size(x.shape[2:], w.shape[2:], **kwargs)
        return self._algorithm(x, w, size, kwargs, groups)

    def conv(
            self, x: Array, w: Array, b: Array | None = None, stride: IntOrPair = 1,
            pad: IntOrPair = 0, dilation: IntOrPair = 1, groups: int = 1) -> Forward:
        kwargs = dict(stride=stride, pad=pad, dilation=dilation)
        size = conv_size(x.shape[2:], w.shape[2:], **kwargs)
        algorithm = self._algorithm(x, w, size, kwargs, groups)
        y = self.backend.convolve(
            algorithm, self.backend.image_layout(x), self.backend.weight_layout(w), b, size,
            resolve(**kwargs), groups)
        return y, (x, w, b, kwargs, groups)

    def accepts_conv_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> ModuleType | None:
        x, w, b, kwargs, groups = cache
        if not self._channels_agree(x, w, b, groups, reads=1):
            return None
        size = conv_size(x.shape[2:], w.shape[2:], **kwargs)
        if not self._is_gradient(dy, x, (len(x), len(w), *size)):
            return None
        return self._algorithm(x, w, size, kwargs, groups)

    def conv_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> Gradients:
        x, w, b, kwargs, groups = cache
        backend = self.backend
        geometry = resolve(**kwargs)
        algorithm = self._algorithm(x, w, dy.shape[2:], kwargs, groups)
        want_dx, want_dw, want_db = _wanted(want, b)
        dx = dw = db = None

        dy = backend.image_layout(dy)
        if want_dx:
            dx = backend.transpose(algorithm, dy, backend.weight_layout(w), None, x.shape[2:],
                                   geometry, groups)
        if want_dw:
            dw = backend.correlate(algorithm, backend.image_layout(x), dy, w.shape, geometry,
                                   groups)
        if want_db:
            db = backend.sum_pixels(dy)
        return dx, dw, db

    # ---- conv_transpose2d: the same matrix, read the other way

    def accepts_conv_transpose(
            self, x: Array, w: Array, b: Array | None = None, stride: IntOrPair = 1,
            pad: IntOrPair = 0, dilation: IntOrPair = 1, groups: int = 1,
            output_padding: IntOrPair = 0) -> ModuleType | None:
        if not self._channels_agree(x, w, b, groups, reads=0):
            return None
        kwargs = dict(stride=stride, pad=pad, dilation=dilation)
        # raises where the output would be empty or has no such padding
        transposed_size(x.shape[2:], w.shape[2:], **kwargs, output_padding=output_padding)
        return self._algorithm(x, w, x.shape[2:], kwargs, groups)

    def conv_transpose(
            self, x: Array, w: Array, b: Array | None = None, stride: IntOrPair = 1,
            pad: IntOrPair = 0, dilation: IntOrPair = 1, groups: int = 1,
            output_padding: IntOrPair = 0) -> Forward:
        kwargs = dict(stride=stride, pad=pad, dilation=dilation)
        size = transposed_size(x.shape[2:], w.shape[2:], **kwargs, output_padding=output_padding)
        algorithm = self._algorithm(x, w, x.shape[2:], kwargs, groups)
        y = self.backend.transpose(
            algorithm, self.backend.image_layout(x), self.backend.weight_layout(w), b, size,
            resolve(**kwargs), groups)
        return y, (x, w, b, kwargs, groups, size)

    def accepts_conv_transpose_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> ModuleType | None:
        x, w, b, kwargs, groups, size = cache
        if not self._channels_agree(x, w, b, groups, reads=0):
            return None
        if not self._is_gradient(dy, x, (len(x), w.shape[1] * groups, *size)):
            return None
        return self._algorithm(x, w, x.shape[2:], kwargs, groups)

    def conv_transpose_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> Gradients:
        x, w, b, kwargs, groups, size = cache
        backend = self.backend
        geometry = resolve(**kwargs)
        algorithm = self._algorithm(x, w, x.shape[2:], kwargs, groups)
        want_dx, want_dw, want_db = _wanted(want, b)
        dx = dw = db = None

        dy = backend.image_layout(dy)
        if want_dx:
            dx = backend.convolve(algorithm, dy, backend.weight_layout(w), None, x.shape[2:],
                                  geometry, groups)
        if want_dw:
            dw = backend.correlate(algorithm, dy, backend.image_layout(x), w.shape, geometry,
                                   groups)
        if want_db:
            db = backend.sum_pixels(dy)
        return dx, dw, db

    # ---- what all four share

    def _algorithm(self, x: Array, w: Array, size: Sequence[int], kwargs: dict[str, Any],
                   groups: int) -> ModuleType | None:
        return self.choose(Problem(
            x.dtype, len(x), (size[0], size[1]), len(w) // groups, w.shape[1], w.shape[2:],
            resolve(**kwargs), groups))

    def _channels_agree(self, x: Array, w: Array, b: Array | None, groups: int,
                        reads: int) -> bool:
        """Whether x, w and b are supported and fit together; the reference says what does not.

        `reads` is the axis of w that x's channels belong to: 1 for conv2d, 0 for its transpose.
        """
        arrays = [x, w] if b is None else [x, w, b]
        if not self.backend.is_supported(*arrays):
            return False
        if x.ndim != 4 or w.ndim != 4 or type(groups) is not int or groups < 1 or len(w) % groups:
            return False
        channels = len(w), w.shape[1] * groups
        return x.shape[1] == channels[reads] and (b is None or b.shape == (channels[1 - reads],))

    def _is_gradient(self, dy: Array, x: Array, shape: tuple[int, ...]) -> bool:
        return self.backend.is_supported(x, dy) and dy.shape == shape


def resolve(stride: IntOrPair, pad: IntOrPair, dilation: IntOrPair) -> Geometry:
    """Ints or pairs, as the user gave them -> pairs."""
    return Geometry(axes(stride, 'stride', 1), axes(pad, 'pad'), axes(dilation, 'dilation', 1))


def _wanted(want: Sequence[bool] | None, b: Array | None) -> tuple[bool, bool, bool]:
    """Whether dx, dw and db are needed. Without b, `want` has two entries."""
    want_dx, want_dw, *rest = want or (True, True, True)
    return want_dx, want_dw, b is not None and rest[0]
