"""Convolutions of float32 on the CPU. Three roads, each of them measured where it is taken:

    winograd    3×3 at stride 1 and dilation 1, 32 channels or more on both sides, and at least 640
                places and two for each channel, which pay for the transform of w
    filters     fewer than three places for each filter (1×1: an eighth of one): w is not copied
    columns     all else, but for the thin and little, which the body does as soon

A road has `convolve`, `transpose` and `correlate`: y = M x, dx = Mᵀ dy, dw = ⟨x, dy⟩. Arrays of
any strides come in; what goes out is (N, C, H, W) whose memory is (N, H, W, C).
"""
import numpy as np

from ...geometry import axes, conv_size, transposed_size
from ..registry import kernel
from . import im2col as columns, small_maps as filters, winograd
from .blocking import channels_last, sum_rows

LITTLE = 1 << 22                # multiplications, where a layer has no more than 8 channels
DEPTH, PLACES = 32, 640         # from here on Winograd's transforms pay


def exact_road(places, k, c, ksize, stride, dilation):
    """The road that rounds no more than the body does; None where the body is as fast."""
    if min(k, c) <= 8 and places * k * c * ksize[0] * ksize[1] < LITTLE:
        return None
    few = k // 8 if ksize == (1, 1) else 3 * k
    return filters if places < few else columns


def winograd_road(places, k, c, ksize, stride, dilation):
    """Winograd's, where it gains."""
    gains = min(k, c) >= DEPTH and places >= max(2 * k, 2 * c, PLACES)
    return winograd if gains and (ksize, stride, dilation) == ((3, 3), (1, 1), (1, 1)) else None


def offer(road_for, exact):
    """Register a choice of roads for convolution, its transpose, and the backward of both."""

    def road(pictures, size, w, how, groups):
        stride, _, dilation = _geometry(how)
        return road_for(pictures * size[0] * size[1], len(w) // groups, w.shape[1], w.shape[2:],
                        stride, dilation)

    def gathers(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
        how = dict(stride=stride, pad=pad, dilation=dilation)
        return _sound(x, w, b, groups) and road(
            len(x), conv_size(x.shape[2:], w.shape[2:], **how), w, how, groups)

    @kernel('conv2d', 'numpy', gathers, exact)
    def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
        how = dict(stride=stride, pad=pad, dilation=dilation)
        size = conv_size(x.shape[2:], w.shape[2:], **how)
        y = convolve(road(len(x), size, w, how, groups), x, w, b, size, how, groups)
        return y, (x, w, b, how, groups)

    def gathers_back(dy, cache, want=None):
        x, w, b, how, groups = cache
        size = conv_size(x.shape[2:], w.shape[2:], **how)
        return (_sound(x, w, b, groups) and _is(dy, (len(x), len(w), *size))
                and road(len(x), size, w, how, groups))

    @kernel('conv2d_backward', 'numpy', gathers_back, exact)
    def conv2d_backward(dy, cache, want=None):
        x, w, b, how, groups = cache
        of_x, of_w, *of_b = want or (True, True, True)          # without b, nothing is said of it
        by = road(len(x), dy.shape[2:], w, how, groups)
        return (transpose(by, dy, w, x.shape[2:], how, groups) if of_x else None,
                correlate(by, x, dy, w, how, groups) if of_w else None,
                sum_rows(channels_last(dy)) if b is not None and of_b[0] else None)

    def scatters(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
        how = dict(stride=stride, pad=pad, dilation=dilation)
        return _sound(x, w, b, groups, True) and road(len(x), x.shape[2:], w, how, groups)

    @kernel('conv_transpose2d', 'numpy', scatters, exact)
    def conv_transpose2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
        how = dict(stride=stride, pad=pad, dilation=dilation)
        size = transposed_size(x.shape[2:], w.shape[2:], **how, output_padding=output_padding)
        y = transpose(road(len(x), x.shape[2:], w, how, groups), x, w, size, how, groups)
        if b is not None:
            y += b[:, None, None]
        return y, (x, w, b, how, groups, size)

    def scatters_back(dy, cache, want=None):
        x, w, b, how, groups, size = cache
        return (_sound(x, w, b, groups, True) and _is(dy, (len(x), w.shape[1] * groups, *size))
                and road(len(x), x.shape[2:], w, how, groups))

    @kernel('conv_transpose2d_backward', 'numpy', scatters_back, exact)
    def conv_transpose2d_backward(dy, cache, want=None):
        x, w, b, how, groups, size = cache
        of_x, of_w, *of_b = want or (True, True, True)          # without b, nothing is said of it
        by = road(len(x), x.shape[2:], w, how, groups)
        return (convolve(by, dy, w, None, x.shape[2:], how, groups) if of_x else None,
                correlate(by, dy, x, w, how, groups) if of_w else None,
                sum_rows(channels_last(dy)) if b is not None and of_b[0] else None)


# ---- One road, group by group ------------------------------------------------------------------

def convolve(road, x, w, b, size, how, groups):
    x = channels_last(x)
    return _joined(road.convolve(x[..., reads], w[makes], None if b is None else b[makes], size,
                                 _geometry(how)) for makes, reads in _depths(w, groups))


def transpose(road, dy, w, size, how, groups):
    dy = channels_last(dy)
    return _joined(road.transpose(dy[..., makes], w[makes], size, _geometry(how))
                   for makes, _ in _depths(w, groups))


def correlate(road, x, dy, w, how, groups):
    x, dy = channels_last(x), channels_last(dy)
    dw = [road.correlate(x[..., reads], dy[..., makes], w[makes].shape, _geometry(how))
          for makes, reads in _depths(w, groups)]
    return dw[0] if groups == 1 else np.concatenate(dw)


def _depths(w, groups):
    """Which filters each group has, and which channels they read."""
    k, c = len(w) // groups, w.shape[1]
    return [(slice(g * k, g * k + k), slice(g * c, g * c + c)) for g in range(groups)]


def _joined(parts):
    """The groups' (N, H, W, C) side by side -> (N, C, H, W)."""
    parts = [*parts]
    y = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=3)
    return y.transpose(0, 3, 1, 2)


def _geometry(how):
    """(stride, pad, dilation), each for both axes."""
    return axes(how['stride'], 'stride', 1), axes(how['pad'], 'pad'), axes(
        how['dilation'], 'dilation', 1)


def _sound(x, w, b, groups, transposed=False):
    """Arrays of float32 whose channels agree; all else is for the body to refuse."""
    arrays = [x, w] if b is None else [x, w, b]
    if not all(isinstance(a, np.ndarray) and a.dtype == np.float32 and a.size for a in arrays):
        return False
    if x.ndim != 4 or w.ndim != 4 or type(groups) is not int or groups < 1 or len(w) % groups:
        return False
    depths = len(w), w.shape[1] * groups
    reads, makes = depths if transposed else depths[::-1]
    return x.shape[1] == reads and (b is None or b.shape == (makes,))


def _is(dy, shape):
    return isinstance(dy, np.ndarray) and dy.dtype == np.float32 and dy.shape == shape


offer(winograd_road, exact=False)
offer(exact_road, exact=True)
