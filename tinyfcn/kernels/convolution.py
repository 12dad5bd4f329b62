"""Convolution, its transpose and the backward of both: one registration for every array library.

M is the matrix of a convolution (ops/conv.py). An algorithm (im2col, Winograd, …) is a module with
three functions, each of the same M, whose shape `Problem` gives:

    convolve                y  = M x + b
    convolve_transposed     dx = Mᵀ dy + b
    weight_gradient         dw[t] = Σ dy · x[t]     x[t] is what tap t reads; Σ is over all windows

A backend says how its array library lays out memory and calls an algorithm. `choose(problem)` picks
the algorithm, or returns None where the reference implementation should run.
"""
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

from ..geometry import Pair, Size, axes, conv_size, transposed_size
from ..runtime.threads import parallel
from .registry import Library, kernel

Array = Any                             # of NumPy or of CuPy
OutputAndCache = tuple[Array, tuple[Any, ...]]
Gradients = tuple[Array | None, Array | None, Array | None]                 # dx, dw, db
Chooser = Callable[['Problem'], 'ModuleType | None']


class Geometry(NamedTuple):
    """Stride, padding and dilation, each along the height and the width."""

    stride: Size
    pad: Size
    dilation: Size


class Problem(NamedTuple):
    """What the choice of an algorithm may depend on.

    All of it describes the convolution M, also where conv_transpose2d computes with its transpose:
    there `size` is that of the transpose's input, and out_channels are those that it reads.
    """

    dtype: Any                  # of NumPy, as every array has it
    batch_size: int
    size: Size                  # (OH, OW)
    out_channels: int           # of one group
    in_channels: int            # of one group
    ksize: Size
    geometry: Geometry
    groups: int

    @property
    def windows(self) -> int:
        """How many windows there are in all images."""
        return self.batch_size * self.size[0] * self.size[1]


class Backend(NamedTuple):
    """How one array library runs an algorithm."""

    # whose arrays: the first argument of @kernel
    library: Library
    # whether all are arrays of this library, of one dtype that its kernels compute in
    is_supported: Callable[..., bool]
    # (N, C, H, W) of any strides -> as the algorithms read images
    image_layout: Callable[[Array], Array]
    # (K, C, kh, kw) of any strides -> as the algorithms read weights
    weight_layout: Callable[[Array], Array]
    # (algorithm, x or dy, w, b, output size, geometry, groups) -> (N, C, H, W); the size is
    # (rows, columns), and w is (K, C/groups, kh, kw)
    convolve: Callable[..., Array]
    convolve_transposed: Callable[..., Array]
    # (algorithm, x, dy, shape of w, geometry, groups) -> dw
    weight_gradient: Callable[..., Array]
    # dy in the image layout -> db, the sum of each channel
    sum_pixels: Callable[[Array], Array]
    # up to so many multiplications dx and dw are computed side by side, each by one thread
    side_by_side: int = 0
    # convolve with one argument more, `out` or None, and ReLU behind it; None: no such kernel
    convolve_relu: Callable[..., Array] | None = None
    # whether it can write into `out` while it reads x; where not, the reference copies
    may_write: Callable[[Array, Array], bool] = lambda out, x: True
    # dy and y in the image layout -> dy where y > 0 and 0 elsewhere, and the sum of each channel
    mask_and_sum: Callable[[Array, Array], tuple[Array, Array]] | None = None


def register(backend: Backend, choose: Chooser, exact: bool) -> None:
    """Register the ops for `backend`, each by the algorithm that `choose` picks."""
    ops = Convolutions(backend, choose)
    for name, accepts, function in (
            ('conv2d', ops.accepts_conv, ops.conv),
            ('conv2d_backward', ops.accepts_conv_backward, ops.conv_backward),
            ('conv_transpose2d', ops.accepts_conv_transpose, ops.conv_transpose),
            ('conv_transpose2d_backward', ops.accepts_conv_transpose_backward,
             ops.conv_transpose_backward),
            ('conv_relu', ops.accepts_conv_relu, ops.conv_relu),
            ('conv_relu_backward', ops.accepts_conv_relu_backward, ops.conv_relu_backward)):
        if backend.convolve_relu or not name.startswith('conv_relu'):
            kernel(name, backend.library, accepts, exact)(function)


class Convolutions:
    """Kernels for the ops on one array library, with the arguments of the ops.

    Each has its `accepts_…`, which is true where the arrays are supported, fit together, and an
    algorithm is chosen.
    """

    def __init__(self, backend: Backend, choose: Chooser) -> None:
        self.backend = backend
        self.choose = choose

    # ---- conv2d

    def accepts_conv(
            self, x: Array, w: Array, b: Array | None = None, stride: Pair = 1,
            pad: Pair = 0, dilation: Pair = 1, groups: int = 1) -> bool:
        if not self._fits(x, w, b, groups):
            return False
        algorithm, _ = self._choose(x, w, as_geometry(stride, pad, dilation), groups)
        return algorithm is not None

    def conv(
            self, x: Array, w: Array, b: Array | None = None, stride: Pair = 1,
            pad: Pair = 0, dilation: Pair = 1, groups: int = 1) -> OutputAndCache:
        geometry = as_geometry(stride, pad, dilation)
        algorithm, size = self._choose(x, w, geometry, groups)
        y = self.backend.convolve(
            algorithm, self.backend.image_layout(x), self.backend.weight_layout(w), b, size,
            geometry, groups)
        return y, (x, w, b, dict(stride=stride, pad=pad, dilation=dilation), groups)

    def accepts_conv_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> bool:
        x, w, b, kwargs, groups = cache
        if not self._fits(x, w, b, groups):
            return False
        algorithm, size = self._choose(x, w, as_geometry(**kwargs), groups)
        return algorithm is not None and self._is_like(dy, x, (len(x), len(w), *size))

    def conv_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> Gradients:
        x, w, b, kwargs, groups = cache
        backend = self.backend
        geometry = as_geometry(**kwargs)
        algorithm, _ = self._choose(x, w, geometry, groups)
        want_dx, want_dw, want_db = _wanted(want, b)
        db = None
        dy = backend.image_layout(dy)

        def compute_dx() -> Array:
            return backend.convolve_transposed(algorithm, dy, backend.weight_layout(w), None,
                                               x.shape[2:], geometry, groups)

        def compute_dw() -> Array:
            return backend.weight_gradient(algorithm, backend.image_layout(x), dy, w.shape,
                                           geometry, groups)

        if want_dx and want_dw and dy.size * w[0].size <= backend.side_by_side:
            dx, dw = parallel(lambda compute: compute(), [compute_dx, compute_dw])
        else:
            dx = compute_dx() if want_dx else None
            dw = compute_dw() if want_dw else None
        if want_db:
            db = backend.sum_pixels(dy)
        return dx, dw, db

    # ---- conv_relu: ReLU before y is written, and its mask before dy is used

    def accepts_conv_relu(
            self, x: Array, w: Array, b: Array | None = None, stride: Pair = 1, pad: Pair = 0,
            dilation: Pair = 1, groups: int = 1, out: Array | None = None) -> bool:
        if not self._fits(x, w, b, groups):
            return False
        algorithm, size = self._choose(x, w, as_geometry(stride, pad, dilation), groups)
        return algorithm is not None and (
            out is None or (self._is_like(out, x, (len(x), len(w), *size))
                            and self.backend.may_write(out, x)))

    def conv_relu(
            self, x: Array, w: Array, b: Array | None = None, stride: Pair = 1, pad: Pair = 0,
            dilation: Pair = 1, groups: int = 1, out: Array | None = None) -> OutputAndCache:
        geometry = as_geometry(stride, pad, dilation)
        algorithm, size = self._choose(x, w, geometry, groups)
        assert self.backend.convolve_relu
        y = self.backend.convolve_relu(
            algorithm, self.backend.image_layout(x), self.backend.weight_layout(w), b, size,
            geometry, groups, out)
        kwargs = dict(stride=stride, pad=pad, dilation=dilation)
        return y, ((x, w, b, kwargs, groups), y)

    def accepts_conv_relu_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> bool:
        conv_cache, y = cache
        return self.accepts_conv_backward(dy, conv_cache) and self._is_like(y, dy, dy.shape)

    def conv_relu_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> Gradients:
        conv_cache, y = cache
        want_dx, want_dw, want_db = _wanted(want, conv_cache[2])
        assert self.backend.mask_and_sum
        dy, db = self.backend.mask_and_sum(dy, y)
        dx, dw, _ = self.conv_backward(dy, conv_cache, (want_dx, want_dw, False))
        return dx, dw, db if want_db else None

    # ---- conv_transpose2d: the same matrix, read the other way

    def accepts_conv_transpose(
            self, x: Array, w: Array, b: Array | None = None, stride: Pair = 1,
            pad: Pair = 0, dilation: Pair = 1, groups: int = 1, output_padding: Pair = 0) -> bool:
        if not self._fits(x, w, b, groups, transposed=True):
            return False
        geometry = as_geometry(stride, pad, dilation)
        # an output that cannot be is refused here as in the reference
        transposed_size(x.shape[2:], w.shape[2:], *geometry, output_padding)
        return self._choose_transposed(x, w, geometry, groups) is not None

    def conv_transpose(
            self, x: Array, w: Array, b: Array | None = None, stride: Pair = 1,
            pad: Pair = 0, dilation: Pair = 1, groups: int = 1, output_padding: Pair = 0,
            ) -> OutputAndCache:
        geometry = as_geometry(stride, pad, dilation)
        size = transposed_size(x.shape[2:], w.shape[2:], *geometry, output_padding)
        algorithm = self._choose_transposed(x, w, geometry, groups)
        y = self.backend.convolve_transposed(
            algorithm, self.backend.image_layout(x), self.backend.weight_layout(w), b, size,
            geometry, groups)
        return y, (x, w, b, dict(stride=stride, pad=pad, dilation=dilation), groups, size)

    def accepts_conv_transpose_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> bool:
        x, w, b, kwargs, groups, size = cache
        if not self._fits(x, w, b, groups, transposed=True):
            return False
        if not self._is_like(dy, x, (len(x), w.shape[1] * groups, *size)):
            return False
        return self._choose_transposed(x, w, as_geometry(**kwargs), groups) is not None

    def conv_transpose_backward(
            self, dy: Array, cache: Any, want: Sequence[bool] | None = None) -> Gradients:
        x, w, b, kwargs, groups, size = cache
        backend = self.backend
        geometry = as_geometry(**kwargs)
        algorithm = self._choose_transposed(x, w, geometry, groups)
        want_dx, want_dw, want_db = _wanted(want, b)
        dx = dw = db = None

        dy = backend.image_layout(dy)
        if want_dx:
            dx = backend.convolve(algorithm, dy, backend.weight_layout(w), None, x.shape[2:],
                                  geometry, groups)
        if want_dw:
            dw = backend.weight_gradient(algorithm, dy, backend.image_layout(x), w.shape, geometry,
                                         groups)
        if want_db:
            db = backend.sum_pixels(dy)
        return dx, dw, db

    # ---- what they share

    def _choose(self, x: Array, w: Array, geometry: Geometry, groups: int,
                ) -> tuple[ModuleType | None, Size]:
        """The algorithm, and the size of the output."""
        problem = conv_problem(x.dtype, x.shape, w.shape, geometry, groups)
        return self.choose(problem), problem.size

    def _choose_transposed(self, x: Array, w: Array, geometry: Geometry, groups: int,
                           ) -> ModuleType | None:
        return self.choose(
            as_problem(x.dtype, len(x), x.shape[2:], w.shape, geometry, groups))

    def _fits(self, x: Array, w: Array, b: Array | None, groups: int,
              transposed: bool = False) -> bool:
        """Whether x, w and b are arrays that the backend supports and have shapes that fit.

        The reference says what does not.
        """
        arrays = [x, w] if b is None else [x, w, b]
        if not self.backend.is_supported(*arrays):
            return False
        if x.ndim != 4 or w.ndim != 4 or type(groups) is not int or groups < 1 or len(w) % groups:
            return False
        out_channels = len(w)
        in_channels = w.shape[1] * groups
        if transposed:
            out_channels, in_channels = in_channels, out_channels
        return x.shape[1] == in_channels and (b is None or b.shape == (out_channels,))

    def _is_like(self, y: Array, x: Array, shape: tuple[int, ...]) -> bool:
        """Whether y or dy is of the kind of x, and of this shape."""
        return self.backend.is_supported(x, y) and y.shape == shape


@lru_cache(maxsize=4096)
def conv_problem(dtype: Any, x: tuple[int, ...], w: tuple[int, ...], geometry: Geometry,
                 groups: int) -> Problem:
    """Of a convolution of arrays with the shapes x and w."""
    size = conv_size(x[2:], w[2:], *geometry)
    return as_problem(dtype, x[0], size, w, geometry, groups)


def as_problem(dtype: Any, batch_size: int, size: Size, w: tuple[int, ...], geometry: Geometry,
               groups: int) -> Problem:
    return Problem(dtype, batch_size, size, out_channels=w[0] // groups, in_channels=w[1],
                   ksize=(w[2], w[3]), geometry=geometry, groups=groups)


def as_geometry(stride: Pair, pad: Pair, dilation: Pair) -> Geometry:
    """Ints or pairs, as the user gave them -> pairs."""
    if type(stride) is type(pad) is type(dilation) is int:
        return _geometry_of_ints(stride, pad, dilation)
    return _geometry(stride, pad, dilation)


def _geometry(stride: Pair, pad: Pair, dilation: Pair) -> Geometry:
    return Geometry(axes(stride, 'stride', 1), axes(pad, 'pad'), axes(dilation, 'dilation', 1))


# 1.0 is refused and yet equals 1, so a cache must not be asked for it
_geometry_of_ints = lru_cache(maxsize=1024)(_geometry)


def _wanted(want: Sequence[bool] | None, b: Array | None) -> tuple[bool, bool, bool]:
    """Whether dx, dw and db are needed. Without b, `want` has two entries."""
    want_dx, want_dw, *rest = want or (True, True, True)
    return want_dx, want_dw, b is not None and rest[0]
