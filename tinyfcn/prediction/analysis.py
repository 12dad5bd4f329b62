"""Where a net is wrong on a data set: confusion matrices by cause and by distance from a border."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..data.ceiling import through_cells
from ..data.dataset import Dataset
from ..data.labels import VOID, Array, by_output
from ..data.transforms import rescale
from ..metrics import Scores
from ..net.net import Net
from ..runtime.distributed import world
from ..viz.images import as_colours
from .anatomy import (
    N_CAUSES,
    border_distance,
    find_causes,
    object_sizes,
    stride_in_image,
)
from .evaluation import Prediction, predict_all
from .predict import unwrap_single

SMALL = 32 ** 2         # COCO's limit: an object of fewer pixels is small,
MEDIUM = 9              # and one of less than 9 times as many is medium
BORDER = 5              # pixels: what is nearer to a border is near it
FARTHEST = 40           # pixels: errors up to here are counted by their distance from a border

WORST = 8               # images that are kept to be shown: those with the lowest mean IU,
BEST = 4                # and those with the highest
SHOWN_SIDE = 360        # pixels of their longer side

Counts = NDArray[np.int64]


class CauseShare(NamedTuple):
    """What one cause of errors costs."""
    pixels: int             # wrong for this cause
    share: float            # of all wrong pixels
    gain: float             # of mean IU, if these were right, too, once all causes before it are
    mean_iu: float          # then


class Band(NamedTuple):
    """The pixels that are not farther than `distance` from a border."""
    distance: int
    pixels: float           # their share of all pixels
    errors: float           # the share of all errors that they have
    pixel_acc: float        # of these pixels alone
    mean_iu: float


class PairShare(NamedTuple):
    """The pixels of one class that were taken for another."""
    true: int
    pred: int
    pixels: int
    share: float            # of all wrong pixels
    by_cause: list[int]     # pixels


class SizeShare(NamedTuple):
    """The objects of some sizes: how many there are, and the share of their pixels that is right.
    """
    objects: int
    pixels: int
    accuracy: float


class ImageScore(NamedTuple):
    """The errors in one image."""
    name: str
    mean_iu: float          # of the classes that the image or its prediction has
    wrong: float            # share of its pixels


class ShownImage(NamedTuple):
    """An image that a report shows, reduced."""
    score: ImageScore
    image: NDArray[np.uint8]            # (h, w, 3)
    label: Array                        # (h, w)
    pred: Array
    causes: Array                       # as of `find_causes`


class ErrorAnalysis:
    """The confusion matrix of a data set, and its parts: the errors by their cause, and all pixels
    by their distance from a border and by the size of their object.

    Each part is a confusion matrix, and they add up to the whole: confusion == by_distance.sum(0)
    == by_size.sum(0), and off its diagonal == by_cause.sum(0).

    >>> analysis = ErrorAnalysis(['sky', 'tree'])
    >>> label = np.zeros((8, 8), 'uint8')
    >>> label[:, 4:] = 1
    >>> analysis.add('one', np.zeros((8, 8, 3), 'uint8'), label, pred=0 * label)
    >>> analysis.confusion.tolist(), analysis.scores['pixel_acc']
    ([[32, 0], [32, 0]], 0.5)
    >>> [cause.pixels for cause in analysis.causes()]        # stride, small, border, classes
    [0, 32, 0, 0]
    """

    def __init__(self, classes: Sequence[str],
                 colours: Mapping[str, Sequence[int]] | None = None,
                 small: int = SMALL, border: int = BORDER) -> None:
        self.classes = tuple(classes)
        self.colours = dict(colours or {})
        self.small = small
        self.border = border
        n = len(self.classes)
        self.by_cause: Counts = np.zeros((N_CAUSES, n, n), 'int64')
        self.by_distance: Counts = np.zeros((FARTHEST + 1, n, n), 'int64')  # the last: farther
        self.by_size: Counts = np.zeros((3, n, n), 'int64')                 # small, medium, large
        self.ceiling: Counts = np.zeros((n, n), 'int64')    # of labels at the stride of the scores
        self.objects = np.zeros(3)
        self.void = 0                                   # pixels, which are not evaluated
        self.strides: set[int] = set()
        self.images: list[ImageScore] = []
        self.shown: list[ShownImage] = []

    def add(self, name: str, image: Array, label: Array, pred: Array, stride: int = 1) -> None:
        """Add the prediction for one image.   image (H, W, C); label, pred (H, W)

        stride: that of the scores, in pixels of the image
        """
        n = len(self.classes)
        hist = metrics.confusion(label, pred, n)        # raises where a class is out of range
        distance = border_distance(label)
        pixels = object_sizes(label)                    # of the object of each pixel
        ceiling = through_cells(label, stride) if stride > 1 else label
        causes = find_causes(label, pred, ceiling, pixels < self.small, distance <= self.border)
        known = label != VOID
        pair = n * label[known].astype('int32') + pred[known]

        def count(part: Array, parts: int) -> Counts:
            """Confusion matrices, one for each of so many parts, which `part` numbers."""
            counts: Counts = np.bincount(n * n * part.astype('int32') + pair,
                                         minlength=parts * n * n)
            return counts.reshape(parts, n, n)

        self.by_cause += count(causes[known].clip(max=N_CAUSES), N_CAUSES + 1)[:N_CAUSES]
        self.by_distance += count(np.ceil(distance[known].clip(max=FARTHEST + 1)) - 1,
                                  FARTHEST + 1)
        size = np.digitize(pixels[known], [self.small, MEDIUM * self.small])
        self.by_size += count(size, 3)
        self.objects += np.bincount(size, 1 / pixels[known], minlength=3)
        self.ceiling += metrics.confusion(label, ceiling, n)
        self.void += label.size - len(pair)
        self.strides.add(stride)

        mean_iu = metrics.scores(hist)['mean_iu']
        if not np.isnan(mean_iu):                       # not all void
            wrong = 1 - hist.trace() / hist.sum()
            self._keep(ImageScore(name, mean_iu, wrong), image, label, pred, causes)

    def _keep(self, score: ImageScore, image: Array, *maps: Array) -> None:
        """Keep the image to be shown, if it is among the worst or the best so far."""
        self.images.append(score)
        if score in self._choose([*(each.score for each in self.shown), score]):
            reduced, small_maps = _reduce(image, maps)
            self._show([ShownImage(score, reduced, *small_maps)])

    def _show(self, images: Iterable[ShownImage]) -> None:
        """Add images to those that are shown, and keep the worst and the best of all."""
        shown = [*self.shown, *images]
        chosen = self._choose(each.score for each in shown)
        self.shown = [each for each in shown if each.score in chosen]

    def _choose(self, scores: Iterable[ImageScore]) -> list[ImageScore]:
        ranked = sorted(scores, key=_mean_iu)
        return ranked[:WORST] + ranked[WORST:][-BEST:]

    def merge(self, other: 'ErrorAnalysis') -> None:
        """Add what another analysis has counted on other images."""
        self.by_cause += other.by_cause
        self.by_distance += other.by_distance
        self.by_size += other.by_size
        self.ceiling += other.ceiling
        self.objects += other.objects
        self.void += other.void
        self.strides |= other.strides
        self.images += other.images
        self._show(other.shown)

    # ---- what follows from the counts ------------------------------------------------------------

    @property
    def confusion(self) -> Counts:
        """hist[i, j] = how many pixels of class i are predicted to be of class j."""
        hist: Counts = self.by_distance.sum(0)
        return hist

    @property
    def scores(self) -> Scores:
        """The four metrics and the IU of every class."""
        return metrics.scores(self.confusion)

    def causes(self) -> list[CauseShare]:
        """What each cause costs, in the order in which a wrong pixel is tried for them.

        Every wrong pixel has one cause, so the pixels add up to all wrong ones; and correcting them
        cause after cause ends at a mean IU of 1, so the gains add up to what is missing from it.
        """
        hist = self.confusion
        n_wrong = self.by_cause.sum()
        before = metrics.scores(hist)['mean_iu']
        shares = []
        for wrong in self.by_cause:
            hist = hist - wrong + np.diag(wrong.sum(1))
            mean_iu = metrics.scores(hist)['mean_iu']
            pixels = int(wrong.sum())
            shares.append(CauseShare(pixels, float(pixels / max(1, n_wrong)), mean_iu - before,
                                     mean_iu))
            before = mean_iu
        return shares

    def bands(self) -> list[Band]:
        """The pixels within 1, 2, … FARTHEST pixels of a border: the trimap curve."""
        within = self.by_distance.cumsum(0)[:FARTHEST]
        n_pixels = self.by_distance.sum()
        n_wrong = self.by_cause.sum()
        bands = []
        for distance, hist in enumerate(within, start=1):
            if hist.any():
                scores = metrics.scores(hist)
                wrong = hist.sum() - hist.trace()
                bands.append(Band(distance, float(hist.sum() / n_pixels),
                                  float(wrong / max(1, n_wrong)), scores['pixel_acc'],
                                  scores['mean_iu']))
        return bands

    def pairs(self) -> list[PairShare]:
        """The classes that are taken for each other, the most pixels first."""
        wrong = self.by_cause.sum(0)
        n_wrong = max(1, wrong.sum())
        order = np.argsort(-wrong, axis=None, kind='stable')[:np.count_nonzero(wrong)]
        pairs = []
        for true, pred in zip(*np.unravel_index(order, wrong.shape)):
            pairs.append(PairShare(int(true), int(pred), int(wrong[true, pred]),
                                   float(wrong[true, pred] / n_wrong),
                                   self.by_cause[:, true, pred].tolist()))
        return pairs

    def sizes(self) -> list[SizeShare]:
        """Small, medium and large objects."""
        shares = []
        for count, hist in zip(self.objects, self.by_size):
            shares.append(SizeShare(round(count), int(hist.sum()),
                                    metrics.scores(hist)['pixel_acc']))
        return shares

    def worst(self) -> list[ShownImage]:
        """The images with the lowest mean IU, the lowest first."""
        return self._ranked()[:WORST]

    def best(self) -> list[ShownImage]:
        """The images with the highest mean IU that are not among the worst, the highest first."""
        return self._ranked()[WORST:][::-1]

    def _ranked(self) -> list[ShownImage]:
        return sorted(self.shown, key=lambda each: _mean_iu(each.score))


def _mean_iu(score: ImageScore) -> float:
    return score.mean_iu


def _reduce(image: Array, maps: Sequence[Array]) -> tuple[NDArray[np.uint8], list[Array]]:
    """An image and its maps as they are shown: in colours, and at most SHOWN_SIDE pixels long."""
    pixels = as_colours(image)
    numbered: Any = {str(i): each for i, each in enumerate(maps)}
    longest = max(image.shape[:2])
    if longest > SHOWN_SIDE:
        pixels, numbered = rescale(pixels, numbered, SHOWN_SIDE / longest)
    return pixels, list(numbered.values())


# ---- of a whole data set -------------------------------------------------------------------------

def analyse_errors(net: Net, dataset: Dataset, small: int = SMALL, border: int = BORDER,
                   **options: Any) -> ErrorAnalysis | Any:
    """Why the predictions of a net on a data set are wrong: see `ErrorAnalysis`.

    small: objects of fewer pixels are small. border: pixels up to this distance from a border are
    near it. options: those of `predict`. A net with several outputs gives a dict by output.

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48)).subset(['0', '1'])
    >>> net = tinyfcn.build('tiny_8s', n_class=5, width=1/8)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> analysis = analyse_errors(net, dataset)
    >>> int(analysis.confusion.sum()), analysis.strides
    (2425, {8})
    """
    analyses = begin_analyses(dataset, small, border)
    for prediction in predict_all(net, dataset, **options):
        add_errors(analyses, net, prediction, options)
    return unwrap_single(total_analyses(analyses))


def begin_analyses(dataset: Dataset, small: int = SMALL,
                   border: int = BORDER) -> dict[str, ErrorAnalysis]:
    """An analysis without images for each output that has labels."""
    return {output: ErrorAnalysis(classes, dataset.colours, small, border)
            for output, classes in by_output(dataset.classes).items()}


def add_errors(analyses: Mapping[str, ErrorAnalysis], net: Net, prediction: Prediction,
               options: Mapping[str, Any]) -> None:
    """Add one more image to the analyses, in place.   options: those of `predict`"""
    name, image, label, pred = prediction
    labels = by_output(label)
    preds = by_output(pred)
    for output, analysis in analyses.items():
        stride = stride_in_image(net, output, image.shape[:2], options.get('scales'),
                                 options.get('longest'))
        analysis.add(name, image, labels[output], preds[output], stride)


def total_analyses(analyses: dict[str, ErrorAnalysis]) -> dict[str, ErrorAnalysis]:
    """The analyses of the images of all ranks."""
    first, *others = world().all_gather(analyses)
    for other in others:
        for output, analysis in first.items():
            analysis.merge(other[output])
    total: dict[str, ErrorAnalysis] = first
    return total
