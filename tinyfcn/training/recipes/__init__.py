"""What is trained how: a plain dict for every row of the paper's tables, and for our own sets.

Two ways to add up a loss are about, and their learning rates lie a factor of 10⁵ apart. The paper
takes the *mean* over pixels, twenty pictures a step. The reference nets take the *sum*, one picture
a step, and a momentum so heavy that it does the averaging. An lr of the one is nothing for the
other, and `recipe` refuses it.
"""
from math import isfinite

from .family import FAMILY
from .ours import OURS
from .paper import PAPER

RECIPES = {**PAPER, **FAMILY, **OURS}

# What a recipe may say, and what holds where it says nothing
PLAIN = dict(
    net=None,                           # which to build
    train=None, valid=None,             # (set, split); without valid a fifth of train is held out
    start=None,                         # whose weights it begins with: a classifier's, a recipe's
    preprocess=None,                    # of the image; None: that of the weights
    built={},                           # what build is told beside the name: width …
    loss='mean', lr=None, momentum=.9, weight_decay=5e-4, adam=False,
    rules={'*.b': dict(lr=2, decay=0)},
    loss_at=None,                       # {box: its share}, where not the outputs are learned
    class_weight=None,                  # a number for each class, or 'median': see data.pictures
    gaps=None,                          # w0 and σ: background between cells weighs more: data.cells
    poly=0.,                            # the power at which lr falls to 0; 0 leaves it
    falls=None,                         # steps after which lr falls to a tenth, again and again
    steps=None, batch=1, iter_size=1,   # pictures in an array; batches whose gradients add up
    replace=False, mirrored=False, scales=None, size=None, bent=None,       # data.batches.drawn
    every=500,                          # steps from one validation and checkpoint to the next
    aims=None, cites='')                # the scores to reach in per cent, and who says so

# the lr of a sum over some 10⁵ pixels, and of a mean over them
LARGEST_OF_SUM, SMALLEST_OF_MEAN = 1e-6, 1e-9


def recipe(name, **changes):
    """The recipe of this name, whole, with changes. -> dict with every key of PLAIN"""
    if name not in RECIPES:
        raise ValueError(f'no recipe called {name!r}; there are {", ".join(RECIPES)}')
    made = whole({**RECIPES[name], **changes}, name)
    if made['train'] is None:
        raise ValueError('train is None: a pair of set and split is needed')
    return made


def whole(recipe, name='a recipe'):
    """A recipe with every key of PLAIN, checked."""
    if strange := recipe.keys() - PLAIN.keys():
        raise ValueError(f'{name} has no {", ".join(sorted(strange))}; it has '
                         f'{", ".join(PLAIN)}')
    made = {**PLAIN, **recipe}
    for keys, (words, fits) in ASKED.items():
        for key in keys.split():
            if not fits(made[key]):
                raise ValueError(f'{key} is {made[key]!r}: {words} is needed')
    check_rate(made['loss'], made['lr'])
    return made


def _number(x):
    return isinstance(x, (int, float)) and isfinite(x)


def _pair(x, kind, least):
    return isinstance(x, (list, tuple)) and len(x) == 2 and all(
        isinstance(part, kind) and part > least for part in x)


ASKED = {
    'lr': ('a number above 0', lambda x: _number(x) and x > 0),
    'momentum weight_decay poly': ('a number from 0 on', lambda x: _number(x) and x >= 0),
    'steps batch iter_size every': ('a whole number above 0', lambda x: type(x) is int and x > 0),
    'scales': ('nothing, or a low and a high factor',
               lambda x: x is None or _pair(x, (int, float), 0)),
    'gaps': ('nothing, or a weight and a distance in pixels',
             lambda x: x is None or _pair(x, (int, float), 0)),
    'bent': ('nothing, or a number of pixels above 0', lambda x: x is None or _number(x) and x > 0),
    'falls': ('nothing, or a whole number above 0',
              lambda x: x is None or type(x) is int and x > 0),
    'built': ('a dict of what build is told', lambda x: isinstance(x, dict)),
    'loss_at': ('nothing, or a dict of boxes and their shares', lambda x: x is None or (
        isinstance(x, dict) and x and all(_number(share) and share > 0 for share in x.values()))),
    'class_weight': ("nothing, 'median' or a number above 0 for each class",
                     lambda x: x in (None, 'median') or isinstance(x, (list, tuple)) and all(
                         _number(weight) and weight > 0 for weight in x)),
    'size': ('nothing, or a pair of rows and columns', lambda x: x is None or _pair(x, int, 0)),
    'train valid': ('nothing, or a pair of set and split',
                    lambda x: x is None or isinstance(x, (list, tuple)) and len(x) == 2),
    'rules': ('a dict of patterns and their factors', lambda x: isinstance(x, dict) and
              all(isinstance(rule, dict) for rule in x.values())),
    'preprocess': ('nothing, or a dict of order, scale, mean and std',
                   lambda x: x is None or isinstance(x, dict) and
                   {*x} == {'order', 'scale', 'mean', 'std'}),
    'loss': ('sum or mean, over the pixels of a batch,', lambda x: x in ('sum', 'mean')),
}


def check_rate(loss, lr):
    """An lr is tied to how the loss is added up; a mix-up is refused, with the reason."""
    if loss == 'sum' and lr > LARGEST_OF_SUM:
        raise ValueError(f'lr {lr:g} is one of a mean loss, and this one is the sum: of 500×375 '
                         f'pixels it steps 187,500 times as far, and is nan soon. '
                         f'loss="mean", or an lr such as 1e-10 (lesson 13)')
    if loss == 'mean' and lr < SMALLEST_OF_MEAN:
        raise ValueError(f'lr {lr:g} is one of a summed loss, and this one is the mean: it would '
                         f'stand still. loss="sum", or an lr such as 1e-4 (lesson 13)')
