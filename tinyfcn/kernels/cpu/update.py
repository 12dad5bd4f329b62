"""The updates of the optimizers: each value is read, updated and written once.

    v ← μv + lr·(scale·g + λw),  w ← w − v                                                  (SGD)

Every number is rounded as in the reference: the results are equal bit for bit.
"""
import numpy as np

from ..registry import kernel
from .jit import compiled
from .simd import LANES
from .vec import load, sqrt, store


def _accepts(*arrays):
    """Whether all are float32 and lie in memory without gaps."""
    return all(isinstance(a, np.ndarray) and a.dtype == 'float32' and a.flags.c_contiguous
               and a.shape == arrays[0].shape for a in arrays)


@kernel('sgd_update', 'numpy', accepts=lambda w, g, v, *_, **rates: _accepts(w, g, v))
def sgd_update(w, g, v, lr, momentum, decay, scale):
    _sgd(w.ctypes.data, g.ctypes.data, v.ctypes.data, w.size,
         *map(np.float32, (lr, momentum, decay, scale)))


@kernel('adam_update', 'numpy', accepts=lambda w, g, m, s, *_, **rates: (
    _accepts(w, g, m, s)))
def adam_update(w, g, m, s, lr, betas, eps, decay, scale, t):
    b1, b2 = betas
    rates = decay, scale, b1, 1 - b1, b2, 1 - b2, lr / (1 - b1 ** t), 1 - b2 ** t, eps
    _adam(w.ctypes.data, g.ctypes.data, m.ctypes.data, s.ctypes.data, w.size,
          tuple(map(np.float32, rates)))


@compiled
def _sgd(w, g, v, size, lr, momentum, decay, scale):
    for i in range(0, size, LANES):
        at = 4 * i
        weight = load(w + at, size - i)
        gradient = scale * load(g + at, size - i) + decay * weight
        velocity = momentum * load(v + at, size - i) + lr * gradient
        store(v + at, size - i, velocity)
        store(w + at, size - i, weight - velocity)


@compiled
def _adam(w, g, m, s, size, rates):
    """m ← β₁m + (1−β₁)g, s ← β₂s + (1−β₂)g², w ← w − lr/(1−β₁ᵗ)·m / (√(s/(1−β₂ᵗ)) + ε)."""
    decay, scale, b1, rest1, b2, rest2, lr, correction, eps = rates
    for i in range(0, size, LANES):
        at = 4 * i
        weight = load(w + at, size - i)
        gradient = scale * load(g + at, size - i) + decay * weight
        mean = b1 * load(m + at, size - i) + rest1 * gradient
        square = b2 * load(s + at, size - i) + rest2 * gradient * gradient
        store(m + at, size - i, mean)
        store(s + at, size - i, square)
        step = lr * mean / (sqrt(square / correction) + eps)
        store(w + at, size - i, weight - step)
