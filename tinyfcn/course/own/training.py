"""Train a small FCN-8s with the reader's functions: a whole training on one screen.

The images are small and plain, and the net is narrow, so that loops in Python can do it.
"""
from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import optim
from ...data import Dataset
from ...data.labels import VOID
from ...data.shapes import shapes
from ...models import build
from ...net import Net
from ..exercises.checker import EXERCISES
from .parts import Functions, replace_ops
from .stopwatch import Stopwatch

STEPS = 200
BATCH = 4
LR = .02
MOMENTUM = .9
WIDTH = 1 / 4                   # of tiny_8s, the net of `tinyfcn demo`
N_TRAIN = 160                   # images
N_VAL = 60


class Run(NamedTuple):
    """A training: its loss at each step, and how long it and its parts took."""
    net: Net
    losses: list[float]
    total: float                # seconds of all steps
    seconds: dict[str, float]   # of them, by part


class Scores(NamedTuple):
    """The result on the validation images."""
    mean_iu: float
    preds: list[NDArray[Any]]   # the classes of each


def library_sgd(w, g, v, lr, momentum, decay):
    w, v = w.copy(), v.copy()
    optim.sgd_update(w, g, v, lr, momentum, decay, 1.)
    return w, v


LIBRARY: dict[str, Callable[..., Any]] = dict(
    {name: EXERCISES[name].solution for name in ('preprocess', 'softmax_cross_entropy',
                                                 'confusion', 'mean_iu')}, sgd=library_sgd)


@cache
def images_of(split: str, count: int) -> Dataset:
    """The first images of a split, each generated once."""
    dataset = shapes(split=split, size=(48, 64), n_class=4, difficulty=0.)
    dataset = dataset.subset(dataset.names[:count])
    dataset.read = cache(dataset.read)
    return dataset


def train(functions: Functions, steps: int = STEPS,
          report: Callable[[int, float], object] | None = None) -> Run:
    """Train with the functions that are given, and with the library's in place of the others.

    functions: {exercise: function}; {} is the library alone
    report: is called with the number and the loss of each step

    >>> run = train({'conv2d': EXERCISES['conv2d'].solution}, steps=2)
    >>> round(run.losses[0], 4)                         # the log of 4 classes
    1.3863
    """
    stopwatch = Stopwatch()
    dataset = images_of('train', N_TRAIN)
    net = build('tiny_8s', len(dataset.classes), width=WIDTH)
    replace_ops(net, functions, stopwatch)
    own = {name: stopwatch.timed(name, function)
           for name, function in {**LIBRARY, **functions}.items()}

    order = np.random.default_rng(0).integers(0, N_TRAIN, (steps, BATCH))
    velocity = {name: np.zeros_like(w) for name, w in net.params.items()}
    losses = []
    start = perf_counter()
    for step in range(steps):
        images, labels = zip(*(dataset[i] for i in order[step].tolist()))
        x = np.stack([own['preprocess'](image) for image in images])
        label = np.stack(labels)
        score = net.forward(x, train=True)
        loss, dscore = own['softmax_cross_entropy'](score, label)
        pixels = (label != VOID).sum()
        grads = net.backward(score=np.asarray(dscore / pixels, net.dtype))
        lr = optim.poly(LR, step, steps)
        for name, g in grads.items():
            w, v = own['sgd'](net.params[name], g, velocity[name], lr, MOMENTUM, 0.)
            net.params[name] = np.asarray(w, net.dtype)
            velocity[name] = np.asarray(v, net.dtype)
        net.step += 1                                   # seeds dropout
        losses.append(float(loss / pixels))
        if report:
            report(step + 1, losses[-1])
    return Run(net, losses, perf_counter() - start, dict(stopwatch.seconds))


def evaluate(net: Net, functions: Functions) -> Scores:
    """Predict the validation images, and score them with the functions."""
    own = {**LIBRARY, **functions}
    dataset = images_of('val', N_VAL)
    n_class = len(dataset.classes)
    hist = np.zeros((n_class, n_class))
    preds = []
    for i in range(len(dataset)):
        image, label = dataset[i]
        score = net.forward(own['preprocess'](image)[None])
        preds.append(score[0].argmax(0))
        hist += own['confusion'](label, preds[-1], n_class)
    return Scores(float(own['mean_iu'](hist)), preds)
