"""Initial values of weights: init(shape, rng) -> float32 array of that shape."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ops.matrix import bilinear_1d


def zeros(shape: Sequence[int], rng: Any) -> NDArray[np.float32]:
    """All 0: biases, and the score layers of the paper.

    >>> zeros((2, 3), None).sum().item()
    0.0
    """
    return np.zeros(shape, np.float32)


def ones(shape: Sequence[int], rng: Any) -> NDArray[np.float32]:
    """All 1: the scale and the variance of batch norm.

    >>> ones((2, 3), None).sum().item()
    6.0
    """
    return np.ones(shape, np.float32)


def he_normal(shape: Sequence[int], rng: np.random.Generator, fan_in: int | None = None,
              ) -> NDArray[np.float32]:
    """N(0, 2 / fan_in): keeps the variance through ReLU (He et al. 2015). w (K, C, kh, kw)

    >>> rng = np.random.default_rng(0)
    >>> w = he_normal((64, 32, 3, 3), rng)
    >>> round(w.var().item() * 32 * 3 * 3, 1)
    2.0
    """
    fan_in = fan_in or int(np.prod(shape[1:]))
    w: NDArray[np.float32] = rng.standard_normal(shape, np.float32) * float(2 / fan_in) ** .5
    return w


def bilinear(shape: Sequence[int], rng: Any) -> NDArray[np.float32]:
    """Bilinear upsampling of each channel, which training may change. w (C, C, kh, kw)

    >>> bilinear((1, 1, 4, 4), None)[0, 0, 0] * 16
    array([1., 3., 3., 1.], dtype=float32)
    """
    if shape[0] != shape[1]:
        raise ValueError(f'w {shape} cannot be bilinear: it needs as many output as input channels')
    w = np.zeros(shape, np.float32)
    w[range(shape[0]), range(shape[0])] = np.outer(bilinear_1d(shape[2]), bilinear_1d(shape[3]))
    return w
