"""What a recipe needs before anything of it is there: memory, and about how long it takes."""
from typing import NamedTuple

from ..models import build
from ..net.summary import multiply_adds
from .freeze import frozen_weights
from .memory import input_size, step_memory_at
from .recipes import Recipe

# (height, width) of a usual image of each data set, and its number of classes. Of your own images
# only the crops of the recipe count
DATA = {
    'voc': ((375, 500), 21), 'sbd': ((375, 500), 21), 'voc_animals': ((375, 500), 7),
    'siftflow': ((256, 256), 33), 'stanford': ((240, 320), 8), 'camvid': ((360, 480), 11),
    'shapes': ((128, 160), 5), 'folder': ((1000, 1000), 5), 'nyud': ((425, 560), 40)}
# Multiply-adds a second of a training step on two cores, as benchmarks/RESULTS.md has measured them
# for FCN-SqueezeNet. Larger nets are up to half as fast again
RATE = 50e9
# the first of these in which a training ends, in seconds
TIMES = {'minutes': 3600, 'hours': 86_400, 'days': 14 * 86_400, 'weeks': 90 * 86_400}


class Needs(NamedTuple):
    """What training by a recipe takes."""
    memory: int                 # bytes: the weights, and a step on images of a usual size
    seconds: float              # on two cores


def recipe_needs(recipe: Recipe) -> Needs:
    """What a recipe needs, from its net alone; nothing is read, and no weight is drawn.

    >>> from tinyfcn.training import get_recipe
    >>> needs = recipe_needs(get_recipe('voc-fcn8s'))
    >>> round(needs.memory / 1e9), time_class(needs.seconds)
    (3, 'days')
    """
    assert recipe.net and recipe.train
    name, _ = recipe.train
    size, n_class = DATA[name.split('_')[0] if name.startswith('nyud') else name]
    net = build(recipe.net, n_class, seed=None, **recipe.net_kwargs)
    outputs = [*recipe.loss_at] if recipe.loss_at else None
    sizes = net.sizes(input_size(recipe, size), train=True, until=outputs)
    with frozen_weights(net, recipe):
        trained = net.find_grad_names(image=False)
    # backward, there are twice those of the forward pass: one time for x, and one for w
    cost = sum(multiply_adds(net, box, sizes) * (3 if box.name in trained else 1)
               for box in net.route(True, outputs))
    images = recipe.steps * recipe.iter_size * recipe.batch
    weights = sum(w.nbytes for w in net.params.values())
    return Needs(weights + step_memory_at(net, recipe, size), cost * images / RATE)


def time_class(seconds: float) -> str:
    """A time as a word, from 'minutes' to 'months'.

    >>> time_class(7200)
    'hours'
    """
    return next((word for word, limit in TIMES.items() if seconds < limit), 'months')
