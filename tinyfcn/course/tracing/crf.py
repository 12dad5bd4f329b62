"""One mean field iteration of the CRF: all pixel pairs are connected, weighted by similarity."""
import numpy as np

from ...prediction import crf
from ..player import format_number
from .captions import subscript
from .grid import all_cells, empty, make_grid, make_player, set_cells


def mean_field(prob, image, settings):
    """One iteration, pixel by pixel: the weights of all others, and the new probabilities.

    prob (C, H, W), image (H, W, 3) uint8, settings a row of crf.SETTINGS
    -> Player with the grids image (the mean of its colours), weights, p[1], q[1], p[2], q[2], …:
    of all classes but 0, whose probability is what remains
    """
    prob = np.asarray(prob, 'float64')
    image = np.asarray(image)
    size = image.shape[:2]
    after = crf.mean_field(prob, image, settings, 1, exact=True)
    pairs = crf.message_passing(image, settings, True, 'float64')
    pixels = all_cells(size)
    weights = pairs(np.eye(len(pixels))).reshape(-1, *size)             # of all pixels, for each
    messages = pairs(prob.reshape(len(prob), -1).T)                     # (N, C)
    shown = range(1, len(prob))
    p_names = [f'p[{c}]' for c in shown]
    q_names = [f'q[{c}]' for c in shown]

    def frame(n):
        i, j = pixels[n]
        heavy = np.argwhere(weights[n] >= weights[n].mean()).tolist()
        products = ' : '.join(f'{format_number(p)}·e^{format_number(message)}'
                              for p, message in zip(prob[:, i, j], messages[n]))
        result = ', '.join(format_number(q) for q in after[:, i, j])
        return dict(caption=f'{subscript([i, j])}:  p·e^message = {products},  so q = {result}',
                    set={**set_cells(['weights'], [weights[n]], pixels),
                         **set_cells(q_names, after[1:], [[i, j]])},
                    highlight={'image': [[i, j]], 'weights': heavy,
                               **dict.fromkeys([*p_names, *q_names], [[i, j]])})

    colours = [['#' + bytes(pixel.tolist()).hex() for pixel in row] for row in image]
    grids = [make_grid('image', 'image, the mean of its colours', image.mean(2), colours=colours),
             make_grid('weights', 'weight of each pixel', empty(*size), colours='shade')]
    for c, p, q in zip(shown, p_names, q_names):
        grids += [make_grid(p, f'class {c} before', prob[c], c, colours='bars'),
                  make_grid(q, f'class {c} after', empty(*size), c, sign='→', colours='bars')]
    return make_player('Mean field: each pixel gets messages from all others', grids, len(pixels),
                       frame)
