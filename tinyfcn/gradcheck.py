"""Check gradients: compare with central finite differences along random directions.

    numerical   (⟨u, f(x + εv)⟩ − ⟨u, f(x − εv)⟩) / 2ε
    analytic    ⟨v, dx⟩, where dx comes from f.backward(u)

A few random directions v find what a full Jacobian would find. It is computed in float64: the
rounding of float32 would hide small mistakes. The sum ⟨u, f⟩ still rounds, by about 2⁻⁵² of
Σ|u·f|, and the division by ε makes that larger. So the limit of the error grows with it.

    print(check(ops.conv2d, x, w, b, stride=2))
    print(check_net(net, image))
"""
from collections.abc import Callable, Sequence
from copy import deepcopy
from inspect import signature
from typing import Any, NamedTuple, Protocol, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

__all__ = ['Report', 'Row', 'check', 'check_net']

Array: TypeAlias = NDArray[Any]
Objective: TypeAlias = Callable[[], tuple[float, float]]        # -> Σ u·f and Σ |u·f|

ROUNDING = 8 * 2. ** -52        # times Σ|u·f|: four times the most that was seen, on SegNet


class Differentiable(Protocol):
    """An op: a function that returns y, cache, and has a backward(dy, cache)."""

    __name__: str
    backward: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class DifferentiableNet(Protocol):
    """What is needed of a tinyfcn.Net, which stands in a layer above this module."""

    params: dict[str, Array]
    grads: dict[str, Array]
    boxes: dict[str, Any]

    def astype(self, dtype: str) -> 'DifferentiableNet': ...

    def forward(self, image: Array, train: bool = False, keep: bool = False) -> Any: ...

    def backward(self, **dvalues: Array) -> dict[str, Array]: ...

    def outputs(self, train: bool = True) -> list[str]: ...


class Row(NamedTuple):
    """The result for one input: the direction with the largest error."""

    name: str
    shape: tuple[int, ...]
    numerical: float
    analytic: float
    limit: float                        # of the error

    @property
    def error(self) -> float:
        return abs(self.numerical - self.analytic)

    @property
    def ok(self) -> bool:
        return self.error <= self.limit                 # False for nan


class Report(NamedTuple):
    """The results for all inputs. `ok` is for a test, str() is a table to read."""

    title: str
    rows: list[Row]

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def __str__(self) -> str:
        width = max([len(row.name) for row in self.rows] + [5])
        lines = [self.title,
                 f'{"":{width}}  {"shape":18} {"numerical":>16} {"analytic":>16} '
                 f'{"error":>9} {"limit":>7}']
        for row in self.rows:
            lines.append(f'{row.name:{width}}  {str(row.shape):18} {row.numerical:16.9g} '
                         f'{row.analytic:16.9g} {row.error:9.0e} {row.limit:7.0e}  '
                         f'{"ok" if row.ok else "WRONG"}')
        return '\n'.join(lines)


def check(op: Differentiable, *args: Any, step: float = 1e-5, rtol: float = 1e-7,
          atol: float = 1e-8, directions: int = 3, seed: int = 0, **kwargs: Any) -> Report:
    """Check op.backward for every array of floats among `args`; kwargs are passed to the op.

    Keep inputs away from kinks and ties: the slope jumps there, and a finite difference may see the
    slope of the other side.

    >>> from tinyfcn import ops
    >>> check(ops.relu, np.array([-2., -1, 1, 2])).ok
    True
    """
    args = tuple(arg.astype('float64') if _is_float(arg) else arg for arg in args)
    rng = _random_stream(seed)
    y, cache, *_ = op(*args, **deepcopy(kwargs))        # a copy: an rng draws the same each time
    u = rng.standard_normal(np.shape(y))
    grads = op.backward(u, cache)

    def objective() -> tuple[float, float]:
        return _sums(u * op(*args, **deepcopy(kwargs))[0])

    parameters = signature(op).parameters.values()
    names = [parameter.name for parameter in parameters]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        names = [f'x{i + 1}' for i in range(len(args))]
    rows = [_compare(name, x, dx, objective, rng, [step], rtol, atol, directions)
            for name, x, dx in zip(names, args, grads) if _is_float(x) and dx is not None]
    return Report(f'{op.__name__}: the gradient of every input, ε = {step:g}', rows)


def check_net(net: DifferentiableNet, image: Array, step: float = 1e-6, rtol: float = 1e-6,
              atol: float = 1e-6, directions: int = 3, seed: int = 0) -> Report:
    """Check the gradients of the image and of every weight, through forward(train=True).

    It works on a copy in float64. Weights that are all zero (biases, score layers) become small
    random numbers there: zero biases would leave the padded border on the kink of ReLU, and zero
    score layers would let no gradient through to the layers below.

    >>> from tinyfcn import Net
    >>> from tinyfcn.layers import conv
    >>> net = Net(channels=2)
    >>> net.score = conv(net.data, 3, 3)
    >>> check_net(net, np.random.default_rng(0).random((1, 2, 5, 5))).ok
    True
    """
    rng = _random_stream(seed)
    net = net.astype('float64')
    image = image.astype('float64')
    for w in net.params.values():
        if not w.any():
            w += .1 * rng.standard_normal(w.shape)
    scores = _by_name(net, net.forward(image, train=True, keep=True))
    u = {name: rng.standard_normal(y.shape) for name, y in scores.items()}
    grads = net.backward(**u)
    grads['data'] = net.grads['data']
    inputs = {'data': image, **net.params}

    def objective() -> tuple[float, float]:
        scores = _by_name(net, net.forward(image, train=True))
        sums = [_sums(u[name] * y) for name, y in scores.items()]
        return sum(total for total, _ in sums), sum(size for _, size in sums)

    # with so many units some are near a kink, or near a jump where a switch changes: smaller steps
    # may stay on one side of it
    steps = [step / 10 ** i for i in range(5)]
    rows = [_compare(name, inputs[name], dx, objective, rng, steps, rtol, atol, directions)
            for name, dx in grads.items()]
    return Report(f'{len(net.boxes)} boxes: the gradient of every weight, ε = {step:g}', rows)


def _compare(name: str, x: Array, dx: Array, objective: Objective, rng: np.random.Generator,
             steps: Sequence[float], rtol: float, atol: float, directions: int) -> Row:
    """Shift x in place along random directions, and compare. -> the row with the largest error

    Of several steps, the first that agrees with the next one counts: no kink is that near.
    """
    original = x.copy()
    rows = []
    for _ in range(directions):
        v = rng.standard_normal(x.shape)
        analytic = float((v * dx).sum())
        candidates: list[Row] = []
        for step in steps:
            x[...] = original + step * v
            above, size = objective()
            x[...] = original - step * v
            below, _ = objective()
            limit = atol + rtol * abs(analytic) + ROUNDING * size / step
            numerical = (above - below) / (2 * step)
            candidates.append(Row(name, x.shape, numerical, analytic, limit))
            if len(candidates) > 1 and abs(candidates[-2].numerical - numerical) <= limit:
                break
        rows.append(candidates[-2] if len(candidates) > 1 else candidates[-1])
    x[...] = original
    return max(rows, key=lambda row: np.nan_to_num(row.error / row.limit, nan=np.inf))


def _sums(terms: Array) -> tuple[float, float]:
    """Σ terms and Σ |terms|."""
    return float(terms.sum()), float(abs(terms).sum())


def _random_stream(seed: int) -> np.random.Generator:
    """Random numbers that no user draws from the same seed.

    If the inputs and u were the same random numbers, some wrong gradients would not be found.
    """
    return np.random.default_rng((seed, crc32(b'gradcheck')))


def _is_float(x: object) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == 'f'


def _by_name(net: DifferentiableNet, scores: Any) -> dict[str, Array]:
    """What forward returns, as a dict also where the net has a single output."""
    if isinstance(scores, dict):
        return scores
    return {net.outputs(train=True)[0]: scores}
