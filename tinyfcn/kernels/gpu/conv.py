"""Convolutions on the GPU, of arrays of any strides. Chosen by reasoning, not yet measured:

    winograd    3×3 at stride 1 and dilation 1 in float32, with at least 32 channels on both sides
                and enough windows to pay for the transform of w
    conv1x1     1×1 at stride 1 without padding, of one image or of large ones
    im2col      everything else

An algorithm reads and writes C-contiguous arrays (N, C, H, W):

    convolve(x, w, b, y, geometry, groups, relu)            y  = M x + b, or max(0, M x + b)
    convolve_transposed(dy, w, b, dx, geometry, groups)     dx = Mᵀ dy + b
    weight_gradient(x, dy, shape, geometry, groups) -> dw   dw[t] = Σ dy · x[t], of this shape

w is (K, C/groups, kh, kw), and b (K,) or None.
"""
from ...runtime.backend import array_module
from .. import convolution
from . import conv1x1, im2col, winograd
from .launch import are_gpu_floats
from .norm import channel_sums, mask_and_sum

WINOGRAD_CHANNELS = 32          # from here on Winograd's transforms pay
WINOGRAD_WINDOWS = 512
LARGE_IMAGE = 1024              # pixels of an image whose 1×1 product alone occupies a GPU


def choose_exact(problem):
    """The algorithm that rounds no more than the reference."""
    if (problem.ksize, problem.geometry, problem.groups) != (
            (1, 1), ((1, 1), (0, 0), (1, 1)), 1):
        return im2col
    height, width = problem.size
    return conv1x1 if problem.batch_size == 1 or height * width >= LARGE_IMAGE else im2col


def choose_winograd(problem):
    """Winograd where it should be faster; None elsewhere."""
    geometry = problem.geometry
    if (problem.ksize, geometry.stride, geometry.dilation, problem.groups) != (
            (3, 3), (1, 1), (1, 1), 1):
        return None
    enough = (min(problem.out_channels, problem.in_channels) >= WINOGRAD_CHANNELS
              and problem.windows >= WINOGRAD_WINDOWS)
    return winograd if enough and problem.dtype == 'float32' else None


def is_supported(*arrays):
    """Whether all are of CuPy, and all float32 or all float64."""
    return (all(isinstance(a, type(arrays[0])) for a in arrays) and are_gpu_floats(*arrays))


def c_contiguous(x):
    """x in C order, as a kernel reads it; no copy where it is so already."""
    return x if x is None else array_module(x).ascontiguousarray(x)


def convolve(algorithm, x, w, b, size, geometry, groups):
    y = array_module(x).empty((len(x), len(w), *size), x.dtype)
    algorithm.convolve(x, w, c_contiguous(b), y, geometry, groups, False)
    return y


def convolve_relu(algorithm, x, w, b, size, geometry, groups, out):
    y = out
    if out is None:
        y = array_module(x).empty((len(x), len(w), *size), x.dtype)
    algorithm.convolve(x, w, c_contiguous(b), y, geometry, groups, True)
    return y


def may_write(out, x):
    """Whether `out` can be written while x is read."""
    return out.flags.c_contiguous and not array_module(x).may_share_memory(out, x)


def convolve_transposed(algorithm, dy, w, b, size, geometry, groups):
    dx = array_module(dy).empty((len(dy), w.shape[1] * groups, *size), dy.dtype)
    algorithm.convolve_transposed(dy, w, c_contiguous(b), dx, geometry, groups)
    return dx


def weight_gradient(algorithm, x, dy, shape, geometry, groups):
    return algorithm.weight_gradient(x, dy, shape, geometry, groups)


BACKEND = convolution.Backend(
    'cupy', is_supported, image_layout=c_contiguous, weight_layout=c_contiguous,
    convolve=convolve, convolve_transposed=convolve_transposed, weight_gradient=weight_gradient,
    sum_pixels=channel_sums, convolve_relu=convolve_relu, may_write=may_write,
    mask_and_sum=mask_and_sum)


def register(choose, exact):
    """Register the ops with this choice of an algorithm."""
    convolution.register(BACKEND, choose, exact)


register(choose_winograd, exact=False)
register(choose_exact, exact=True)
