"""A step of the CRF: every pixel hears all others, the more alike they are the louder."""
import numpy as np

from ...prediction import crf
from ..player import short
from .captions import at
from .grid import every, filled, grid, names, steps


def mean_field(prob, image, how):
    """One iteration, a pixel after the other: how loud it hears each, and what it then believes.

    prob (C, H, W), image (H, W, 3) uint8, how a row of crf.SETTINGS
    -> Player with the grids image (the mean of its colours), loud, p[0], q[0], p[1], q[1], …
    """
    prob, image = np.asarray(prob, 'float64'), np.asarray(image)
    after = crf.mean_field(prob, image, how, 1, exact=True)
    pairs, pixels = crf.message_passing(image, how, True, 'float64'), every(image.shape[:2])
    loud = pairs(np.eye(len(pixels))).reshape(-1, *image.shape[:2])     # to each, from all
    heard = pairs(prob.reshape(len(prob), -1).T)                        # (N, C)
    ps, qs = names('p', prob), names('q', prob)

    def frame(n):
        i, j = pixels[n]
        near = np.argwhere(loud[n] >= loud[n].mean()).tolist()
        terms = ' : '.join(f'{short(p)}·e^{short(h)}' for p, h in zip(prob[:, i, j], heard[n]))
        beliefs = ', '.join(short(q) for q in after[:, i, j])
        return dict(say=f'{at([i, j])}:  p·e^heard = {terms},  so q = {beliefs}',
                    set={**filled(['loud'], [loud[n]], pixels), **filled(qs, after, [[i, j]])},
                    lit={'image': [[i, j]], 'loud': near, **dict.fromkeys([*ps, *qs], [[i, j]])})

    blank = np.full(image.shape[:2], np.nan)
    grids = [grid('image', 'image, the mean of its colours', image.mean(2)),
             grid('loud', 'how loud each is heard', blank)]
    for c, (p, q) in enumerate(zip(ps, qs)):
        grids += [grid(p, f'class {c} before', prob[c], c + 1),
                  grid(q, f'class {c} after', blank, c + 1)]
    return steps('Mean field: each pixel hears all others', grids, len(pixels), frame)
