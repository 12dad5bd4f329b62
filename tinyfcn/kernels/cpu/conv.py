"""Convolutions of float32 on the CPU: which algorithm runs, and how groups are split.

    winograd        3×3 at stride 1 and dilation 1, with at least 32 channels on both sides and
                    enough windows to pay for the transforms
    small_maps      fewer than three windows for two filters, where to pack w would cost more than
                    it saves: BLAS multiplies w as it is
    direct          everything else, except small problems, which are left to the reference

Arrays of any strides come in. Results have the shape (N, C, H, W) and the memory order
(N, H, W, C). README.md says what the thresholds rest on.
"""
import numpy as np

from .. import convolution
from . import direct, small_maps, winograd
from .blocking import channels_last, sum_pixels

SMALL = 1 << 20                 # multiplications
WINOGRAD_CHANNELS = 32          # from here on Winograd's transforms pay
WINOGRAD_WORK = 50_000          # windows · channels


def choose_exact(problem):
    """The algorithm that rounds no more than the reference; None where that is fast enough."""
    k = problem.out_channels
    c = problem.in_channels
    ksize = problem.ksize
    if problem.groups * problem.windows * k * c * ksize[0] * ksize[1] < SMALL:
        return None
    return small_maps if 2 * problem.windows < 3 * k else direct


def choose_winograd(problem):
    """Winograd where it is faster; None elsewhere."""
    k = problem.out_channels
    c = problem.in_channels
    geometry = problem.geometry
    if (problem.ksize, geometry.stride, geometry.dilation) != ((3, 3), (1, 1), (1, 1)):
        return None
    channels = min(k, c)
    enough = (channels * problem.windows >= WINOGRAD_WORK
              and problem.windows >= 2 * max(k, c))
    return winograd if channels >= WINOGRAD_CHANNELS and enough else None


def is_supported(*arrays):
    """Whether all are NumPy arrays of float32, none of them empty, at addresses of floats."""
    return all(isinstance(a, np.ndarray) and a.dtype == np.float32 and a.size and a.flags.aligned
               for a in arrays)


# ---- One algorithm, group by group

def convolve(algorithm, x, w, b, size, geometry, groups):
    """x (N, H, W, C) -> y (N, K, OH, OW)."""
    parts = []
    for filters, channels in _groups(w.shape, groups):
        bias = None if b is None else b[filters]
        parts.append(algorithm.convolve(x[..., channels], w[filters], bias, size, geometry))
    return _join_groups(parts)


def convolve_transposed(algorithm, dy, w, b, size, geometry, groups):
    """dy (N, OH, OW, K) -> dx (N, C, H, W)."""
    dx = _join_groups([algorithm.convolve_transposed(dy[..., filters], w[filters], size, geometry)
                       for filters, _ in _groups(w.shape, groups)])
    if b is not None:
        dx += b[:, None, None]
    return dx


def weight_gradient(algorithm, x, dy, shape, geometry, groups):
    """x (N, H, W, C), dy (N, OH, OW, K) -> dw of `shape`."""
    group_shape = shape[0] // groups, *shape[1:]
    dw = [algorithm.weight_gradient(x[..., channels], dy[..., filters], group_shape, geometry)
          for filters, channels in _groups(shape, groups)]
    return dw[0] if groups == 1 else np.concatenate(dw)


def _groups(shape, groups):
    """For each group, the slice of its filters and the slice of the channels that they read."""
    k = shape[0] // groups
    c = shape[1]
    return [(slice(g * k, g * k + k), slice(g * c, g * c + c)) for g in range(groups)]


def _join_groups(parts):
    """The groups' (N, H, W, C), side by side -> (N, C, H, W)."""
    y = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=3)
    return y.transpose(0, 3, 1, 2)


BACKEND = convolution.Backend(
    'numpy', is_supported, image_layout=channels_last, weight_layout=lambda w: w,
    convolve=convolve, convolve_transposed=convolve_transposed, weight_gradient=weight_gradient,
    sum_pixels=sum_pixels)


def register(choose, exact):
    """Register the four ops with this choice of an algorithm."""
    convolution.register(BACKEND, choose, exact)


register(choose_winograd, exact=False)
register(choose_exact, exact=True)
