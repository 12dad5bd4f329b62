"""The softmax loss and its gradient, pixel by pixel."""
import numpy as np

from ... import ops
from ..player import format_number
from .captions import equal_sign
from .grid import as_array, empty, make_grid, make_player, set_cells

VOID = 255


def loss(score, label):
    """Of each pixel its probabilities, its loss and its gradient.

    score (C, N), label (N,), 255 for void
    -> Player with the grids score, p, label, loss, dscore; all of a pixel stand in one column
    """
    score = as_array(score, 'score', rank=2)
    label = np.asarray(label)
    if label.shape != score.shape[1:]:
        raise ValueError(f'label has shape {label.shape}; the scores of {score.shape[1]} pixels '
                         f'need {score.shape[1:]}')
    classes = range(len(score))
    _, dscore = _loss_of(score, label)
    # the gradient of a true class is p − 1, of the others p
    p = np.stack([_loss_of(score, np.full_like(label, c))[1][c] + 1 for c in classes])

    def frame(n):
        cells = [[c, n] for c in classes]
        value, _ = _loss_of(score[:, n:n + 1], label[n:n + 1])
        written = {**set_cells(['p', 'dscore'], [p, dscore], cells), 'loss': [[0, n, float(value)]]}
        if label[n] == VOID:
            caption = f'pixel {n} is void: its loss and its gradient are 0'
        else:
            caption = (f'pixel {n}: true class {label[n]}, p = {format_number(p[label[n], n])}, '
                       f'loss = −log p = {format_number(float(value))}')
        highlight = dict.fromkeys(('score', 'p', 'dscore'), cells)
        highlight.update(dict.fromkeys(('label', 'loss'), [[0, n]]))
        true = 0 if label[n] == VOID else label[n]
        powers = [f'e^{format_number(each)}' for each in score[:, n]]
        equal = equal_sign(*score[:, n], p[true, n])
        formula = (f'p[{true},{n}] = {powers[true]} / ({" + ".join(powers)}) {equal} '
                   f'{format_number(p[true, n])}')
        return dict(formula=formula, caption=caption, set=written, highlight=highlight)

    void = [[0, int(n)] for n in np.flatnonzero(label == VOID)]
    blank = empty(*score.shape)
    grids = [make_grid('score', 'score: a row for each class', score, colours='signed'),
             make_grid('p', 'p = softmax(score)', blank, sign='→', colours='bars'),
             make_grid('label', 'label', label[None], 1, void, colours='classes'),
             make_grid('loss', 'loss = −log p of the true class', blank[:1], 1, sign='→',
                       colours='bars'),
             make_grid('dscore', 'dscore: p, less 1 at the true class', blank, 2,
                       colours='signed')]
    return make_player('The softmax loss, one pixel after the other', grids, len(label), frame,
                       dim_legend='void')


def _loss_of(score, label):
    """The loss of these pixels, and the gradient (C, N)."""
    value, dscore = ops.softmax_cross_entropy(score[None, :, None], label[None, None])
    return value, dscore[0, :, 0]
