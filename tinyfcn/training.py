"""Training, one step at a time: forward, loss, backward, and the weights move.

    rows = train(net, pictures, recipe, optimiser(recipe))          a generator
    fit(net, pictures, recipe)                                      all of it at once
"""
from contextlib import closing
from copy import copy
from itertools import islice
from math import isfinite

import numpy as np

from . import optim, recipes
from .backend import on_host
from .data.batches import batches
from .data.pictures import by_output, median_frequency
from .data.transforms import under
from .ops import softmax_cross_entropy
from .ops.loss import check_labels
from .prediction import evaluate, predict
from .summary import peak
from .threads import parallel

__all__ = ['evaluate', 'fit', 'optimiser', 'predict', 'rate', 'train']

CHANCE = 'replace', 'mirrored', 'scales', 'size'        # what batches are told of a recipe
SMALL = 1 << 28         # bytes of forward for all batches of a step that are walked side by side


def fit(net, pictures, recipe, seed=0, device='cpu'):
    """All steps of a recipe, a name or a dict, on the 'cpu' or the 'gpu', where the net then is.

    -> [dict(step, loss, lr, names)]
    """
    recipe = recipes.recipe(recipe) if isinstance(recipe, str) else recipes.whole(recipe)
    return [*train(net.to(device), pictures, recipe, optimiser(recipe), seed)]


def optimiser(recipe):
    """Who moves the weights: SGD with momentum, or Adam."""
    how = dict(lr=recipe['lr'], weight_decay=recipe['weight_decay'], rules=recipe['rules'])
    return optim.Adam(**how) if recipe['adam'] else optim.SGD(momentum=recipe['momentum'], **how)


def rate(recipe, step):
    """The learning rate of a step."""
    if recipe['poly']:
        return optim.poly(recipe['lr'], step, recipe['steps'], recipe['poly'])
    if recipe['falls']:
        return optim.step(recipe['lr'], step, recipe['falls'])
    return optim.fixed(recipe['lr'], step)


def train(net, pictures, recipe, optimiser, seed=0, start=0):
    """Steps start … recipe['steps'] − 1 -> dict(step, loss, lr, names) after each.

    A step adds up the gradients of `iter_size` batches and divides by as many. What happens in it
    follows from (seed, step) and the weights alone: to begin at `start` is to go on.
    """
    net.about['preprocess'] = prepared = recipe['preprocess'] or net.about.get('preprocess')
    if not prepared:
        raise ValueError('neither the recipe nor the weights say how images are prepared: '
                         'preprocess=dict(order=…, scale=…, mean=…, std=…)')
    if recipe['class_weight'] == 'median':
        recipe = dict(recipe, class_weight=median_frequency(pictures))
    size = recipe['iter_size']
    stream = batches(pictures, prepared, recipe['batch'], seed, start * size,
                     **{key: recipe[key] for key in CHANCE})
    with closing(stream):
        for step in range(start, recipe['steps']):
            optimiser.lr, grads, losses = rate(recipe, step), {}, []
            parts = [*enumerate(islice(stream, size), step * size)]
            net.step = parts[-1][0]                     # chance, such as dropout's, moves on
            for loss, own in learned(net, parts, recipe):
                grads = {name: grads[name] + g if name in grads else g for name, g in own.items()}
                losses.append(loss)
            loss = float(sum(losses)) / size            # the one time that a GPU is waited for
            if not isfinite(loss):
                raise ValueError(diverged(net, parts, losses, step, optimiser.lr))
            with np.errstate(all='ignore'):
                optimiser.step(net.params, grads, scale=1 / size)
            yield dict(step=step + 1, loss=loss, lr=optimiser.lr,
                       names=[name for _, (names, *_) in parts for name in names])


def learned(net, parts, recipe):
    """The loss and the gradients of every batch of a step, in order.

    Batches of a small net are walked side by side: two nets keep two cores busier than two threads
    in one. A net with running state is walked batch after batch, for the next one finds it there.
    """
    aside = not net.state and on_host(*net.params.values()) and sum(
        peak(net, image.shape[2:]) * len(image) for _, (_, image, _) in parts) < SMALL

    def learn(part):
        number, (_, image, label) = part
        own = copy(net) if aside else net
        own.step = number
        with np.errstate(all='ignore'):                 # what is not finite is told in words
            return gradients(own, image.astype(net.dtype, copy=False), label, recipe)

    return (parallel if aside else map)(learn, parts)


def gradients(net, image, label, recipe):
    """The loss of all outputs, or of what `loss_at` names, and its gradient by every weight."""
    shares, loss, seeds = recipe['loss_at'] or dict.fromkeys(net.outputs(), 1), 0., {}
    score, labels = net.forward(net.bring(image), train=True, until=[*shares]), by_output(label)
    weight = recipe['class_weight'] and net.bring(np.asarray(recipe['class_weight'], net.dtype))
    for head, share in shares.items():
        own = score[head] if len(shares) > 1 else score
        there = under(labels.get(head, labels.get('score')), net[head].place, own.shape[2:])
        if not on_host(own):
            check_labels(there, own.shape)              # a GPU would take one for another
        part, d = softmax_cross_entropy(own, net.bring(there), reduce=recipe['loss'],
                                        class_weight=weight)
        loss = loss + share * part
        seeds[head] = d if share == 1 else d * float(share)
    return loss, net.backward(**seeds)


def diverged(net, parts, losses, step, lr):
    """Where the numbers left the numbers, in a sentence."""
    number, (names, image, _), loss = next(
        (number, part, loss) for (number, part), loss in zip(parts, map(float, losses))
        if not isfinite(loss))
    net.step, image = number, image.astype(net.dtype, copy=False)
    if not np.isfinite(image).all():
        where = 'the picture itself is not finite'
    elif bad := [name for name, w in net.params.items() if not np.isfinite(w).all()]:
        where = f'the weights {bad[0]} are not finite any more'
    else:
        with np.errstate(all='ignore'):
            where = next((f'{box.line}: the first box whose values are not finite'
                          for box, y in net.walk(net.bring(image), train=True, keep=False)
                          if not np.isfinite(y).all()),
                         'the scores lie too far apart to subtract')
    return (f'the loss is {loss} at step {step + 1}, picture {", ".join(names)}, lr {lr:g}; '
            f'{where}. A smaller lr; the last checkpoint is as it was')
