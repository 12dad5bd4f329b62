"""A few steps of a training and one validation: their time and their memory on this machine."""
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from math import ceil, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from ..data.dataset import Dataset
from ..net import Net
from ..runtime.machine import peak_memory
from .loop import make_optimizer, train
from .memory import SAMPLED, Size, image_sizes
from .recipes import Recipe
from .run import Row, run
from .validation import validate

SECONDS = 6             # for the steps of a trial
STEPS = 5, 40           # at least, and at most
WARM_UP = 2             # steps, in which kernels are compiled and the first batches prepared
IMAGES = 64             # to train on, at most
VALID_PIXELS = 1 << 21  # to validate, with no more images than
VALID_IMAGES = 8
TINY_LR = 1e-9          # for random weights, which a higher rate may let diverge


class Trial(NamedTuple):
    """What a step and a validation take."""
    step: float                 # seconds
    image: float                # seconds for each validation image
    validation: float           # seconds of a validation besides: checkpoints, pictures
    start: float                # seconds of the first steps besides
    memory: int                 # bytes that the whole process has taken at most

    def seconds(self, recipe: Recipe, n_valid: int) -> float:
        """The time of a training with n_valid validation images."""
        validations = ceil(recipe.steps / recipe.validate_every)
        return (self.start + recipe.steps * self.step
                + validations * (self.validation + n_valid * self.image))


def try_steps(net: Net, dataset: Dataset, valid: Dataset, recipe: Recipe,
              seconds: float = SECONDS) -> Trial:
    """Train for about so many seconds, validate once, and write a run into a temporary folder.

    It is the memory of the process that is measured. So the largest of the images are among those
    that are read, and nothing else should be done in this process before.

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
    began = perf_counter()
    with closing(train(net, dataset, recipe, make_optimizer(recipe))) as rows:
        for _ in islice(rows, WARM_UP):
            pass
        first_steps = perf_counter() - began
        began = perf_counter()
        next(rows)
        step = perf_counter() - began
    fewest, most = STEPS
    steps = max(fewest, min(most, round(seconds / step))) + WARM_UP
    recipe = replace(recipe, steps=max(recipe.steps, steps + 1), validate_every=steps)
    with TemporaryDirectory() as folder:
        marks = timed_rows(run(Path(folder) / 'run', net, dataset, valid, recipe), steps)
    step = (marks[-2] - marks[WARM_UP - 1]) / (steps - 1 - WARM_UP)
    began = perf_counter()
    validate(net, valid)
    image = (perf_counter() - began) / len(valid)
    validation = max(0., marks[-1] - marks[-2] - step - image * len(valid))
    return Trial(step, image, validation, max(0., first_steps - WARM_UP * step), peak_memory())


def timed_rows(rows: Generator[Row, None, None], steps: int) -> list[float]:
    """When each of the first `steps` rows of a run came."""
    with closing(rows):
        return [perf_counter() for _ in islice(rows, steps)]


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
