"""Optimizers: SGD and Adam on dicts of arrays, and schedules of the learning rate.

    sgd = SGD(lr=1e-10, momentum=.99, weight_decay=5e-4, rules={'*.b': dict(lr=2, decay=0)})
    for it in range(total):
        sgd.lr = poly(1e-10, it, total)
        sgd.step(params, grads)                 # in place, only the weights that have a gradient

A rule multiplies the learning rate and the weight decay of all weights whose names match its
pattern; later rules override earlier ones. The state of an optimizer is in `memory`, as plain dicts
by the name of the weight: the velocity of SGD; the mean, square and count of Adam.
"""
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Real
from reprlib import repr as abridged
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import NDArray

from .dispatch import accelerated
from .runtime.backend import array_module, on_host

__all__ = ['SGD', 'Adam', 'Optimizer', 'fixed', 'poly', 'step']

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = dict[str, Array]
Rules: TypeAlias = Mapping[str, Mapping[str, float]]

BLOCK = 1 << 16         # values of a weight that are updated at once


class Block(NamedTuple):
    """Some rows of a weight, and the rates for them."""

    name: str
    rows: slice
    lr: float
    decay: float


class Optimizer:
    """The base of SGD and Adam: g = scale·grad + λw for each weight, with its rules applied."""

    def __init__(self, lr: float, weight_decay: float, rules: Rules | None) -> None:
        _check_numbers(lr=lr, weight_decay=weight_decay)
        self.lr = lr
        self.weight_decay = weight_decay
        self.rules = dict(rules or {})
        self.memory: dict[str, dict[str, Any]] = {}
        for pattern, rule in self.rules.items():
            if unknown := set(rule) - {'lr', 'decay'}:
                raise ValueError(f'rule {pattern!r} has {sorted(unknown)}; a rule may multiply '
                                 f'lr and decay')
            _check_numbers(**{f'{key} of rule {pattern!r}': value for key, value in rule.items()})

    def step(self, params: Arrays, grads: Mapping[str, Array], scale: float = 1.) -> None:
        """Update params in place. After accumulating n batches, scale=1/n averages them."""
        raise NotImplementedError

    def lr_and_decay(self, name: str) -> tuple[float, float]:
        """The learning rate and the weight decay of a weight, with its rules applied."""
        factors = dict(lr=1., decay=1.)
        for pattern, rule in self.rules.items():
            if fnmatchcase(name, pattern):
                factors.update(rule)
        return float(self.lr * factors['lr']), float(self.weight_decay * factors['decay'])

    def blocks(self, params: Arrays, grads: Mapping[str, Array]) -> Iterator[Block]:
        """Check everything, then yield the weights block by block.

        An update reads and writes the same rows several times. On a CPU a block is so small that it
        stays in the cache meanwhile; on a GPU it is the whole weight.
        """
        _check_numbers(lr=self.lr, weight_decay=self.weight_decay)
        self._check(params, grads)
        for name in grads:
            w = params[name]
            height = 1 + BLOCK * len(w) // w.size if on_host(w) else len(w)
            for start in range(0, len(w), height):
                yield Block(name, slice(start, start + height), *self.lr_and_decay(name))

    def _check(self, params: Arrays, grads: Mapping[str, Array]) -> None:
        for pattern in self.rules:
            if not any(fnmatchcase(name, pattern) for name in params):
                raise ValueError(f'rule {pattern!r} matches none of the params '
                                 f'{abridged(list(params))}')
        for name, grad in grads.items():
            if name not in params:
                raise ValueError(f'grads has {name!r}; the params are {abridged(list(params))}')
            w = params[name]
            for array, what in ((w, 'the weight'), (grad, 'the gradient of')):
                try:
                    array_module(array)
                except TypeError as error:
                    raise TypeError(f'{what} {name}: {error}') from None
            if (grad.shape, grad.dtype) != (w.shape, w.dtype):
                raise ValueError(f'the gradient of {name} is {grad.dtype} {grad.shape}; '
                                 f'the weight is {w.dtype} {w.shape}')


class SGD(Optimizer):
    """Gradient descent with momentum.

    >>> import numpy as np
    >>> params = {'w': np.array([1.])}
    >>> SGD(lr=.1).step(params, {'w': np.array([2.])})
    >>> params
    {'w': array([0.8])}
    """

    def __init__(self, lr: float, momentum: float = 0., weight_decay: float = 0.,
                 rules: Rules | None = None) -> None:
        super().__init__(lr, weight_decay, rules)
        _check_numbers(momentum=momentum)
        self.momentum = float(momentum)
        self.velocity: Arrays = {}
        self.memory = dict(velocity=self.velocity)

    def step(self, params: Arrays, grads: Mapping[str, Array], scale: float = 1.) -> None:
        for name, rows, lr, decay in self.blocks(params, grads):
            v = _zeros_at_first(self.velocity, name, params)
            sgd_update(params[name][rows], grads[name][rows], v[rows], lr, self.momentum, decay,
                       float(scale))


@accelerated
def sgd_update(w: Array, g: Array, v: Array, lr: float, momentum: float, decay: float,
               scale: float) -> None:
    """v ← μv + lr·(scale·g + λw), w ← w − v, in place.

    The learning rate is inside of v, as in Caffe: a new lr does not change the old velocity.
    PyTorch multiplies by it outside.
    """
    g = scale * g
    g += decay * w
    v *= momentum
    v += lr * g
    w -= v


class Adam(Optimizer):
    """Each weight has its own rate, from the mean and the mean square of its gradients.

    >>> import numpy as np
    >>> params = {'w': np.array([1.])}
    >>> Adam(lr=.1).step(params, {'w': np.array([2.])})
    >>> params['w'].round(4)
    array([0.9])
    """

    def __init__(self, lr: float = 1e-3, betas: Sequence[float] = (.9, .999), eps: float = 1e-8,
                 weight_decay: float = 0., rules: Rules | None = None) -> None:
        super().__init__(lr, weight_decay, rules)
        if not isinstance(betas, Sequence) or len(betas) != 2:
            raise TypeError(f'betas is {betas!r}: a pair of numbers is needed')
        beta1, beta2 = betas
        _check_numbers(beta1=beta1, beta2=beta2, eps=eps)
        self.betas = (float(beta1), float(beta2))
        self.eps = float(eps)
        self.mean: Arrays = {}
        self.square: Arrays = {}
        self.count: dict[str, int] = {}
        self.memory = dict(mean=self.mean, square=self.square, count=self.count)

    def step(self, params: Arrays, grads: Mapping[str, Array], scale: float = 1.) -> None:
        for name, rows, lr, decay in self.blocks(params, grads):
            m = _zeros_at_first(self.mean, name, params)
            s = _zeros_at_first(self.square, name, params)
            if rows.start == 0:                         # a weight may have several blocks
                self.count[name] = self.count.get(name, 0) + 1
            adam_update(params[name][rows], grads[name][rows], m[rows], s[rows], lr, self.betas,
                        self.eps, decay, float(scale), self.count[name])


@accelerated
def adam_update(w: Array, g: Array, m: Array, s: Array, lr: float, betas: tuple[float, float],
                eps: float, decay: float, scale: float, t: int) -> None:
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


def _check_numbers(**values: float) -> None:
    for name, value in values.items():
        if not isinstance(value, Real):
            raise TypeError(f'{name} is {value!r}: a number is needed')


def _zeros_at_first(memory: Arrays, name: str, params: Arrays) -> Array:
    """What the optimizer keeps for a weight: zeros before its first step."""
    if name not in memory:
        zeros: Array = array_module(params[name]).zeros_like(params[name])
        memory[name] = zeros
    return memory[name]


# ---- Schedules: the learning rate of iteration `it`

def fixed(lr: float, it: int) -> float:
    """lr, at every iteration.

    >>> fixed(.1, it=500)
    0.1
    """
    return float(lr)


def step(lr: float, it: int, every: int, gamma: float = .1) -> float:
    """lr · γ^⌊it / every⌋.

    >>> step(1, it=25, every=10, gamma=.5)
    0.25
    """
    return float(lr * gamma ** (it // every))


def poly(lr: float, it: int, total: int, power: float = .9) -> float:
    """lr · (1 − it / total)^power.

    >>> poly(1, it=50, total=100, power=2)
    0.25
    """
    if it > total:                                      # a power of a negative number is complex
        raise ValueError(f'iteration {it} is beyond the {total} of this schedule')
    return float(lr * (1 - it / total) ** power)
