"""The objects in a label: connected parts of one class, their sizes, and what is thin."""
import numpy as np

from .labels import VOID, Array


def object_areas(label: Array) -> dict[int, Array]:
    """The pixels of each object, the largest first.   (H, W) -> {class: (objects)}

    Pixels of a class that touch, also at a corner, are one object.

    >>> label = np.array([[1, 0, 0, 2],
    ...                   [0, 1, 0, 2]])
    >>> {number: areas.tolist() for number, areas in object_areas(label).items()}
    {0: [4], 1: [2], 2: [2]}
    """
    from scipy.ndimage import label as number_parts
    areas = {}
    for class_number in np.unique(label[label != VOID]).tolist():
        parts, _ = number_parts(label == class_number, np.ones((3, 3)))
        areas[class_number] = np.sort(np.bincount(parts.ravel())[1:])[::-1]
    return areas


def thin_pixels(label: Array, width: int) -> Array:
    """Where no square of width × width pixels of one class fits.   (H, W) -> (H, W) bool

    Void may be any class, and the pixels at the border of the image go on outside; void itself is
    not thin.

    >>> thin_pixels(np.array([[0, 0, 1, 0, 0],
    ...                       [0, 0, 1, 0, 0]]), 2)[0]
    array([False, False,  True, False, False])
    """
    from scipy.ndimage import maximum_filter, minimum_filter
    outside = np.pad(label, width, mode='edge')
    known = outside != VOID
    lowest = minimum_filter(np.where(known, outside, VOID), width)
    highest = maximum_filter(np.where(known, outside.astype('int16'), -1), width)
    # the window of an even width has one more pixel above and to the left of its middle; seen from
    # a pixel, the middles of the windows that have it are on the other side
    covered = maximum_filter(lowest == highest, width, origin=-1 if width % 2 == 0 else 0)
    thin: Array = (known & ~covered)[width:-width, width:-width]
    return thin
