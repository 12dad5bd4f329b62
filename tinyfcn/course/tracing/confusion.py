"""The confusion matrix, counted pixel by pixel."""
import numpy as np

from ... import metrics
from .captions import subscript
from .grid import all_cells, make_grid, make_player, set_cells

VOID = 255


def confusion(label, pred, n_class):
    """Each pixel adds 1 to a cell, its label the row and its prediction the column; 255 to none.

    label, pred (H, W) integers -> Player with the grids label, pred, confusion
    """
    label = np.asarray(label)
    pred = np.asarray(pred)
    metrics.confusion(label, pred, n_class)             # rejects values that are not labels
    if label.ndim != 2:
        raise ValueError(f'label has shape {label.shape}; (H, W) is needed, one image')
    pixels = all_cells(label.shape)

    def count_first(n):
        """The matrix of the first n pixels, row by row."""
        return metrics.confusion(label.ravel()[:n], pred.ravel()[:n], n_class)

    def frame(n):
        pixel = tuple(pixels[n])
        true = int(label[pixel])
        predicted = int(pred[pixel])
        highlight = {'label': [pixels[n]], 'pred': [pixels[n]]}
        if true == VOID:
            caption = f'label{subscript(pixel)} is void, {VOID}: the pixel is not counted'
            return dict(caption=caption, set={}, highlight=highlight)
        before = count_first(n)
        after = count_first(n + 1)
        outcome = 'correct' if true == predicted else 'wrong'
        cell = true, predicted
        return dict(caption=f'label {true}, prediction {predicted}, {outcome}: '
                            f'hist{subscript(cell)} = {before[cell]} + 1 = {after[cell]}',
                    set=set_cells(['confusion'], [after], [cell]),
                    highlight={**highlight, 'confusion': [[true, predicted]]})

    void = np.argwhere(label == VOID).tolist()
    title = 'confusion: a row for each label, a column for each prediction'
    grids = [make_grid('label', 'label', label, dim=void, colours='classes'),
             make_grid('pred', 'prediction', pred, dim=void, colours='classes'),
             make_grid('confusion', title, count_first(0), sign='→', colours='shade')]
    return make_player('Confusion matrix: every pixel is counted in one cell', grids, len(pixels),
                       frame, dim_legend='void')
