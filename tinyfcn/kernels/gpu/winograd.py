"""Winograd's F(4×4, 3×3) on the GPU: transforms are kernels, the channel sum 36 matrix products.

    y  = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A
    dw = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ x B)] G        the gradient by w
    dx = Aᵀ [(G w' Gᵀ) ⊙ (Bᵀ dy B)] A       w' is w rotated by 180°

kernels/cpu/winograd.py explains the steps. Here the transforms act on one axis after the other, in
the registers of a thread.

Memory traffic of conv1_2 of VGG-16 at 698×698, in GB: x .12 read, v .28 written and read, m .28
written and read, y .12 written, 1.4 in all, with a quarter of the multiplications. im2col alone
would write and read 1.1 for its columns. A layer runs in as few pieces as scratch memory allows,
because each launch costs time.
"""
from ...runtime.backend import array_module
from .im2col import pieces, split_sum
from .launch import launch
from .norm import add_parts
from .product import multiply


def convolve(x, w, b, y, geometry, groups, relu):
    """x (N, C, H, W), w (K, C, 3, 3) -> y (N, K, OH, OW)."""
    _convolve_tiles(x, _transform_filters(w, False), b, y, geometry.pad, relu)


def convolve_transposed(dy, w, b, dx, geometry, groups):
    """dy (N, K, OH, OW), w (K, C, 3, 3) -> dx (N, C, H, W).

    A convolution with the filters rotated by 180°, and input and output channels exchanged.
    """
    pad = [2 - p for p in geometry.pad]
    _convolve_tiles(dy, _transform_filters(w, True), b, dx, pad, False)


def weight_gradient(x, dy, shape, geometry, groups):
    """x (N, C, H, W), dy (N, K, OH, OW) -> dw (K, C, 3, 3), the second equation."""
    xp = array_module(x)
    n, c = x.shape[:2]
    k = shape[0]
    rows, columns = _tiles(dy)
    plan = split_sum(n * rows * columns, 36 * k * c, 36 * (c + k))
    u = xp.empty((plan.blocks, 36, k, c), x.dtype)

    def sum_blocks(first, part):            # a function, so that v and m are freed at its end
        blocks = len(part)
        v = xp.empty((blocks * 36, c, plan.places), x.dtype)
        m = xp.empty((blocks * 36, k, plan.places), x.dtype)
        launch('winograd', 'transform_input', blocks * c * plan.places, x, v, *x.shape,
               *geometry.pad, rows, columns, first, blocks, plan.places)
        launch('winograd', 'transform_gradient', blocks * k * plan.places, dy, m, *dy.shape,
               rows, columns, first, blocks, plan.places)
        multiply(m, v.swapaxes(1, 2), out=part.reshape(-1, k, c))

    for start in range(0, plan.blocks, plan.at_once):
        sum_blocks(start * plan.places, u[start:start + plan.at_once])
    dw = xp.empty(shape, x.dtype)
    total = add_parts(u, 0)
    launch('winograd_filters', 'filter_gradient', k * c, total, dw, k * c)
    return dw


def _convolve_tiles(x, u, b, y, pad, relu):
    """x (N, C, H, W), transformed filters u (36, K, C) -> y (N, K, OH, OW)."""
    xp = array_module(x)
    n, c = x.shape[:2]
    k = u.shape[1]
    rows, columns = _tiles(y)

    def convolve_piece(first, count):       # a function, so that v and m are freed at its end
        v = xp.empty((36, c, count), x.dtype)
        launch('winograd', 'transform_input', c * count, x, v, *x.shape, *pad, rows, columns,
               first, 1, count)
        m = multiply(u, v)
        # four threads for each tile and filter, one for each column of its pixels
        launch('winograd', 'transform_output', 4 * k * count, m, b, y, *y.shape, rows, columns,
               first, count, b is not None, relu)

    for first, count in pieces(n * rows * columns, 36 * (c + k)):
        convolve_piece(first, count)


def _transform_filters(w, rotated):
    """w (K, C, 3, 3) -> (36, K, C); of the rotated filters (36, C, K)."""
    k, c = w.shape[:2]
    shape = (36, c, k) if rotated else (36, k, c)
    u = array_module(w).empty(shape, w.dtype)
    launch('winograd_filters', 'transform_filters', k * c, w, u, k, c, rotated)
    return u


def _tiles(y):
    """How many tiles of 4×4 pixels of y lie below one another, and side by side."""
    return [-(-n // 4) for n in y.shape[2:]]
