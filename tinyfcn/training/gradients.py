"""The loss of one batch, and its gradient with respect to every weight."""
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np

from ..data.batches import Batch
from ..data.labels import Array, Label, by_output, labels_at
from ..data.unet_augmentation import border_weights
from ..net import Net
from ..ops import softmax_cross_entropy
from ..ops.loss import check_labels
from ..runtime.backend import on_host
from .recipes import Recipe

# a number; on a GPU an array without axes
Loss: TypeAlias = 'float | Array'
NamedGradients: TypeAlias = Iterator[tuple[str, Array]]
T = TypeVar('T')


class NumberedBatch(NamedTuple):
    """A batch and its number in the whole run, which seeds dropout."""
    number: int
    batch: Batch


@overload
def loss_and_gradients(net: Net, image: Array, label: Label,
                       recipe: Recipe) -> tuple[Loss, dict[str, Array]]: ...


@overload
def loss_and_gradients(net: Net, image: Array, label: Label, recipe: Recipe,
                       collect: Callable[[NamedGradients], T]) -> tuple[Loss, T]: ...


def loss_and_gradients(net: Net, image: Array, label: Label, recipe: Recipe,
                       collect: Callable[[NamedGradients], Any] = dict) -> tuple[Loss, Any]:
    """The loss L of a batch, and ∂L/∂w of every weight w that is trained.

    image (N, C, H, W), label (N, H, W) or {output: (N, H, W)}
    L is the weighted sum of the losses at the boxes of recipe.loss_at, or the sum of the losses at
    all outputs. collect=iter delays the backward pass: each gradient is computed when the iterator
    reaches it.
    """
    loss_weights = recipe.loss_at or dict.fromkeys(net.outputs(), 1)
    scores = net.forward(net.bring(image), train=True, until=[*loss_weights])
    if not isinstance(scores, dict):
        scores = dict.fromkeys(loss_weights, scores)
    labels = by_output(label)

    loss: Loss = 0.
    output_grads = {}
    for head, loss_weight in loss_weights.items():
        # a label without names of outputs is that of every head
        head_label = labels[head if head in labels else 'score']
        head_loss, dscore = _loss_of_head(net, head, scores[head], head_label, recipe)
        loss = loss + loss_weight * head_loss
        output_grads[head] = dscore if loss_weight == 1 else dscore * float(loss_weight)
    return loss, collect(iter_gradients(net, output_grads))


def _loss_of_head(net: Net, head: str, score: Array, label: Array,
                  recipe: Recipe) -> tuple[Loss, Array]:
    """The loss at one box, and its gradient with respect to the scores there.

    score (N, C, h, w), label (N, H, W) of the whole image
    """
    alignment = net[head].alignment
    size = score.shape[2:]
    label_there = labels_at(label, alignment, size)
    class_weight = None
    pixel_weight = None
    if recipe.class_weight:
        class_weight = np.asarray(recipe.class_weight, net.dtype)
    if recipe.border_weight:
        # the distances between cells are those in the whole label, also where the score is smaller
        whole = border_weights(label, *recipe.border_weight, class_weight)
        pixel_weight = labels_at(whole, alignment, size).astype(net.dtype, copy=False)
        class_weight = None                             # it is part of pixel_weight
    if not on_host(score):
        check_labels(label_there, score.shape)          # a GPU would read a wrong class silently
    return softmax_cross_entropy(
        score, net.bring(label_there), reduce=recipe.loss,
        class_weight=None if class_weight is None else net.bring(class_weight),
        pixel_weight=None if pixel_weight is None else net.bring(pixel_weight))


def iter_gradients(net: Net, output_grads: dict[str, Array]) -> NamedGradients:
    """Run the backward pass -> (name, gradient) of each weight, from the last box to the first."""
    for box, _ in net.walk_back(**output_grads):
        for name in box.reads:
            if name in net.params and name in net.grads:
                yield name, net.grads.pop(name)
    net.caches.clear()                                  # of boxes that no gradient reached


def describe_divergence(net: Net, batches: Sequence[NumberedBatch],
                        losses: Sequence[Loss], step: int, lr: float) -> str:
    """An error message for a loss that is not finite: where the first such value appeared.

    batches: of this step, with their losses in the same order
    """
    loss, (number, batch) = next((float(loss), numbered) for loss, numbered in zip(losses, batches)
                                 if not isfinite(float(loss)))
    return (f'the loss is {loss} at step {step + 1}, image {", ".join(batch.names)}, lr {lr:g}: '
            f'{_first_not_finite(net, number, batch.image)}. Try a smaller lr; the last checkpoint '
            f'is unchanged')


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
