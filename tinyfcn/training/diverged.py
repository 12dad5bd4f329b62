"""A training that has diverged: find what is nan or infinite, and say where."""
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from ..data.labels import Array
from ..files import printable
from ..net import Net
from ..runtime.backend import to_numpy
from .gradients import Loss, NumberedBatch


class Diverged(ValueError):
    """The loss, a weight or the memory of the optimizer is nan or infinite."""


def require_finite(arrays: Mapping[str, Any]) -> None:
    """Raise Diverged for an array that has a value that is nan or infinite.

    >>> require_finite({'conv1.w': np.ones(3)})
    """
    for name, array in arrays.items():
        if not np.isfinite(to_numpy(array)).all():
            raise Diverged(f'{describe_name(name)} are not finite')


def describe_name(name: str) -> str:
    """'~velocity/conv1.w' -> 'the values of velocity of conv1.w'"""
    if not name.startswith('~'):
        return f'the weights {printable(name)}'
    kind, _, weight = name[1:].partition('/')
    return f'the values of {kind} of {printable(weight)}'


def describe_divergence(net: Net, step_batches: Sequence[NumberedBatch],
                        losses: Sequence[Loss], step: int, lr: float) -> str:
    """An error message for a loss that is not finite: where the first such value appeared.

    step_batches: those of this step, with their losses in the same order
    """
    loss, (number, batch) = next((float(loss), numbered)
                                 for loss, numbered in zip(losses, step_batches)
                                 if not isfinite(float(loss)))
    return (f'the loss is {loss} at step {step + 1}, image {printable(", ".join(batch.names))}, lr '
            f'{lr:g}: {_first_not_finite(net, number, batch.image)}. Try a smaller lr')


def _first_not_finite(net: Net, number: int, image: Array) -> str:
    """Search image, weights and boxes in this order for a value that is not finite."""
    net.step = number                                   # repeats the dropout of this batch
    image = image.astype(net.dtype, copy=False)
    if not np.isfinite(image).all():
        return 'the image itself is not finite'
    for name, w in net.params.items():
        if not np.isfinite(w).all():
            return f'the weights {name} are not finite'
    with np.errstate(all='ignore'):
        for box, y in net.walk(net.bring(image), train=True, keep=False):
            if not np.isfinite(y).all():
                return f'{box.line} is the first box whose values are not finite'
    return 'the scores of a pixel are too far apart to subtract'
