"""Training, one step at a time: forward, loss, backward, and the weights move.

    rows = train(net, pictures, recipe, optimiser(recipe))          a generator
    fit(net, pictures, recipe)                                      all of it at once
"""
from collections import Counter
from contextlib import closing
from functools import partial
from itertools import count
from math import isfinite

import numpy as np

from .. import optim
from ..data.batches import batches
from ..data.dataset import median_frequency
from ..net.summary import peak
from ..prediction.predict import evaluate, predict
from ..runtime.backend import on_host
from ..runtime.distributed import world
from ..runtime.workers import Walkers
from . import recipes
from .gradients import diverged, gradients

__all__ = ['evaluate', 'fit', 'learning_rate', 'make_optimizer', 'predict', 'train']

# the keys of a recipe that say how batches are drawn and augmented
AUGMENTATION = 'replace', 'mirrored', 'scales', 'size', 'bent'
# bytes: workers are used where the forward passes of all batches of a step take less memory
WORKER_MEMORY = 1 << 28


def fit(net, pictures, recipe, seed=0, device='cpu'):
    """All steps of a recipe, a name or a dict, on the 'cpu' or the 'gpu', where the net then is.

    -> [dict(step, loss, lr, names)]
    """
    recipe = recipes.recipe(recipe) if isinstance(recipe, str) else recipes.whole(recipe)
    return [*train(net.to(device), pictures, recipe, make_optimizer(recipe), seed)]


def make_optimizer(recipe):
    """Who moves the weights: SGD with momentum, or Adam."""
    how = dict(lr=recipe['lr'], weight_decay=recipe['weight_decay'], rules=recipe['rules'])
    return optim.Adam(**how) if recipe['adam'] else optim.SGD(momentum=recipe['momentum'], **how)


def learning_rate(recipe, step):
    """The learning rate of a step."""
    if recipe['poly']:
        return optim.poly(recipe['lr'], step, recipe['steps'], recipe['poly'])
    if recipe['falls']:
        return optim.step(recipe['lr'], step, recipe['falls'])
    return optim.fixed(recipe['lr'], step)


def train(net, pictures, recipe, optimizer, seed=0, start=0):
    """Steps start … recipe['steps'] − 1 -> dict(step, loss, lr, names) after each.

    A step adds up the gradients of `iter_size` batches and divides by as many. What happens in it
    follows from (seed, step) and the weights alone: to begin at `start` is to go on. Several ranks
    deal these batches out: the step is the same, but for the order in which it is added up.
    """
    net.about['preprocess'] = prepared = recipe['preprocess'] or net.about.get('preprocess')
    if not prepared:
        raise ValueError('neither the recipe nor the weights say how images are prepared: '
                         'preprocess=dict(order=…, scale=…, mean=…, std=…)')
    if recipe['class_weight'] == 'median':
        recipe = dict(recipe, class_weight=median_frequency(pictures))
    size, mine = recipe['iter_size'], rank_batches(recipe, world().rank, world().size)
    stream = batches(pictures, prepared, recipe['batch'], seed,
                     (step * size + i for step in count(start) for i in mine),
                     **{key: recipe[key] for key in AUGMENTATION})
    broadcast_state(net, optimizer)
    walkers = Walkers(net, partial(batch_gradients, recipe=recipe), len(mine))
    with closing(stream), closing(walkers):
        for step in range(start, recipe['steps']):
            optimizer.lr = learning_rate(recipe, step)
            parts = [(step * size + i, next(stream)) for i in mine]
            net.step = (step + 1) * size - 1            # chance, such as dropout's, moves on
            with np.errstate(all='ignore'):             # what is not finite is told in words
                losses, total = accumulate_gradients(net, parts, recipe, walkers)
                loss = float(sum(losses))               # the one time that a GPU is waited for
                if not isfinite(loss):
                    raise ValueError(diverged(net, parts, losses, step, optimizer.lr))
                total.add('loss', np.array([loss]))
                grads = total.done()
                loss = float(grads.pop('loss')[0]) / size
                for name in net.state.keys() & grads.keys():
                    net.state[name] = grads.pop(name) / world().size
                optimizer.step(net.params, grads, scale=1 / size)
            yield dict(step=step + 1, loss=loss, lr=optimizer.lr,
                       names=[name for _, (names, *_) in parts for name in names])


def rank_batches(recipe, rank, ranks):
    """The batches of a step that one of so many ranks walks. -> range"""
    size = recipe['iter_size']
    if size < ranks:
        whole = recipe['batch'] * size
        parted = whole >= ranks and whole % ranks == 0
        raise ValueError(
            f'{ranks} ranks share the batches of a step, and this recipe has {size} '
            f'(iter_size={size}, batch={recipe["batch"]}): --set ' + (
                f'iter_size={ranks} batch={whole // ranks} parts the same pictures'
                if parted else f'iter_size={ranks} makes a step of as many batches'))
    return range(size)[rank::ranks]


def broadcast_state(net, optimizer):
    """All ranks begin with what rank 0 holds."""
    for values in (net.params, net.state, *optimizer.memory.values()):
        values.update(world().broadcast(values))


def accumulate_gradients(net, parts, recipe, walkers):
    """This rank's batches of a step. -> their losses; the sum of all ranks' gradients, begun

    A weight's gradient sets off to the others as soon as the last walk back comes by its box.
    """
    losses, grads, total, before = [], {}, world().adding(), dict(net.state)
    alone = (batch_gradients(net, part, recipe) for part in parts)
    for loss, own in walkers(parts) if use_workers(net, parts) else alone:
        losses.append(loss)
        for name, g in own:
            if name in grads:
                grads[name] += g
            else:
                grads[name] = g
            if len(losses) == len(parts):
                total.add(name, grads.pop(name))
    for name, value in net.state.items():
        if value is not before[name]:                   # of ranks that saw others the mean
            total.add(name, value)
    return losses, total


def use_workers(net, parts):
    """Whether batches are walked side by side: two nets keep two cores busier than one net does.

    A net with running state is walked batch after batch: the next one finds it there.
    """
    sizes = Counter(image.shape for _, (_, image, _) in parts)
    return not net.state and on_host(*net.params.values()) and sum(
        times * n * peak(net, size) for (n, _, *size), times in sizes.items()) < WORKER_MEMORY


def batch_gradients(net, part, recipe):
    """A batch of a step. -> its loss; the gradients, as the walk back comes by them"""
    net.step, (_, image, label) = part
    return gradients(net, image.astype(net.dtype, copy=False), label, recipe, iter)
