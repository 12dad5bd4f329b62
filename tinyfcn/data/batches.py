"""A stream of batches: images in random order, augmented, and prepared for a net.

Randomness is a function of (seed, position) and never a running state: sample number `position` is
the same wherever the stream starts. So a run resumes by starting at its position.
"""
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..runtime.threads import HAS_THREADS
from .augment import augment
from .dataset import Dataset
from .labels import VOID, Array, Label, by_output
from .rare_classes import draw_for_class
from .transforms import prepare

# how many batches a thread prepares while the net computes. The thread never calls BLAS
PREFETCH = 4


class Sample(NamedTuple):
    """An image (H, W, C), its label (H, W) or {output: (H, W)}, and its name."""

    name: str
    image: Array
    label: Label


class Batch(NamedTuple):
    """Images (N, C, H, W), their labels (N, H, W) or {output: (N, H, W)}, and their names."""

    names: tuple[str, ...]
    image: Array
    label: Label


def batches(dataset: Dataset, preprocess: Mapping[str, Any], batch: int = 1, seed: int = 0,
            numbers: Iterable[int] | None = None, **options: Any) -> Generator[Batch, None, None]:
    """Batches of `batch` images: those with these numbers, or all from 0 on, without an end.

    The options are those of `sample`. A batch is as large as its largest image; `collate` pads the
    others.
    """
    def make(number: int) -> Batch:
        positions = range(number * batch, (number + 1) * batch)
        samples = [sample(dataset, position, seed, **options) for position in positions]
        image, label = collate([prepare(one.image, preprocess) for one in samples],
                               [one.label for one in samples])
        return Batch(tuple(one.name for one in samples), image, label)

    numbers = count() if numbers is None else numbers
    if not HAS_THREADS:
        yield from map(make, numbers)
        return
    pool = ThreadPoolExecutor(1)
    pending: deque[Future[Batch]] = deque()
    try:
        for number in numbers:
            pending.append(pool.submit(make, number))
            if len(pending) > PREFETCH:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def sample(dataset: Dataset, position: int, seed: int, replace: bool = False,
           rare_classes: float | None = None, **augmentation: Any) -> Sample:
    """Sample number `position` of the stream. The augmentation is that of `augment`.

    replace=True draws each image from the whole data set, as the paper's code does. Otherwise the
    order is shuffled in each epoch, and every image comes once in it.
    rare_classes: this share of the images is drawn in another way: first a class, each as often as
    any other, and then an image that has it. Where images are cropped, the crop has it too.
    """
    i = _index(position, len(dataset), seed, replace)
    crop_near = None
    rng = _rng(seed, 'class', position)
    if rare_classes and rng.random() < rare_classes:
        i, crop_near = draw_for_class(dataset, rng) or (i, None)
    image, label = dataset[i]
    if augmentation.get('colour') and not dataset.channels.has_colours:
        brightness, contrast, *_ = augmentation['colour']
        augmentation['colour'] = brightness, contrast, 0, 0     # no saturation, no hue
    image, label = augment(image, label, _rng(seed, 'change', position), crop_near=crop_near,
                           **augmentation)
    return Sample(dataset.names[i], image, label)


def collate(images: Sequence[Array], labels: Sequence[Label]) -> tuple[Array, Label]:
    """Images (1, C, H, W) and labels (H, W) of any sizes -> one (N, C, H, W), one (N, H, W).

    Smaller ones are padded on the right and below: the image with 0, which is its mean, and the
    label with void. Labels may be dicts by output; the result then is such a dict.
    """
    h, w = (max(image.shape[axis] for image in images) for axis in (2, 3))
    image = np.concatenate([_pad_to(image, h, w, 0) for image in images])
    stacked = {output: _stack_labels([by_output(label)[output] for label in labels], h, w)
               for output in by_output(labels[0])}
    return image, stacked if isinstance(labels[0], dict) else stacked['score']


def _stack_labels(labels: list[Array], h: int, w: int) -> Array:
    return np.stack([_pad_to(label, h, w, VOID) for label in labels])


def _pad_to(array: Array, h: int, w: int, value: int) -> Array:
    """Pad the last two axes to h×w, with `value` on the right and below."""
    missing = [(0, 0)] * (array.ndim - 2) + [(0, h - array.shape[-2]), (0, w - array.shape[-1])]
    if not np.any(missing):
        return array
    return np.pad(array, missing, constant_values=value)


def _index(position: int, count: int, seed: int, replace: bool) -> int:
    """Which of `count` images comes at this position."""
    if replace:
        return int(_rng(seed, 'draw', position).integers(count))
    epoch, position = divmod(position, count)
    return int(_epoch_order(count, seed, epoch)[position])


@lru_cache(2)                           # a batch may lie in two epochs
def _epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return _rng(seed, 'order', epoch).permutation(count)


def _rng(seed: int, stream: str, number: int) -> np.random.Generator:
    return np.random.default_rng((seed, crc32(stream.encode()), number))
