"""U-Net's two ways to learn from few images of many touching cells (Ronneberger et al. 2015).

Each image is deformed elastically, differently each time. And the background between two cells, a
few pixels that the loss would hardly notice, weighs more.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .labels import VOID, Array

NODES = 3, 3        # of the displacement
# times σ: a cell farther away adds less than 2e-8 of w0, which float32 loses beside w_c
MAX_DISTANCE = 6


class CellDistances(NamedTuple):
    """Of each pixel, the distance to the nearest cell and to the second nearest, (H, W) each."""

    nearest: NDArray[np.float64]
    second: NDArray[np.float64]


def elastic_displacement(shape: Sequence[int], sigma: float,
                         rng: np.random.Generator) -> NDArray[np.float32]:
    """u: N(0, σ²) pixels at 3×3 nodes and along both axes, bicubic in between. -> (2, H, W)"""
    from PIL import Image
    h, w = shape[:2]
    nodes = rng.normal(0, sigma, (2, *NODES)).astype('float32')
    return np.array([Image.fromarray(axis).resize((w, h), Image.Resampling.BICUBIC)
                     for axis in nodes])


def border_weights(label: Array, w0: float, sigma: float,
                   class_weight: Sequence[float] | Array | None = None) -> NDArray[np.float32]:
    """w = w_c + w0·exp(−(d1 + d2)² / 2σ²) for background between two cells, else w = w_c.

    label (N, H, W), class_weight (C,), or 1 for each class -> (N, H, W) float32
    A cell is a connected region of any class but 0, the background; void is neither. d1 and d2 are
    the distances to the nearest and the second nearest cell; with fewer than two cells, w = w_c.
    """
    of_class = np.ones(VOID) if class_weight is None else np.asarray(class_weight)
    weight = of_class[np.where(label == VOID, 0, label)]
    for own, whole in zip(weight, label):
        nearest, second = cell_distances(whole, MAX_DISTANCE * sigma)
        own += (whole == 0) * w0 * np.exp(-(nearest + second) ** 2 / (2 * sigma ** 2))
    return weight.astype('float32')


def cell_distances(label: Array, limit: float) -> CellDistances:
    """The distances of each pixel to the nearest two cells; inf where they exceed `limit`.

    label (H, W)
    """
    from scipy.ndimage import distance_transform_edt, find_objects, label as connected_regions
    cells, _ = connected_regions((label != 0) & (label != VOID))
    nearest = np.full(label.shape, np.inf)
    second = np.full(label.shape, np.inf)
    margin = int(limit)
    for number, box in enumerate(find_objects(cells), start=1):
        around = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        d = distance_transform_edt(cells[around] != number)
        first = nearest[around]
        second[around] = np.minimum(second[around], np.maximum(first, d))
        nearest[around] = np.minimum(first, d)
    return CellDistances(nearest, second)
