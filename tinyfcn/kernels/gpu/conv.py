"""Convolutions on the GPU. Three roads, chosen by reasoning; where they part, a card must decide:

    winograd    3×3 at stride 1 and dilation 1 in float32, 32 channels or more on both sides, and
                places enough to pay for the transform of w
    pixels      1×1 at stride 1 without pads, on one picture or on large ones
    columns     all else

A road has `convolve`, `transpose` and `correlate`: y = M x + b, x = Mᵀ y + b, dw = ⟨x, dy⟩, of
arrays in C order.
"""
from ...geometry import axes, conv_size, transposed_size
from ...runtime.backend import array_module
from ..registry import kernel
from . import conv1x1 as gpu_pixels, im2col as gpu_columns, winograd as gpu_winograd
from .launch import suited
from .norm import channel_sums

DEPTH, PLACES = 32, 512         # from here on Winograd's transforms pay
LARGE = 1024                    # pixels of a picture whose product fills a card by itself


def exact_road(x, w, pictures, size, geometry, groups):
    """The road that rounds no more than the body does."""
    if (w.shape[2:], *geometry, groups) == ((1, 1), (1, 1), (0, 0), (1, 1), 1) and (
            pictures == 1 or size[0] * size[1] >= LARGE):
        return gpu_pixels
    return gpu_columns


def winograd_road(x, w, pictures, size, geometry, groups):
    """Winograd's, where it gains."""
    stride, _, dilation = geometry
    if (w.shape[2:], stride, dilation, groups) == ((3, 3), (1, 1), (1, 1), 1) and (
            x.dtype == 'float32' and min(w.shape[:2]) >= DEPTH
            and pictures * size[0] * size[1] >= PLACES):
        return gpu_winograd
    return None


def offer(road_for, exact):
    """Register a choice of roads for convolution, its transpose, and the backward of both."""

    def gathers(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
        if not _sound(x, w, b, groups):
            return None
        geometry = _geometry(stride, pad, dilation)
        return road_for(x, w, len(x), conv_size(x.shape[2:], w.shape[2:], *geometry), geometry,
                        groups)

    @kernel('conv2d', 'cupy', gathers, exact)
    def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
        how = dict(stride=stride, pad=pad, dilation=dilation)
        y = gathers(x, w, b, **how, groups=groups).convolve(
            *_plain(x, w, b), conv_size(x.shape[2:], w.shape[2:], **how), _geometry(**how), groups)
        return y, (x, w, b, how, groups)

    def gathers_back(dy, cache, want=None):
        x, w, b, how, groups = cache
        road = gathers(x, w, b, **how, groups=groups)
        size = conv_size(x.shape[2:], w.shape[2:], **how) if road else None
        return road and _is(dy, x, (len(x), len(w), *size)) and road

    @kernel('conv2d_backward', 'cupy', gathers_back, exact)
    def conv2d_backward(dy, cache, want=None):
        x, w, b, how, groups = cache
        road, geometry = gathers_back(dy, cache), _geometry(**how)
        of_x, of_w, *of_b = want or (True, True, True)          # without b, nothing is said of it
        dy, x, w = _plain(dy, x, w)
        return (road.transpose(dy, w, None, x.shape[2:], geometry, groups) if of_x else None,
                road.correlate(x, dy, w.shape, geometry, groups) if of_w else None,
                channel_sums(dy) if b is not None and of_b[0] else None)

    def scatters(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
        if not _sound(x, w, b, groups, True):
            return None
        geometry = _geometry(stride, pad, dilation)
        transposed_size(x.shape[2:], w.shape[2:], *geometry, output_padding)    # it may refuse
        return road_for(x, w, len(x), x.shape[2:], geometry, groups)

    @kernel('conv_transpose2d', 'cupy', scatters, exact)
    def conv_transpose2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
        how = dict(stride=stride, pad=pad, dilation=dilation)
        size = transposed_size(x.shape[2:], w.shape[2:], **how, output_padding=output_padding)
        y = scatters(x, w, b, **how, groups=groups, output_padding=output_padding).transpose(
            *_plain(x, w, b), size, _geometry(**how), groups)
        return y, (x, w, b, how, groups, size)

    def scatters_back(dy, cache, want=None):
        x, w, b, how, groups, size = cache
        return (_sound(x, w, b, groups, True) and _is(dy, x, (len(x), w.shape[1] * groups, *size))
                and road_for(x, w, len(x), x.shape[2:], _geometry(**how), groups))

    @kernel('conv_transpose2d_backward', 'cupy', scatters_back, exact)
    def conv_transpose2d_backward(dy, cache, want=None):
        x, w, b, how, groups, size = cache
        road, geometry = scatters_back(dy, cache), _geometry(**how)
        of_x, of_w, *of_b = want or (True, True, True)          # without b, nothing is said of it
        dy, x, w = _plain(dy, x, w)
        return (road.convolve(dy, w, None, x.shape[2:], geometry, groups) if of_x else None,
                road.correlate(dy, x, w.shape, geometry, groups) if of_w else None,
                channel_sums(dy) if b is not None and of_b[0] else None)


def _geometry(stride, pad, dilation):
    """Each for both axes."""
    return axes(stride, 'stride', 1), axes(pad, 'pad'), axes(dilation, 'dilation', 1)


def _plain(*arrays):
    """In C order, as a kernel reads them; what lies so already is not copied."""
    xp = array_module(arrays[0])
    return [a if a is None else xp.ascontiguousarray(a) for a in arrays]


def _sound(x, w, b, groups, transposed=False):
    """Arrays of one dtype whose channels agree; all else is for the body to refuse."""
    arrays = [x, w] if b is None else [x, w, b]
    if not all(isinstance(a, type(x)) for a in arrays) or not suited(*arrays):
        return False
    if x.ndim != 4 or w.ndim != 4 or type(groups) is not int or groups < 1 or len(w) % groups:
        return False
    depths = len(w), w.shape[1] * groups
    reads, makes = depths if transposed else depths[::-1]
    return x.shape[1] == reads and (b is None or b.shape == (makes,))


def _is(dy, x, shape):
    return isinstance(dy, type(x)) and suited(dy, x) and dy.shape == shape


offer(winograd_road, exact=False)
offer(exact_road, exact=True)
