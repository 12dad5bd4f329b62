"""A few steps of a training and one validation: their time and their memory on this machine."""
from contextlib import closing
from dataclasses import replace
from itertools import islice
from math import ceil, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from ..data.batches import PREFETCH
from ..data.dataset import Dataset
from ..net import Net
from ..runtime.machine import peak_memory
from .loop import make_optimizer, train
from .memory import SAMPLED, Size, image_sizes
from .recipes import Recipe
from .run import run
from .validation import validate

SECONDS = 5             # for the steps that are timed
STEPS = 2, 40           # that are timed, at least and at most
IMAGES = 64             # to train on, at most
VALID_PIXELS = 1 << 21  # to validate, with no more images than
VALID_IMAGES = 8
TINY_LR = 1e-9          # for random weights, which a higher rate may let diverge


class Trial(NamedTuple):
    """What a step and a validation take."""
    step: float                 # seconds
    image: float                # seconds for each validation image
    validation: float           # seconds of a validation besides: checkpoints, pictures
    memory: int                 # bytes that the whole process has taken at most

    def seconds(self, recipe: Recipe, n_valid: int) -> float:
        """The time of a training with n_valid validation images."""
        validations = ceil(recipe.steps / recipe.validate_every)
        return recipe.steps * self.step + validations * (self.validation + n_valid * self.image)


def try_steps(net: Net, dataset: Dataset, valid: Dataset, recipe: Recipe,
              seconds: float = SECONDS) -> Trial:
    """Train for some seconds, and write a run with two validations into a temporary folder.

    What comes before the second half of that run, such as compiling kernels, is not counted. It is
    the memory of the process that is measured: the largest images are among those that are read,
    and nothing else should be done in this process before.

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(32, 48)).subset('0123')
    >>> net = tinyfcn.build('tiny_8s', len(dataset.classes), width=1/8)
    >>> trial = try_steps(net, dataset, dataset, tinyfcn.training.get_recipe('shapes-8s'), .01)
    >>> 0 < trial.step < 1
    True
    """
    dataset = subset_with_largest(dataset, IMAGES)
    _, size = largest_image(valid)
    valid = subset_with_largest(valid, max(1, min(VALID_IMAGES, VALID_PIXELS // prod(size))))
    if recipe.loss == 'mean':
        recipe = replace(recipe, lr=TINY_LR)
    fewest, most = STEPS
    timed = max(fewest, min(most, round(seconds / second_step(net, dataset, recipe))))
    # of these steps the batches are prepared already when the first validation ends
    ready = 1 + ceil(PREFETCH / recipe.iter_size)
    half = ready + timed + 1
    recipe = replace(recipe, steps=2 * half + 1, validate_every=half, patience=None)
    with TemporaryDirectory() as folder:
        rows = run(Path(folder) / 'run', net, dataset, valid, recipe)
        with closing(rows):
            ends = [perf_counter() for row in islice(rows, 2 * half + 1) if 'loss' in row]
    *_, last, validated = ends                          # the last step is followed by a validation
    step = (last - ends[half + ready - 1]) / timed
    began = perf_counter()
    validate(net, valid)
    image = (perf_counter() - began) / len(valid)
    validation = max(0., validated - last - step - image * len(valid))
    return Trial(step, image, validation, peak_memory())


def second_step(net: Net, dataset: Dataset, recipe: Recipe) -> float:
    """The seconds of a step, after one in which kernels may be compiled."""
    with closing(train(net, dataset, recipe, make_optimizer(recipe))) as rows:
        next(rows)
        began = perf_counter()
        next(rows)
        return perf_counter() - began


def subset_with_largest(dataset: Dataset, count: int) -> Dataset:
    """`count` images, spread evenly, the largest one among them."""
    largest, _ = largest_image(dataset)
    spread = dataset.names[::ceil(len(dataset) / count)]
    return dataset.subset([*dict.fromkeys([largest, *spread])][:count])


def largest_image(dataset: Dataset) -> tuple[str, Size]:
    """The name and the size of the image with the most pixels, of some hundred of them."""
    names = dataset.names[::1 + len(dataset) // SAMPLED]
    sizes = {name: next(image_sizes(dataset.subset([name])), (1, 1)) for name in names}
    largest = max(sizes, key=lambda name: prod(sizes[name]))
    return largest, sizes[largest]
