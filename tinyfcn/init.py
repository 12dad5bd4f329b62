"""What a weight is before it has learned anything: init(shape, rng) -> array of float32."""
import numpy as np

from .ops.matrix import bilinear_1d


def zeros(shape, rng):
    """All nothing: biases, and the score layers of the paper."""
    return np.zeros(shape, 'float32')


def ones(shape, rng):
    """All one: the scale and the variance of batch norm."""
    return np.ones(shape, 'float32')


def he_normal(shape, rng, fan_in=None):
    """N(0, 2 / fan_in): keeps the variance through ReLU (He et al. 2015). w (K, C, kh, kw)"""
    fan_in = fan_in or np.prod(shape[1:])
    return rng.standard_normal(shape, 'float32') * float(2 / fan_in) ** .5


def bilinear(shape, rng):
    """A tent from every channel to itself: upsampling that can go on to learn. w (C, C, kh, kw)"""
    if shape[0] != shape[1]:
        raise ValueError(f'w {shape} cannot be bilinear: as many channels out as in are needed')
    w = np.zeros(shape, 'float32')
    w[range(shape[0]), range(shape[0])] = np.outer(bilinear_1d(shape[2]), bilinear_1d(shape[3]))
    return w
