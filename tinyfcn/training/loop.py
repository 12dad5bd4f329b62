"""Training, one step at a time: forward, loss, backward, update.

    rows = train(net, dataset, recipe, make_optimizer(recipe))      a generator
    rows = fit(net, dataset, recipe)                                all steps at once
"""
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from math import isfinite
from typing import Any, TypedDict

import numpy as np

from .. import optim
from ..data.batches import batches
from ..data.class_weights import median_frequency
from ..data.dataset import Dataset
from ..data.labels import Array
from ..net import Net
from ..net.summary import peak
from ..runtime.backend import on_host
from ..runtime.distributed import world
from ..runtime.workers import WorkerPool
from .gradients import (
    Loss,
    NamedGradients,
    NumberedBatch,
    describe_divergence,
    loss_and_gradients,
)
from .recipes import Recipe, get_recipe

# the fields of a recipe that data.batches.sample takes: how images are drawn and augmented
AUGMENTATION = 'replace', 'flip', 'scale_range', 'crop_size', 'elastic_sigma'
# bytes: workers are used where the forward passes of all batches of a step take less memory
WORKER_MEMORY = 1 << 28


class StepRow(TypedDict):
    """The result of a step."""
    step: int                           # from 1 on
    loss: float                         # the mean over the batches of the step
    lr: float
    names: list[str]                    # of the images, in this process


def fit(net: Net, dataset: Dataset, recipe: str | Recipe | Mapping[str, Any], seed: int = 0,
        device: str = 'cpu') -> list[StepRow]:
    """Train for all steps of a recipe: its name, a Recipe or a dict of its fields. -> a row a step

    device: 'cpu' or 'gpu', where the net then is

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48))
    >>> net = tinyfcn.build('tiny_8s', len(dataset.classes), width=1/8)
    >>> rows = fit(net, dataset, get_recipe('shapes-8s', steps=20, lr=.01))
    >>> rows[-1]['loss'] < rows[0]['loss']
    True
    """
    if isinstance(recipe, str):
        recipe = get_recipe(recipe)
    elif not isinstance(recipe, Recipe):
        recipe = Recipe.from_dict(recipe)
    return [*train(net.to(device), dataset, recipe, make_optimizer(recipe), seed)]


def make_optimizer(recipe: Recipe) -> optim.SGD | optim.Adam:
    """The optimizer of a recipe: SGD with momentum, or Adam.

    >>> make_optimizer(get_recipe('voc-fcn8s')).momentum
    0.99
    """
    if recipe.optimizer == 'adam':
        return optim.Adam(lr=recipe.lr, weight_decay=recipe.weight_decay, rules=recipe.rules)
    return optim.SGD(lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay,
                     rules=recipe.rules)


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step, counted from 0.

    >>> recipe = Recipe(lr=.1, steps=100, lr_step=50)
    >>> learning_rate(recipe, 0), round(learning_rate(recipe, 50), 9)
    (0.1, 0.01)
    """
    if recipe.lr_power:
        return optim.poly(recipe.lr, step, recipe.steps, recipe.lr_power)
    if recipe.lr_step:
        return optim.step(recipe.lr, step, recipe.lr_step)
    return optim.fixed(recipe.lr, step)


def train(net: Net, dataset: Dataset, recipe: Recipe, optimizer: optim.SGD | optim.Adam,
          seed: int = 0, start: int = 0) -> Generator[StepRow, None, None]:
    """Steps start … recipe.steps − 1; yields a row after each.

    A step adds up the gradients of `iter_size` batches and divides by their number. It depends on
    (seed, step), the weights and the optimizer alone, so that starting at `start` resumes. Several
    ranks split the batches of a step; the result is the same up to the order of the sums.

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48))
    >>> net = tinyfcn.build('tiny_8s', len(dataset.classes), width=1/8)
    >>> recipe = get_recipe('shapes-8s', steps=2)
    >>> [row['step'] for row in train(net, dataset, recipe, make_optimizer(recipe))]
    [1, 2]
    """
    preprocess = recipe.preprocess or net.about.get('preprocess')
    net.about['preprocess'] = preprocess
    if not preprocess:
        raise ValueError('neither the recipe nor the weights say how images are preprocessed: '
                         'give the recipe preprocess=dict(order=…, scale=…, mean=…, std=…)')
    if recipe.class_weight == 'median':
        recipe = replace(recipe, class_weight=tuple(median_frequency(dataset)))

    iter_size = recipe.iter_size
    own_indices = rank_batches(recipe, world().rank, world().size)
    numbers = (step * iter_size + i for step in count(start) for i in own_indices)
    augmentation = {name: getattr(recipe, name) for name in AUGMENTATION}
    stream = batches(dataset, preprocess, recipe.batch, seed, numbers, **augmentation)
    broadcast_state(net, optimizer)
    workers = WorkerPool(net, partial(batch_gradients, recipe=recipe), len(own_indices))
    with closing(stream), closing(workers):
        for step in range(start, recipe.steps):
            optimizer.lr = learning_rate(recipe, step)
            own_batches = [NumberedBatch(step * iter_size + i, next(stream)) for i in own_indices]
            net.step = (step + 1) * iter_size - 1       # seeds dropout, also after the step
            loss = _update(net, own_batches, recipe, optimizer, workers, step)
            yield StepRow(step=step + 1, loss=loss, lr=optimizer.lr,
                          names=[name for own in own_batches for name in own.batch.names])


def _update(net: Net, own_batches: list[NumberedBatch], recipe: Recipe,
            optimizer: optim.SGD | optim.Adam, workers: WorkerPool, step: int) -> float:
    """One step of the optimizer, with the gradients of all ranks. -> the loss"""
    iter_size = recipe.iter_size
    with np.errstate(all='ignore'):                     # an error message says what is not finite
        losses, total = accumulate_gradients(net, own_batches, recipe, workers)
        loss = float(sum(losses))                       # waits for a GPU, once a step
        if not isfinite(loss):
            raise ValueError(describe_divergence(net, own_batches, losses, step, optimizer.lr))
        total.add('loss', np.array([loss]))
        grads = total.result()
        loss = float(grads.pop('loss')[0]) / iter_size
        for name in net.state.keys() & grads.keys():
            net.state[name] = grads.pop(name) / world().size
        optimizer.step(net.params, grads, scale=1 / iter_size)
    return loss


def rank_batches(recipe: Recipe, rank: int, ranks: int) -> range:
    """Which batches of a step this rank computes, out of so many ranks."""
    size = recipe.iter_size
    if size < ranks:
        images = recipe.batch * size
        if images >= ranks and images % ranks == 0:
            remedy = f'iter_size={ranks} batch={images // ranks} splits the same images'
        else:
            remedy = f'iter_size={ranks} makes a step of as many batches'
        raise ValueError(f'{ranks} ranks split the batches of a step, and this recipe has {size} '
                         f'(iter_size={size}, batch={recipe.batch}): --set {remedy}')
    return range(size)[rank::ranks]


def broadcast_state(net: Net, optimizer: optim.SGD | optim.Adam) -> None:
    """Give all ranks the weights, running statistics and optimizer memory of rank 0."""
    for values in (net.params, net.state, *optimizer.memory.values()):
        values.update(world().broadcast(values))


def accumulate_gradients(net: Net, own_batches: list[NumberedBatch], recipe: Recipe,
                         workers: WorkerPool) -> tuple[list[Loss], Any]:
    """The losses of this rank's batches, and the sum of all ranks' gradients, still under way.

    The all-reduce of a weight's gradient starts once the last backward pass has computed it.
    """
    losses: list[Loss] = []
    grads: dict[str, Array] = {}
    total = world().all_reduce()
    state_before = dict(net.state)
    results: Iterable[tuple[Loss, NamedGradients]]
    if use_workers(net, own_batches):
        results = workers(own_batches)
    else:
        results = (batch_gradients(net, numbered, recipe) for numbered in own_batches)

    for loss, own_grads in results:
        losses.append(loss)
        for name, g in own_grads:
            if name in grads:
                grads[name] += g
            else:
                grads[name] = g
            if len(losses) == len(own_batches):
                total.add(name, grads.pop(name))
    for name, value in net.state.items():
        if value is not state_before[name]:             # running statistics: averaged over ranks
            total.add(name, value)
    return losses, total


def use_workers(net: Net, own_batches: list[NumberedBatch]) -> bool:
    """Whether to compute batches in parallel: two small nets use two cores better than one does.

    A net with running statistics computes them one after another: each batch updates what the next
    one finds.
    """
    if net.state or not on_host(*net.params.values()):
        return False
    shapes = Counter(numbered.batch.image.shape for numbered in own_batches)
    needed: float = sum(times * n * peak(net, size) for (n, _, *size), times in shapes.items())
    return needed < WORKER_MEMORY


def batch_gradients(net: Net, numbered: NumberedBatch,
                    recipe: Recipe) -> tuple[Loss, NamedGradients]:
    """The loss of one batch of a step, and its gradients as the backward pass computes them."""
    net.step = numbered.number
    image = numbered.batch.image.astype(net.dtype, copy=False)
    return loss_and_gradients(net, image, numbered.batch.label, recipe, iter)
