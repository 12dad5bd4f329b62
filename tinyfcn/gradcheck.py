"""Is a gradient right? Nudge an input along a random direction v, and see what backward foretold.

    (⟨u, f(x + εv)⟩ − ⟨u, f(x − εv)⟩) / 2ε    by a nudge
    ⟨v, dx⟩, where dx comes from f.backward(u)    by backward

Three directions see what a full Jacobian sees, and float64 sees what float32 cannot.

    print(check(ops.conv2d, x, w, b, stride=2))
    print(check_net(net, image))
"""
from copy import deepcopy
from inspect import signature
from typing import NamedTuple
from zlib import crc32

import numpy as np


class Row(NamedTuple):
    """One input: the direction that differed most, and by how much it was allowed to."""
    name: str
    shape: tuple
    nudged: float
    foretold: float
    limit: float

    @property
    def error(self):
        return abs(self.nudged - self.foretold)

    @property
    def ok(self):
        return self.error <= self.limit                     # nan is not


class Report(NamedTuple):
    """What was checked. `ok` for a test, str() for a reader."""
    title: str
    rows: list

    @property
    def ok(self):
        return all(row.ok for row in self.rows)

    def __str__(self):
        wide = max([len(row.name) for row in self.rows] + [5])
        lines = [self.title, f'{"":{wide}}  {"shape":18} {"by a nudge":>16} {"by backward":>16} '
                             f'{"differ by":>9} {"allowed":>7}']
        for row in self.rows:
            lines.append(f'{row.name:{wide}}  {str(row.shape):18} {row.nudged:16.9g} '
                         f'{row.foretold:16.9g} {row.error:9.0e} {row.limit:7.0e}  '
                         f'{"ok" if row.ok else "WRONG"}')
        return '\n'.join(lines)


def check(op, *args, step=1e-5, rtol=1e-7, atol=1e-8, directions=3, seed=0, **how):
    """Compare op.backward with nudges, for every array of floats among `args`. -> Report

    Keep inputs off kinks and ties: there the slope jumps, and a nudge may see the other one.
    """
    args = [a.astype('float64') if _is_float(a) else a for a in args]
    rng = _directions(seed)
    y, cache, *_ = op(*args, **deepcopy(how))           # a copy: an rng draws the same again
    u = rng.standard_normal(np.shape(y))
    grads = op.backward(u, cache)

    def objective():
        return float((u * op(*args, **deepcopy(how))[0]).sum())

    names = [p.name for p in signature(op).parameters.values()]
    if any(p.kind is p.VAR_POSITIONAL for p in signature(op).parameters.values()):
        names = [f'x{i + 1}' for i in range(len(args))]
    rows = [_compare(name, x, dx, objective, rng, [step], rtol, atol, directions)
            for name, x, dx in zip(names, args, grads) if _is_float(x) and dx is not None]
    return Report(f'{op.__name__}: the gradient of every input, ε = {step:g}', rows)


def check_net(net, image, step=1e-6, rtol=1e-6, atol=1e-6, directions=3, seed=0):
    """The same for the image and every weight of a net, through its whole training walk. -> Report

    It works on a copy in float64, whose zeros (biases, score layers) are made small random numbers:
    zero biases would leave the padded border on the kink of ReLU, zero scores would hide the trunk.
    """
    rng = _directions(seed)
    net, image = net.astype('float64'), image.astype('float64')
    for w in net.params.values():
        if not w.any():
            w += .1 * rng.standard_normal(w.shape)
    scores = _by_name(net, net.forward(image, train=True, keep=True))
    u = {name: rng.standard_normal(y.shape) for name, y in scores.items()}
    grads = net.backward(**u)
    inputs = {'data': image, **net.params}
    grads['data'] = net.grads['data']

    def objective():
        scores = _by_name(net, net.forward(image, train=True))
        return float(sum((u[name] * y).sum() for name, y in scores.items()))

    steps = step, step / 10, step / 100         # of so many units some sit near a kink: nudge less
    rows = [_compare(name, inputs[name], dx, objective, rng, steps, rtol, atol, directions)
            for name, dx in grads.items()]
    return Report(f'{len(net.boxes)} boxes: the gradient of every weight, ε = {step:g}', rows)


def _compare(name, x, dx, objective, rng, steps, rtol, atol, directions):
    """Nudge x in place along `directions` random directions; -> the Row of the worst.

    Of several steps the first counts that agrees with the next: no kink lies so near.
    """
    keep, rows = x.copy(), []
    for _ in range(directions):
        v, slopes = rng.standard_normal(x.shape), []
        foretold = float((v * dx).sum())
        limit = atol + rtol * abs(foretold)
        for step in steps:
            x[...] = keep + step * v
            above = objective()
            x[...] = keep - step * v
            below = objective()
            slopes.append((above - below) / (2 * step))
            if len(slopes) > 1 and abs(slopes[-2] - slopes[-1]) <= limit:
                break
        rows.append(Row(name, x.shape, slopes[-2:][0], foretold, limit))
    x[...] = keep
    return max(rows, key=lambda row: np.nan_to_num(row.error / row.limit, nan=np.inf))


def _directions(seed):
    """A stream that no plain seed gives: were u drawn like x, it could hide a wrong gradient."""
    return np.random.default_rng((seed, crc32(b'gradcheck')))


def _is_float(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == 'f'


def _by_name(net, scores):
    """What forward returns, as a dict also where the net has a single output."""
    return scores if isinstance(scores, dict) else {net.outputs(train=True)[0]: scores}
