"""The classes of all pixels of an image of any size, and the metrics of a net on a data set."""
import sys
from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..data.images import read_image
from ..data.labels import by_output
from ..data.transforms import prepare
from ..files.images import require_8_bits, to_rgb
from ..metrics import Scores, confusion, scores
from ..net.alignment import Alignment, Unaligned
from ..net.box import Box
from ..net.net import Net
from ..net.summary import peak
from ..runtime.backend import array_module, to_numpy
from ..runtime.distributed import world
from ..runtime.machine import available_memory
from .crf import mean_field
from .multiscale import (
    first_score_offset,
    get_preprocess,
    mirror_pad,
    predict_probabilities,
    predict_scores,
)

if TYPE_CHECKING:
    from PIL.Image import Image  # a type alone: PIL is imported on first use

Array: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.uint8]
Input: TypeAlias = 'str | PathLike[str] | Image | Array'
T = TypeVar('T')

MEMORY_SHARE = .8       # of the available memory, which a forward pass may take


# A net with several outputs gives a dict. `X | dict[str, X]` would make every user check which of
# the two it is, although nearly all nets have one output. `X | Any` is the convention of typeshed
# for this: a type checker treats the result as X, and accepts it where a dict is needed.
def predict(net: Net, image: Input, max_memory: float | None = None,
            crf: Mapping[str, float] | None = None, scales: Iterable[float] | None = None,
            flip: bool = False, window: int | None = None) -> Mask | Any:
    """The class of every pixel: argmax over the scores.   -> (H, W) uint8

    image: the path of an image file, a PIL image, or an array (H, W, 3) uint8, RGB
    scales, flip, window: average several predictions, see `predict_probabilities`
    crf: a row of `prediction.crf.SETTINGS`, to refine the probabilities by the fully connected CRF
    max_memory: in bytes; by default most of what is available. A larger image is predicted in tiles
    that overlap by the receptive field, so the result is identical

    A net with several outputs gives a dict of masks, {output: (H, W)}.

    >>> import tinyfcn
    >>> net = tinyfcn.build('tiny_8s', n_class=3, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> predict(net, np.zeros((40, 50, 3), 'uint8')).shape
    (40, 50)
    """
    image = load_image(image)
    if crf or flip or window or scales is not None:
        prob = predict_probabilities(net, image, (1,) if scales is None else scales, flip, window)
        if crf:
            prob = {output: mean_field(p, image[..., :3], crf) for output, p in prob.items()}
        return unwrap_single({output: p.argmax(0).astype('uint8') for output, p in prob.items()})

    x = net.bring(prepare(image, get_preprocess(net), net.dtype))
    if max_memory is None:
        max_memory = MEMORY_SHARE * available_memory(x)
    if peak(net, mirror_pad(net, x).shape[2:]) <= max_memory:
        return unwrap_single(argmax_labels(predict_scores(net, x)))
    return unwrap_single(predict_tiled(net, x, largest_tile(net, max_memory)))


def load_image(image: Input) -> Array:
    """A path, a PIL image or an array -> (H, W, 3) uint8, RGB; other channels as they are.

    Nets that read more than three channels (depth) take arrays of floats, too.

    >>> load_image(np.zeros((4, 5, 3), 'uint8')).shape
    (4, 5, 3)
    """
    if isinstance(image, (str, PathLike)):
        return read_image(Path(image))
    if _is_pil(image):
        require_8_bits(image, 'image')
        return to_rgb(image)
    if isinstance(image, np.ndarray) and image.ndim == 3:
        if image.dtype == 'uint8' or image.shape[2] != 3 and image.dtype.kind == 'f':
            return image
    found = type(image).__name__
    if isinstance(image, np.ndarray):
        found = f'an array {image.shape} of {image.dtype}'
    raise TypeError(f'image is {found}; give a path, a PIL image, or an array (H, W, 3) of uint8, '
                    f'RGB')


def _is_pil(image: object) -> 'TypeGuard[Image]':
    """Whether this is a PIL image; PIL need not be imported to find out."""
    pil = sys.modules.get('PIL.Image')
    return pil is not None and isinstance(image, pil.Image)


def argmax_labels(score: Array | dict[str, Array]) -> dict[str, Mask]:
    """The best class of every pixel of one image.   (1, C, H, W), or a dict -> {output: (H, W)}"""
    return {output: to_numpy(own[0].argmax(0).astype('uint8'))
            for output, own in by_output(score).items()}


def unwrap_single(outputs: dict[str, T]) -> T | Any:
    """The inverse of `by_output`: the value of the only output, or the dict of several."""
    return outputs.get('score', outputs)


# ---- Tiles

def predict_tiled(net: Net, x: Array, core: int) -> dict[str, Mask]:
    """Predict x (1, C, H, W) in tiles of core×core pixels. -> {output: (H, W)}

    Each tile is predicted with a margin of what its scores see around it. Tiles begin at multiples
    of the largest stride, so that every pool has the same windows as in the whole image.
    """
    margin = tile_margin(net)
    h, w = x.shape[2:]
    whole: dict[str, Mask] = {}
    for top in range(0, h, core):
        for left in range(0, w, core):
            y0 = max(0, top - margin)
            x0 = max(0, left - margin)
            tile = x[:, :, y0:top + core + margin, x0:left + core + margin]
            tile = array_module(x).ascontiguousarray(tile)
            for output, pred in argmax_labels(net.forward(tile)).items():
                if output not in whole:
                    whole[output] = np.empty((h, w), 'uint8')
                own = pred[top - y0:, left - x0:][:core, :core]
                whole[output][top:top + core, left:left + core] = own
    return whole


def largest_tile(net: Net, max_memory: float) -> int:
    """The largest size of a tile without its margin, a multiple of the largest stride."""
    stride = max_stride(net)
    margins = 2 * tile_margin(net)
    needed = peak(net, [margins + stride] * 2)
    if needed > max_memory:
        raise ValueError(f'even the smallest tile takes {needed / 1e6:,.0f} MB of memory with this '
                         f'net, and {max_memory / 1e6:,.0f} MB may be used')
    core = stride
    while peak(net, [margins + 2 * core] * 2) <= max_memory:
        core *= 2
    return core


def max_stride(net: Net) -> int:
    """The largest stride of any box: tiles begin at its multiples."""
    alignments = _alignments(net.route(train=False))
    if any(first_score_offset(net[output].alignment) for output in net.outputs(train=False)):
        raise ValueError(_cannot_tile('its first scores lie inside the image'))
    return max(ceil(max(alignment.scale)) for alignment in alignments)


def tile_margin(net: Net) -> int:
    """How far a score sees beyond its own pixel, rounded up to a multiple of the largest stride."""
    stride = max_stride(net)
    outputs = _alignments(net[output] for output in net.outputs(train=False))
    field = max(max(alignment.field) for alignment in outputs)
    return ceil(field / 2 / stride) * stride


def _alignments(boxes: Iterable[Box]) -> list[Alignment]:
    found = []
    for box in boxes:
        if isinstance(box.alignment, Unaligned):
            raise ValueError(_cannot_tile(str(box.alignment)))
        found.append(box.alignment)
    return found


def _cannot_tile(reason: str) -> str:
    return (f'this image needs more memory than may be used, and this net cannot predict it in '
            f'tiles: {reason}. Use a smaller image, or window=')


# ---- Data sets

class Prediction(NamedTuple):
    """An image of a data set and its prediction. label and pred are dicts for several outputs."""

    name: str
    image: Array
    label: Array | Any
    pred: Mask | Any


def predict_all(net: Net, dataset: Dataset, **options: Any) -> Iterator[Prediction]:
    """Predict one image after another, with the options of `predict`.

    Several ranks split the images between them.

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48)).subset(['0', '1'])
    >>> net = tinyfcn.build('tiny_8s', n_class=5, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> [(name, pred.shape) for name, _, _, pred in predict_all(net, dataset)]
    [('0', (32, 48)), ('1', (32, 48))]
    """
    for i in range(len(dataset))[world().rank_slice]:
        image, label = dataset[i]
        yield Prediction(dataset.names[i], image, label, predict(net, image, **options))


def add_confusion(hists: dict[str, NDArray[np.int64]], dataset: Dataset, label: Any,
                  pred: Any) -> None:
    """Add the confusion matrix of one more image to hists, {output: (C, C)}, in place.

    >>> import tinyfcn
    >>> dataset = tinyfcn.load_dataset('shapes', split='val', n_class=2)
    >>> hists = {}
    >>> for pred in [0, 1], [1, 1]:
    ...     add_confusion(hists, dataset, label=np.array([[0, 1]]), pred=np.array([pred]))
    >>> hists['score']
    array([[1, 1],
           [0, 2]])
    """
    labels = by_output(label)
    preds = by_output(pred)
    for output, classes in by_output(dataset.classes).items():
        hist = confusion(labels[output], preds[output], len(classes))
        hists[output] = hists[output] + hist if output in hists else hist


def total_confusion(hists: Mapping[str, NDArray[np.int64]],
                    dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """The sum over all ranks, {output: (C, C)}, for every output with labels in the data set.

    >>> import tinyfcn
    >>> dataset = tinyfcn.load_dataset('shapes', split='val', n_class=2)
    >>> total_confusion({'score': np.array([[1, 1], [0, 2]])}, dataset)
    {'score': array([[1, 1],
           [0, 2]])}
    """
    total = world().all_reduce()
    for output, classes in by_output(dataset.classes).items():
        hist = hists.get(output)
        if hist is None:                    # of a rank that got no image
            hist = np.zeros([len(classes)] * 2, 'int64')
        total.add(output, hist)
    sums: dict[str, NDArray[np.int64]] = total.result()
    return sums


def evaluate(net: Net, dataset: Dataset, **options: Any) -> Scores | Any:
    """The four metrics and the IU of every class over all images, see `metrics.scores`.

    options: those of `predict`. A net with several outputs gives a dict, {output: scores}.

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48)).subset(['0', '1'])
    >>> net = tinyfcn.build('tiny_8s', n_class=5, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> sorted(evaluate(net, dataset))
    ['fw_iu', 'iu', 'mean_acc', 'mean_iu', 'pixel_acc']
    """
    hists: dict[str, NDArray[np.int64]] = {}
    for _, _, label, pred in predict_all(net, dataset, **options):
        add_confusion(hists, dataset, label, pred)
    totals = total_confusion(hists, dataset)
    return unwrap_single({output: scores(hist) for output, hist in totals.items()})
