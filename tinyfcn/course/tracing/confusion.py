"""Pixels dropping into the confusion matrix."""
import numpy as np

from ...metrics import confusion as count
from .captions import at
from .grid import every, filled, grid, steps

VOID = 255


def confusion(label, pred, n_class):
    """Each pixel drops into its cell, row its label and column its prediction; 255 into none.

    label, pred (H, W) whole numbers -> Player with the grids label, pred, confusion
    """
    label, pred = np.asarray(label), np.asarray(pred)
    count(label, pred, n_class)                         # refuses what is no label
    if label.ndim != 2:
        raise ValueError(f'label has shape {label.shape}; (H, W) is needed, one picture')
    places = every(label.shape)

    def after(n):
        """Of the first n pixels, in the order of rows."""
        return count(label.ravel()[:n], pred.ravel()[:n], n_class)

    def frame(n):
        place = tuple(places[n])
        true, said = int(label[place]), int(pred[place])
        lit = {'label': [places[n]], 'pred': [places[n]]}
        if true == VOID:
            return dict(say=f'label{at(place)} is void, {VOID}: the pixel counts nowhere', set={},
                        lit=lit)
        hist = after(n + 1)
        verdict = 'right' if true == said else 'wrong'
        return dict(say=f'label {true}, prediction {said}, {verdict}: '
                        f'hist{at([true, said])} = {after(n)[true, said]} + 1 '
                        f'= {hist[true, said]}',
                    set=filled(['confusion'], [hist], [[true, said]]),
                    lit={**lit, 'confusion': [[true, said]]})

    void = np.argwhere(label == VOID).tolist()
    grids = [grid('label', 'label', label, soft=void), grid('pred', 'prediction', pred, soft=void),
             grid('confusion', 'confusion: rows true, columns predicted', after(0))]
    return steps('Confusion: every pixel drops into a cell', grids, len(places), frame, soft='void')
