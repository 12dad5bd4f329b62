"""Winograd's F(4×4, 3×3) on the GPU: transforms as kernels, the sum over channels as 36 products.

    y  = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A
    dw = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ x B)] G

conv1_2 of VGG-16 at 698×698, in GB: x .12 read, v .28 written and read, m .28 written and read,
y .12 written, 1.4 in all; and a quarter of the multiplications. Columns would be 1.1 written and
read. A layer that runs in pieces runs in as few as scratch memory allows: a launch has its price.
"""
from ...runtime.backend import array_module
from .im2col import multiply, pieces, shares
from .launch import launch


def convolve(x, w, b, size, geometry, groups):
    """x (N, C, H, W), w (K, C, 3, 3) -> y (N, K, *size)."""
    _, pad, _ = geometry
    return _over_tiles(x, _of_w(w, False), b, size, pad)


def transpose(dy, w, b, size, geometry, groups):
    """A convolution again, with the filters turned by 180° and their two depths exchanged."""
    _, pad, _ = geometry
    return _over_tiles(dy, _of_w(w, True), b, size, [2 - p for p in pad])


def correlate(x, dy, shape, geometry, groups):
    """dw (K, C, 3, 3) = ⟨x, dy⟩."""
    xp = array_module(x)
    (n, c), k, (_, pad, _), size = x.shape[:2], shape[0], geometry, dy.shape[2:]
    high, wide = _tiles(size)
    count, blocks, most = shares(n * high * wide, 36 * k * c, 36 * (c + k))
    u = xp.empty((blocks, 36, k, c), x.dtype)

    def sum_block(first, part):
        v = xp.empty((len(part) * 36, count, c), x.dtype)
        m = xp.empty((len(part) * 36, k, count), x.dtype)
        groups = -(-len(part) * count // 16) * -(-c // 16)          # 16 tiles of 16 channels
        launch('winograd', 'of_x_turned', v.size, x, v, *x.shape, *pad, high, wide, first,
               len(part), count, blocks=min(groups, 1 << 16))
        launch('winograd', 'of_dy', len(part) * k * count, dy, m, *dy.shape, high, wide, first,
               len(part), count)
        multiply(m, v, out=part.reshape(-1, k, c))

    for start in range(0, blocks, most):
        sum_block(start * count, u[start:start + most])
    dw = xp.empty(shape, x.dtype)
    launch('winograd_w', 'to_w', k * c, u[0] if blocks == 1 else u.sum(0), dw, k * c)
    return dw


def _over_tiles(x, u, b, size, pad):
    """x (N, C, H, W), u (36, K, C) -> y (N, K, *size)."""
    xp = array_module(x)
    (n, c), k, (high, wide) = x.shape[:2], u.shape[1], _tiles(size)
    y = xp.empty((n, k, *size), x.dtype)

    def fill(first, count):                 # so that its memory is free before the next begins
        v = xp.empty((36, c, count), x.dtype)
        launch('winograd', 'of_x', c * count, x, v, *x.shape, *pad, high, wide, first, count)
        m = multiply(u, v)
        launch('winograd', 'to_y', 4 * k * count, m, b, y, *y.shape, high, wide, first, count,
               b is not None)

    for first, count in pieces(n * high * wide, 36 * (c + k)):
        fill(first, count)
    return y


def _of_w(w, turned):
    """(36, K, C), or turned (36, C, K)."""
    k, c = w.shape[:2]
    u = array_module(w).empty((36, *((c, k) if turned else (k, c))), w.dtype)
    launch('winograd_w', 'of_w', k * c, w, u, k, c, turned)
    return u


def _tiles(size):
    """How many tiles lie below one another, and side by side."""
    return [-(-n // 4) for n in size]
