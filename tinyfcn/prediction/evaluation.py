"""The predictions of a net on a data set, and their metrics."""
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.channels import RGB
from ..data.dataset import Dataset, require_dataset
from ..data.labels import Array, by_output
from ..metrics import Scores, confusion, scores
from ..net.net import Net
from ..runtime.distributed import world
from .predict import Mask, channels_of, predict, unwrap_single


class Prediction(NamedTuple):
    """An image of a data set and its prediction. label and pred are dicts for several outputs."""

    name: str
    image: Array                    # (H, W, C)
    label: Array | Any              # (H, W)
    pred: Mask | Any                # (H, W)


def predict_all(net: Net, dataset: Dataset, **options: Any) -> Iterator[Prediction]:
    """Predict one image after another, with the options of `predict`.

    Under MPI the ranks split the images between them.

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48)).subset(['0', '1'])
    >>> net = tinyfcn.build('tiny_8s', n_class=5, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> [(name, pred.shape) for name, _, _, pred in predict_all(net, dataset)]
    [('0', (32, 48)), ('1', (32, 48))]
    """
    require_dataset(dataset)
    require_channels(net, dataset)
    for i in range(len(dataset))[world().rank_slice]:
        image, label = dataset[i]
        yield Prediction(dataset.names[i], image, label, predict(net, image, **options))


def require_channels(net: Net, dataset: Dataset) -> None:
    """Raise if a net was trained on other channels than those of these images."""
    known = net.about.get('channels')
    if known is None and dataset.channels == RGB:
        return
    trained_on = channels_of(net)
    if (trained_on.in_order, trained_on.dtype) != (dataset.channels.in_order,
                                                   dataset.channels.dtype):
        raise ValueError(f'the net was trained on {trained_on}, and the images have '
                         f'{dataset.channels}: give it images of the same channels, which '
                         f'channels.txt may name')


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
        hists[output] = hists.get(output, 0) + hist


def total_confusion(hists: Mapping[str, NDArray[np.int64]],
                    dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """The sum over all ranks, {output: (C, C)}, for every output with labels in the data set.

    >>> import tinyfcn
    >>> dataset = tinyfcn.load_dataset('shapes', split='val', n_class=2)
    >>> total_confusion({'score': np.array([[1, 1], [0, 2]])}, dataset)
    {'score': array([[1, 1],
           [0, 2]])}
    """
    over_ranks = world().begin_all_reduce()
    for output, classes in by_output(dataset.classes).items():
        hist = hists.get(output)
        if hist is None:                    # of a rank that got no image
            hist = np.zeros([len(classes)] * 2, 'int64')
        over_ranks.add(output, hist)
    sums: dict[str, NDArray[np.int64]] = over_ranks.result()
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
