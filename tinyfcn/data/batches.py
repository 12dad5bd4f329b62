"""A stream of batches: which picture comes when, changed by chance, made ready for a net.

Chance is a function of (seed, position), never a running state: picture number `at` of a stream is
the same however the stream came there. To go on with a run is to begin at its position.
"""
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from zlib import crc32

import numpy as np

from .labels import VOID
from .transforms import crop, mirror, prepare, rescale
from .unet_augmentation import deform

AHEAD = 4       # batches that a thread makes ready while the net works; it never calls BLAS


def batches(pictures, preprocess, batch=1, seed=0, numbers=None, **chance):
    """Of these numbers, or all from 0 on -> names, image (N, C, H, W), label (N, H, W).

    A batch is as large as its largest picture; the others are padded right and below, the image
    with 0, which is its mean, and the label with void. `chance` is what `drawn` knows.
    """
    def make(number):
        at = range(number * batch, (number + 1) * batch)
        names, images, labels = zip(*(drawn(pictures, i, seed, **chance) for i in at))
        return names, *together([prepare(image, preprocess) for image in images], labels)

    pool, waiting = ThreadPoolExecutor(1), deque()
    try:
        for number in count() if numbers is None else numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def drawn(pictures, at, seed, replace=False, mirrored=False, scales=None, size=None, bent=None):
    """Picture number `at` of a stream, changed by chance. -> name, image, label

    replace=True draws each picture from all, as the authors do; else every one comes once before
    any comes again. mirrored: half of them; scales=(low, high): the factor; size=(h, w): a crop;
    bent: by so many pixels, as tissue bends.
    """
    i = _index(at, len(pictures), seed, replace)
    image, label = pictures[i]
    rng = _chance(seed, 'change', at)
    if scales:
        image, label = rescale(image, label, np.exp(rng.uniform(*np.log(scales))))
    if bent:
        image, label = deform(image, label, bent, rng)
    if size:
        image, label = crop(image, label, size, rng)
    if mirrored and rng.random() < .5:
        image, label = mirror(image, label)
    return pictures.names[i], image, label


def together(images, labels):
    """Images (1, C, H, W) and labels (H, W) of any sizes -> one (N, C, H, W), one (N, H, W).

    A label may be a dict by the output of the net that it is for; then so is the one of all.
    """
    h, w = (max(image.shape[axis] for image in images) for axis in (2, 3))
    image = np.concatenate([_padded(image, h, w, 0) for image in images])
    if isinstance(labels[0], dict):
        return image, {head: _stacked([label[head] for label in labels], h, w)
                       for head in labels[0]}
    return image, _stacked(labels, h, w)


def _stacked(labels, h, w):
    return np.stack([_padded(label, h, w, VOID) for label in labels])


def _padded(array, h, w, value):
    """The last two axes made h×w, by `value` on the right and below."""
    missing = [(0, 0)] * (array.ndim - 2) + [(0, h - array.shape[-2]), (0, w - array.shape[-1])]
    return np.pad(array, missing, constant_values=value) if np.any(missing) else array


def _index(at, count, seed, replace):
    if replace:
        return int(_chance(seed, 'draw', at).integers(count))
    epoch, at = divmod(at, count)
    return int(_order(count, seed, epoch)[at])


@lru_cache(2)
def _order(count, seed, epoch):
    return _chance(seed, 'order', epoch).permutation(count)


def _chance(seed, what, number):
    return np.random.default_rng((seed, crc32(what.encode()), number))
