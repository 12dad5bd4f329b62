"""One batch, there and back: its loss, and the gradient of every weight."""
from math import isfinite

import numpy as np

from ..data.labels import by_output
from ..data.transforms import under
from ..data.unet_augmentation import gap_weights
from ..ops import softmax_cross_entropy
from ..ops.loss import check_labels
from ..runtime.backend import on_host


def gradients(net, image, label, recipe, collect=dict):
    """The loss of all outputs, or of what `loss_at` names, and its gradient by every weight.

    kept=iter walks back only as one asks for (name, gradient) after (name, gradient).
    """
    shares, loss, output_grads = recipe['loss_at'] or dict.fromkeys(net.outputs(), 1), 0., {}
    score, labels = net.forward(net.bring(image), train=True, until=[*shares]), by_output(label)
    of_class = recipe['class_weight'] and np.asarray(recipe['class_weight'], net.dtype)
    for head, share in shares.items():
        own = score[head] if len(shares) > 1 else score
        whole, at = labels.get(head, labels.get('score')), (net[head].alignment, own.shape[2:])
        there, weight = under(whole, *at), dict(class_weight=of_class)
        if recipe['gaps']:
            of_pixel = under(gap_weights(whole, *recipe['gaps'], of_class), *at)
            weight = dict(pixel_weight=of_pixel.astype(net.dtype, copy=False))
        if not on_host(own):
            check_labels(there, own.shape)              # a GPU would take one for another
        part, d = softmax_cross_entropy(own, net.bring(there), reduce=recipe['loss'], **{
            key: w if w is None else net.bring(w) for key, w in weight.items()})
        loss = loss + share * part
        output_grads[head] = d if share == 1 else d * float(share)
    return loss, collect(iter_gradients(net, output_grads))


def iter_gradients(net, output_grads):
    """Walk back. -> name, gradient of each weight that learns, from the last box to the first"""
    for box, _ in net.walk_back(**output_grads):
        yield from ((name, net.grads.pop(name)) for name in box.reads
                    if name in net.params and name in net.grads)
    net.caches.clear()                                  # of boxes that no gradient came to


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
