"""Training, one step at a time: forward, loss, backward, update.

    rows = train(net, dataset, recipe, make_optimizer(recipe))      a generator
    rows = fit(net, dataset, recipe)                                all steps at once
"""
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from copy import copy
from dataclasses import replace
from itertools import count
from math import isfinite
from typing import Any, TypedDict

import numpy as np

from .. import optim
from ..data.batches import batches
from ..data.channels import RGB
from ..data.class_weights import median_frequency
from ..data.dataset import Dataset
from ..data.labels import Array
from ..net import Net
from ..net.net import require_net
from ..net.summary import peak
from ..runtime.backend import on_host
from ..runtime.blas_threads import one_blas_thread
from ..runtime.distributed import world
from ..runtime.threads import parallel, thread_count
from .diverged import Diverged, describe_divergence
from .freeze import frozen_weights
from .gradients import Loss, NamedGradients, NumberedBatch, loss_and_gradients
from .ranks import require_same_training
from .recipes import Recipe, get_recipe
from .requirements import require_trainable

# the fields of a recipe that data.batches.sample takes: how images are drawn (the first two) and
# augmented
AUGMENTATION = ('replace', 'rare_classes', 'flip', 'scale_range', 'crop_size', 'elastic_sigma',
                'rotation', 'colour', 'blur', 'noise')
# bytes: the batches of a step are computed at once where their forward passes take less memory
MEMORY_AT_ONCE = 1 << 28


class StepRow(TypedDict):
    """The result of a step."""
    step: int                           # from 1 on
    loss: float                         # the mean over the batches of the step
    lr: float
    names: list[str]                    # of the images, in this process


def fit(net: Net, dataset: Dataset, recipe: str | Recipe | Mapping[str, Any], seed: int = 0,
        device: str = 'cpu', report: Callable[[StepRow], object] | None = None) -> list[StepRow]:
    """Train a net in place, from the weights it has, for all steps of a recipe. -> a row for each

    recipe: its name, a Recipe, or a dict of its fields. Of these net, init_from, train, valid and
    patience are not used: net and dataset are given, and nothing is validated or written.
    device: 'cpu' or 'gpu', where the net then is
    report: is called with the row of each step, for example print

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48))
    >>> net = tinyfcn.build('tiny_8s', len(dataset.classes), width=1/8)
    >>> rows = fit(net, dataset, get_recipe('shapes-8s', steps=20, lr=.01))
    >>> rows[-1]['loss'] < rows[0]['loss']
    True
    """
    require_net(net)
    if isinstance(recipe, str):
        recipe = get_recipe(recipe)
    elif not isinstance(recipe, Recipe):
        recipe = Recipe.from_dict(recipe)
    rows = []
    for row in train(net.to(device), dataset, recipe, make_optimizer(recipe), seed):
        rows.append(row)
        if report:
            report(row)
    net.about['classes'] = dataset.classes
    return rows


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
          seed: int = 0, first_step: int = 0,
          schedule: Callable[[Recipe, int], float] = learning_rate,
          ) -> Generator[StepRow, None, None]:
    """Train for the steps first_step … recipe.steps − 1, counted from 0; yields a row after each.

    A step adds up the gradients of `iter_size` batches and divides by their number. It depends on
    (seed, step), the weights and the optimizer alone, so that a later first_step resumes. Several
    ranks split the batches of a step; the result is the same up to the order of the sums.
    As with any generator, nothing happens, and no error is raised, before the first row is asked
    for. net.about then says how the net's images are preprocessed.
    schedule(recipe, step): the learning rate of a step

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48))
    >>> net = tinyfcn.build('tiny_8s', len(dataset.classes), width=1/8)
    >>> recipe = get_recipe('shapes-8s', steps=2)
    >>> [row['step'] for row in train(net, dataset, recipe, make_optimizer(recipe))]
    [1, 2]
    """
    require_same_training(net, dataset, recipe, seed, first_step)
    preprocess = require_trainable(net, dataset, recipe, optimizer)
    net.about['preprocess'] = preprocess
    if dataset.channels != RGB:
        net.about['channels'] = dataset.channels.to_about()
    net.about.pop('shorter_side', None)         # of pretrained weights; images are used as they are
    if dataset.colours:
        net.about['colours'] = dataset.colours
    if recipe.class_weight == 'median':
        recipe = replace(recipe, class_weight=tuple(median_frequency(dataset)))

    iter_size = recipe.iter_size
    in_step = rank_batches(recipe, world().rank, world().size)
    # batches are numbered through the whole run: a step has iter_size of them
    numbers = (step * iter_size + i for step in count(first_step) for i in in_step)
    augmentation = {name: getattr(recipe, name) for name in AUGMENTATION}
    stream = batches(dataset, preprocess, recipe.batch, seed, numbers, **augmentation)
    broadcast_state(net, optimizer)
    with closing(stream):
        for step in range(first_step, recipe.steps):
            optimizer.lr = schedule(recipe, step)
            step_batches = [NumberedBatch(step * iter_size + i, next(stream)) for i in in_step]
            # the net's `step` is the number of a batch, and seeds dropout. After the step it is
            # that of the last batch, on every rank
            net.step = (step + 1) * iter_size - 1
            with frozen_weights(net, recipe):
                loss = _update(net, step_batches, recipe, optimizer, step)
            yield StepRow(step=step + 1, loss=loss, lr=optimizer.lr,
                          names=[name for _, batch in step_batches for name in batch.names])


def _update(net: Net, step_batches: list[NumberedBatch], recipe: Recipe,
            optimizer: optim.SGD | optim.Adam, step: int) -> float:
    """One step of the optimizer, with the gradients of all ranks. -> the loss"""
    iter_size = recipe.iter_size
    with np.errstate(all='ignore'):                     # an error message says what is not finite
        losses, sums = accumulate_gradients(net, step_batches, recipe)
        rank_loss = float(sum(losses))                  # waits for a GPU, once a step
        if not isfinite(rank_loss):
            raise Diverged(describe_divergence(net, step_batches, losses, step, optimizer.lr))
        sums.add('loss', np.array([rank_loss]))
        grads = sums.result()
        loss = float(grads.pop('loss')[0]) / iter_size
        for name in net.state.keys() & grads.keys():    # the mean over all ranks
            net.state[name] = grads.pop(name) / world().size
        optimizer.step(net.params, grads, scale=1 / iter_size)
    return loss


def rank_batches(recipe: Recipe, rank: int, ranks: int) -> range:
    """Which of the iter_size batches of a step rank number `rank` of `ranks` computes."""
    iter_size = recipe.iter_size
    if iter_size < ranks:
        images = recipe.batch * iter_size
        if images >= ranks and images % ranks == 0:
            remedy = f'iter_size={ranks} batch={images // ranks} splits the same images'
        else:
            remedy = f'iter_size={ranks} makes a step of as many batches'
        raise ValueError(f'{ranks} ranks split the batches of a step, and this recipe has '
                         f'{iter_size} (iter_size={iter_size}, batch={recipe.batch}): --set '
                         f'{remedy}')
    return range(iter_size)[rank::ranks]


def broadcast_state(net: Net, optimizer: optim.SGD | optim.Adam) -> None:
    """Give all ranks the weights, running statistics and optimizer memory of rank 0."""
    for values in (net.params, net.state, *optimizer.memory.values()):
        values.update(world().broadcast(values))


def accumulate_gradients(net: Net, step_batches: list[NumberedBatch],
                         recipe: Recipe) -> tuple[list[Loss], Any]:
    """The losses of this rank's batches, and the sums of all ranks' gradients by name.

    The sums are still under way, and .result() waits for them. That of a weight starts once the
    last backward pass of this rank has computed the weight's gradient.
    """
    losses: list[Loss] = []
    grads: dict[str, Array] = {}
    sums = world().begin_all_reduce()
    state_before = dict(net.state)
    for loss, batch_grads in iter_batch_gradients(net, step_batches, recipe):
        losses.append(loss)
        for name, g in batch_grads:
            if name in grads:
                grads[name] += g
            else:
                grads[name] = g
            if len(losses) == len(step_batches):
                sums.add(name, grads.pop(name))
    for name, value in net.state.items():
        if value is not state_before[name]:             # running statistics; _update divides them
            sums.add(name, value)
    return losses, sums


def iter_batch_gradients(net: Net, step_batches: list[NumberedBatch], recipe: Recipe,
                         ) -> Iterable[tuple[Loss, Iterable[tuple[str, Array]]]]:
    """The loss and the gradients of each batch, in order; a thread for each batch where that pays.
    """
    def compute(numbered: NumberedBatch) -> tuple[Loss, list[tuple[str, Array]]]:
        loss, grads = batch_gradients(copy(net), numbered, recipe)     # a step of its own
        return loss, list(grads)

    if can_compute_at_once(net, step_batches):
        with one_blas_thread():
            return parallel(compute, step_batches)
    return (batch_gradients(net, numbered, recipe) for numbered in step_batches)


def can_compute_at_once(net: Net, step_batches: list[NumberedBatch]) -> bool:
    """Whether the batches of a step are computed side by side, each by one thread.

    Two threads with a small image each wait less for each other than two that share every op of
    one; two large images do not fit the memory. A net with running statistics computes one batch
    after another: each updates what the next one finds. So do several ranks, which send gradients
    while they compute others.
    """
    if min(len(step_batches), thread_count()) < 2 or world().size > 1:
        return False
    if net.state or not on_host(*net.params.values()):
        return False
    sizes = Counter(numbered.batch.image.shape for numbered in step_batches)
    needed = 0.
    for (images, _, *size), times in sizes.items():
        needed += times * images * peak(net, size)
    return needed < MEMORY_AT_ONCE


def batch_gradients(net: Net, numbered: NumberedBatch,
                    recipe: Recipe) -> tuple[Loss, NamedGradients]:
    """Compute the loss of one batch of a step, and its gradients as the backward pass does.

    The number of the batch seeds dropout, as net.step.
    """
    net.step = numbered.number
    image = numbered.batch.image.astype(net.dtype, copy=False)
    # iter: each gradient is computed when the iterator reaches it
    return loss_and_gradients(net, image, numbered.batch.label, recipe, collect=iter)
