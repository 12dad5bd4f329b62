"""The loss of one batch, and its gradient with respect to every weight."""
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np

from ..data.batches import Batch
from ..data.labels import Array, Label, by_output, labels_at
from ..data.unet_augmentation import border_weights
from ..net import Net
from ..ops import dice_loss, focal_loss, softmax_cross_entropy
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
    all outputs. collect=dict runs the backward pass at once. collect=iter returns an iterator of
    (name, gradient), which computes each gradient when it reaches it.
    """
    loss_weights = recipe.loss_at or dict.fromkeys(net.outputs(), 1)
    scores = net.forward(net.bring(image), train=True, until=[*loss_weights])
    if not isinstance(scores, dict):
        scores = dict.fromkeys(loss_weights, scores)
    labels = by_output(label)

    loss: Loss = 0.
    output_grads = {}
    for output, loss_weight in loss_weights.items():
        # a label without names of outputs is that of every output
        output_label = labels[output if output in labels else 'score']
        output_loss, dscore = _loss_at(net, output, scores[output], output_label, recipe)
        loss = loss + loss_weight * output_loss
        output_grads[output] = dscore if loss_weight == 1 else dscore * float(loss_weight)
    return loss, collect(iter_gradients(net, output_grads))


def _loss_at(net: Net, output: str, score: Array, label: Array,
             recipe: Recipe) -> tuple[Loss, Array]:
    """The loss at one box, an output or an inner one, and its gradient by the scores there.

    score (N, C, h, w), label (N, H, W) of the whole image
    """
    alignment = net[output].alignment
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
    class_weight = None if class_weight is None else net.bring(class_weight)
    pixel_weight = None if pixel_weight is None else net.bring(pixel_weight)
    return _loss(recipe.loss, score, net.bring(label_there), class_weight, pixel_weight)


def _loss(kind: Literal['sum', 'mean', 'focal', 'dice', 'ce+dice'], score: Array, label: Array,
          class_weight: Array | None, pixel_weight: Array | None) -> tuple[Loss, Array]:
    """The loss that a recipe names, and its gradient by the scores."""
    if kind == 'focal':
        return focal_loss(score, label, reduce='mean', class_weight=class_weight,
                          pixel_weight=pixel_weight)
    if kind == 'dice':
        return dice_loss(score, label, class_weight=class_weight)
    if kind == 'ce+dice':
        of_pixels, dpixels = _loss('mean', score, label, class_weight, None)
        of_areas, dareas = _loss('dice', score, label, class_weight, None)
        return of_pixels + of_areas, dpixels + dareas
    return softmax_cross_entropy(score, label, reduce=kind, class_weight=class_weight,
                                 pixel_weight=pixel_weight)


def iter_gradients(net: Net, output_grads: dict[str, Array]) -> NamedGradients:
    """Run the backward pass -> (name, gradient) of each weight, from the last box to the first."""
    for box, _ in net.walk_back(**output_grads):
        for name in box.reads:
            if name in net.params and name in net.grads:
                yield name, net.grads.pop(name)
    net.caches.clear()                                  # of boxes that no gradient reached
