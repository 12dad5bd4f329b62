"""How weights move: SGD and Adam on dicts of arrays, and the learning rate as a function of time.

    sgd = SGD(lr=1e-10, momentum=.99, weight_decay=5e-4, rules={'*.b': dict(lr=2, decay=0)})
    for it in range(total):
        sgd.lr = poly(1e-10, it, total)
        sgd.step(params, grads)                 # in place, only the weights that have a gradient

A rule multiplies the lr and the decay of the weights whose names match; later rules override.
What an optimiser remembers is in `memory`, plain dicts by name: velocity; mean, square and count.
"""
from fnmatch import fnmatchcase
from reprlib import repr as abridged

import numpy as np

from .dispatch import accelerated
from .runtime.backend import array_module

BLOCK = 1 << 16         # values of a weight that move at once


class Optimiser:
    """What SGD and Adam share: g = scale·grad + λw for each weight, under the rules."""

    def __init__(self, lr, weight_decay, rules):
        self.lr, self.weight_decay, self.rules = lr, weight_decay, dict(rules or {})
        for pattern, rule in self.rules.items():
            if unknown := set(rule) - {'lr', 'decay'}:
                raise ValueError(f'rule {pattern!r} has {sorted(unknown)}; it may multiply '
                                 f'lr and decay')

    def rates(self, name):
        """-> the lr and the decay of a weight, under the rules"""
        rule = dict(lr=1, decay=1)
        for pattern, multipliers in self.rules.items():
            if fnmatchcase(name, pattern):
                rule.update(multipliers)
        return float(self.lr * rule['lr']), float(self.weight_decay * rule['decay'])

    def parts(self, params, grads):
        """-> name, rows, lr, decay: on a CPU so few rows of a weight that they stay in the cache
        until they have moved; all is checked before the first one moves.
        """
        self._refuse(params, grads)
        for name in grads:
            w = params[name]
            height = 1 + BLOCK * len(w) // w.size if array_module(w) is np else len(w)
            for start in range(0, len(w), height):
                yield name, slice(start, start + height), *self.rates(name)

    def _refuse(self, params, grads):
        for pattern in self.rules:
            if not any(fnmatchcase(name, pattern) for name in params):
                raise ValueError(f'rule {pattern!r} matches none of the params '
                                 f'{abridged(list(params))}')
        for name, grad in grads.items():
            if name not in params:
                raise ValueError(f'grads has {name!r}; the params are {abridged(list(params))}')
            w = params[name]
            if (grad.shape, grad.dtype) != (w.shape, w.dtype):
                raise ValueError(f'the gradient of {name} is {grad.dtype} {grad.shape}; '
                                 f'the weight is {w.dtype} {w.shape}')


class SGD(Optimiser):
    """Gradient descent with momentum."""

    def __init__(self, lr, momentum=0., weight_decay=0., rules=None):
        super().__init__(lr, weight_decay, rules)
        self.momentum, self.velocity = float(momentum), {}
        self.memory = dict(velocity=self.velocity)

    def step(self, params, grads, scale=1.):
        for name, rows, lr, decay in self.parts(params, grads):
            v = _recall(self.velocity, name, params)
            descend(params[name][rows], grads[name][rows], v[rows], lr, self.momentum, decay,
                    float(scale))


@accelerated
def descend(w, g, v, lr, momentum, decay, scale):
    """v ← μv + lr·(scale·g + λw), w ← w − v, in place.

    In Caffe's order: a new lr leaves the old velocity as it is.
    """
    g = scale * g
    g += decay * w
    v *= momentum
    v += lr * g
    w -= v


class Adam(Optimiser):
    """Each weight at a rate of its own, by the mean and the mean square of its gradients."""

    def __init__(self, lr=1e-3, betas=(.9, .999), eps=1e-8, weight_decay=0., rules=None):
        super().__init__(lr, weight_decay, rules)
        self.betas, self.eps = tuple(map(float, betas)), float(eps)
        self.mean, self.square, self.count = {}, {}, {}
        self.memory = dict(mean=self.mean, square=self.square, count=self.count)

    def step(self, params, grads, scale=1.):
        for name, rows, lr, decay in self.parts(params, grads):
            m, s = (_recall(kept, name, params) for kept in (self.mean, self.square))
            t = self.count[name] = self.count.get(name, 0) + (rows.start == 0)
            adapt(params[name][rows], grads[name][rows], m[rows], s[rows], lr, self.betas,
                  self.eps, decay, float(scale), t)


@accelerated
def adapt(w, g, m, s, lr, betas, eps, decay, scale, t):
    """m ← β₁m + (1−β₁)g, s ← β₂s + (1−β₂)g², w ← w − lr·m̂ / (√ŝ + ε), in place.

    g is scale·g + λw (PyTorch's decay); m̂ = m / (1−β₁ᵗ) and ŝ = s / (1−β₂ᵗ) at the weight's step t.
    """
    b1, b2 = betas
    g = scale * g
    g += decay * w
    m *= b1
    m += (1 - b1) * g
    s *= b2
    s += (1 - b2) * g * g
    w -= lr / (1 - b1 ** t) * m / ((s / (1 - b2 ** t)) ** .5 + eps)


def _recall(memory, name, params):
    """What is remembered of a weight: zeros, before its first step."""
    if name not in memory:
        memory[name] = array_module(params[name]).zeros_like(params[name])
    return memory[name]


def fixed(lr, it):
    """lr, at every iteration."""
    return float(lr)


def step(lr, it, every, gamma=.1):
    """lr · γ^⌊it / every⌋."""
    return float(lr * gamma ** (it // every))


def poly(lr, it, total, power=.9):
    """lr · (1 − it / total)^power."""
    if it > total:                                      # a negative number's power is complex
        raise ValueError(f'iteration {it} is beyond the {total} of this schedule')
    return float(lr * (1 - it / total) ** power)
