"""How exactly scores at a stride can describe a label: the paper's upper bound on mean IU."""
import numpy as np

from .labels import VOID, Array


def through_cells(label: Array, stride: int) -> Array:
    """A label (H, W), downsampled to cells of stride × stride pixels and upsampled again.

    Of the ways to resample in benchmarks/upper_bound.py, this one is the nearest to the paper's
    table of upper bounds.

    A cell has the commonest class of its pixels, and each pixel the class with the most weight
    among the bilinear weights of the four cells around it. Of equal classes the first is taken.
    Void does not count: a cell of void alone has no weight, and void pixels stay void.

    >>> label = np.array([[0, 0, 1, 1],
    ...                   [0, 2, 1, 1]])
    >>> through_cells(label, 2)
    array([[0, 0, 1, 1],
           [0, 0, 1, 1]])
    """
    cells = commonest_classes(label, stride)
    rows, row_weights = _nearest_cells(label.shape[0], stride)
    columns, column_weights = _nearest_cells(label.shape[1], stride)
    # the first axis is that of the four cells: above left, above right, below left, below right
    near = np.stack([cells[row][:, column] for row in rows for column in columns])
    result: Array = near[0]
    mixed = (near != result).any(0)
    weights = np.stack([np.multiply.outer(row, column)[mixed]
                        for row in row_weights for column in column_weights])
    result[mixed] = _heaviest(near[:, mixed], weights)
    result[label == VOID] = VOID
    return result


def commonest_classes(label: Array, stride: int) -> Array:
    """The commonest class in each cell of a label (H, W), void where all of a cell is void.

    -> (⌈H / stride⌉, ⌈W / stride⌉), in the dtype of the label
    """
    h, w = (-(-n // stride) for n in label.shape)
    row, column = (np.arange(n) // stride for n in label.shape)
    classes, numbers = np.unique(label, return_inverse=True)
    cell = (row[:, None] * w + column).ravel()
    counts = np.bincount(cell * len(classes) + numbers.ravel(), minlength=h * w * len(classes))
    counts = counts.reshape(h * w, len(classes))
    if classes[-1] == VOID:
        counts[:, -1] = counts[:, :-1].sum(1) == 0
    commonest: Array = classes[counts.argmax(1)].reshape(h, w)
    return commonest


def _nearest_cells(n: int, stride: int) -> tuple[Array, Array]:
    """For each of n pixels, the cells before and after it, and their bilinear weights.

    The middle of cell i is at pixel stride · i + (stride − 1) / 2. The weights are in units of
    1 / (2 · stride), and so whole numbers.   -> (2, n), (2, n)
    """
    before, after = np.divmod(2 * np.arange(n) + 1 - stride, 2 * stride)
    last = (n - 1) // stride
    return np.stack([before, before + 1]).clip(0, last), np.stack([2 * stride - after, after])


def _heaviest(classes: Array, weights: Array) -> Array:
    """The class with the most weight in each column.   (4, n), (4, n) -> (n)"""
    weights = np.where(classes == VOID, 0, weights)
    totals = [np.where(classes == own, weights, 0).sum(0) for own in classes]
    # the first of equal classes: less than a unit of weight tells them apart
    order = np.stack(totals) * (VOID + 1) - classes.astype('int64')
    heaviest: Array = classes[order.argmax(0), np.arange(classes.shape[1])]
    return heaviest
