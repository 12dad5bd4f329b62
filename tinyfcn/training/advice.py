"""Which net, recipe and settings suit a data set, from the statistics of its labels."""
import re
from collections.abc import Iterator
from math import ceil
from typing import Any, NamedTuple

from ..data.statistics import STRIDES, LabelStatistics
from ..files import printable
from ..metrics import scores
from ..models import NETS
from .recipes import RECIPES, Recipe, get_recipe

# A finer stride is advised if it raises the ceiling of mean IU by so much. Six skips of
# FCN-SqueezeNet were trained (benchmarks/RESULTS.md): the five that do so made the net more
# accurate, and the one that raises the ceiling of VOC animals by 2.9 points did not
GAIN = .03
RARE = .01                      # of all pixels: the share of a rare class
RARE_CLASSES = .5               # the field of a recipe, for a class that few images have
EPOCHS = 4, 100                 # a recipe that shows each image less or more often is mentioned
MAX_NAMES = 5                   # of classes, in a sentence
# of the recipe, for each finer stride that continues from the one before, as in recipes/ours.py
FINER_LR = .3
FINER_STEPS = .4


class Stage(NamedTuple):
    """A training: the name of its recipe, and the fields that it changes."""
    recipe: str
    changes: dict[str, Any]


class Advice(NamedTuple):
    """Trainings, each from the weights of the one before; and the reasons, a sentence each."""
    stages: list[Stage]
    reasons: list[str]


def advise(found: LabelStatistics, name: str, n_images: int, own_recipe: str = '') -> Advice:
    """The stages of a training that suit these labels.

    name: of the data set; n_images: to train on
    own_recipe: the first recipe for images of one's own, where this is a folder of them

    >>> import numpy as np
    >>> from ..data import load_dataset
    >>> from ..data.statistics import label_statistics
    >>> found = label_statistics(load_dataset('shapes').subset(['0', '1']))
    >>> [stage.recipe for stage in advise(found, 'shapes', 1000).stages]
    ['shapes-32s', 'shapes-16s', 'shapes-8s']
    """
    candidates = stages_of_folder(own_recipe) if own_recipe else stages_of_set(name)
    stride, reason = choose_stride(found, [*candidates])
    stages = [stage for own, stage in candidates.items() if own >= stride]
    reasons = [reason] if reason else []
    recipe = get_recipe(stages[0].recipe)
    if own_recipe:
        stages, reason = choose_steps(stages, n_images)
        reasons += [reason] if reason else []
    changes, of_rare = rare_class_changes(found, recipe)
    if changes:
        stages = [change(stage, **changes) for stage in stages]
    reasons += of_rare
    reasons += crop_reasons(recipe, found)
    return Advice(stages, reasons)


def change(stage: Stage, **changes: Any) -> Stage:
    return Stage(stage.recipe, {**stage.changes, **changes})


# ---- the net -------------------------------------------------------------------------------------

def net_stride(recipe: Recipe) -> int:
    """The stride in the name of a recipe's net: 8 of fcn_squeezenet_8s and fcn8s; 0 without one."""
    found = re.search(r'(\d+)s$', recipe.net or '')
    return int(found[1]) if found else 0


def net_at_stride(recipe: Recipe, stride: int) -> str:
    """The net of the same family with another stride."""
    return re.sub(r'\d+s$', f'{stride}s', recipe.net or '')


def choose_stride(found: LabelStatistics, strides: list[int]) -> tuple[int, str]:
    """The coarsest stride whose ceiling is nearly that of the finest, and the reason.

    strides: from the coarsest to the finest; [0] of a net that does not say its stride
    """
    if strides == [0]:
        return 0, ''
    ceilings = {stride: scores(found.confusion[stride])['mean_iu'] for stride in strides}
    chosen = next(stride for stride in strides
                  if ceilings[strides[-1]] - ceilings[stride] < GAIN)
    listed = ', '.join(f'{100 * ceiling:.1f} at stride {stride}'
                       for stride, ceiling in ceilings.items())
    finer = [stride for stride in strides if stride < chosen]
    if finer:
        why = f'a finer stride raises it by less than {100 * GAIN:g} points'
    elif len(strides) > 1:
        why = f'{chosen} is the finest stride of these nets'
    else:
        why = f'{chosen} is the only stride of these nets'
    return chosen, f'a net of stride {chosen}: mean IU can be at most {listed}; {why}'


# ---- the stages ----------------------------------------------------------------------------------

def stages_of_folder(name: str) -> dict[int, Stage]:
    """{stride: stage} of a recipe for images of one's own: each finer one at a lower rate."""
    recipe = get_recipe(name)
    own = net_stride(recipe)
    stages = {own: Stage(name, {})}
    lr = recipe.lr
    for stride in STRIDES:
        if stride < own and net_at_stride(recipe, stride) in NETS:
            lr *= FINER_LR
            stages[stride] = Stage(name, dict(
                net=net_at_stride(recipe, stride), lr=float(f'{lr:.1g}'),
                steps=round(FINER_STEPS * recipe.steps)))
    return stages


def stages_of_set(name: str) -> dict[int, Stage]:
    """{stride: stage} by the recipes NAME-32s … NAME-4s, or by the first recipe of the data set."""
    stages = {stride: Stage(f'{name}-{stride}s', {}) for stride in STRIDES
              if f'{name}-{stride}s' in RECIPES}
    if stages:
        return stages
    for recipe_name in RECIPES:
        recipe = get_recipe(recipe_name)
        if recipe.train and recipe.train[0] == name:
            return {net_stride(recipe): Stage(recipe_name, {})}
    raise ValueError(f'there is no recipe for the data set {printable(name)}; `tinyfcn train '
                     f'list` prints all recipes')


def choose_steps(stages: list[Stage], n_images: int) -> tuple[list[Stage], str]:
    """More steps, if the recipe hardly shows each image; and the reason, or what else to know."""
    recipe = get_recipe(stages[0].recipe)
    shown = recipe.steps * recipe.batch * recipe.iter_size / n_images
    fewest, most = EPOCHS
    if shown > most:
        return stages, (f'each image is shown {shown:,.0f} times: what helps most is more images '
                        f'than {n_images:,}')
    if shown >= fewest:
        return stages, ''
    factor = fewest / shown
    stages = [change(stage, steps=ceil(factor * stage.changes.get('steps', recipe.steps)))
              for stage in stages]
    return stages, (f'{stages[0].changes["steps"]:,} steps show each of {n_images:,} images '
                    f'{fewest} times; the {recipe.steps:,} of the recipe, {shown:.1f} times')


# ---- crops and classes ---------------------------------------------------------------------------

def crop_reasons(recipe: Recipe, found: LabelStatistics) -> Iterator[str]:
    """What crops are good for, where images are larger."""
    height, width = (max(lengths) for lengths in zip(*found.sizes))
    if recipe.crop_size and (height, width) != smaller(recipe.crop_size, (height, width)):
        rows, columns = smaller(recipe.crop_size, (height, width))
        yield (f'crops of {rows}×{columns} pixels: a step then takes as long, and as much memory, '
               f'for images of any size')


def smaller(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """The smaller height, and the smaller width."""
    return min(a[0], b[0]), min(a[1], b[1])


def rare_class_changes(found: LabelStatistics,
                       recipe: Recipe) -> tuple[dict[str, Any], list[str]]:
    """The fields of a recipe that help classes of few pixels, and the reasons."""
    rare = [number for number, share in enumerate(found.shares.tolist()) if 0 < share < RARE]
    if not rare:
        return {}, []
    have = 'has' if len(rare) == 1 else 'have'
    weights = ' and '.join(f'{found.median_weights[number]:.2g}' for number in rare[:MAX_NAMES])
    times = f'class_weight=median weighs {"it" if len(rare) == 1 else "them"} {weights} times'
    few = f'{names_of(rare, found)} {have} less than {RARE:.0%} of the pixels'
    if recipe.loss != 'mean':                           # the learning rate is one for this loss
        return dict(class_weight='median'), [f'{few}: {times}']
    changes: dict[str, Any] = dict(loss='ce+dice')
    reasons = [f'{few}: loss=ce+dice adds a loss of which each class is an equal part, however few '
               f'pixels it has; or {times}']
    if seldom := [number for number in rare if 2 * found.images[number] < len(found.sizes)]:
        changes['rare_classes'] = RARE_CLASSES
        images = ' and '.join(f'{found.images[number]:,}' for number in seldom[:MAX_NAMES])
        reasons.append(f'{names_of(seldom, found)}: only in {images} of {len(found.sizes):,} '
                       f'images; rare_classes={RARE_CLASSES:g} draws half of the images for a '
                       f'class, each class as often as any other')
    return changes, reasons


def names_of(numbers: list[int], found: LabelStatistics) -> str:
    """'pole, sign and fence'"""
    names = [printable(found.classes[number], limit=40) for number in numbers[:MAX_NAMES]]
    if len(numbers) > MAX_NAMES:
        return f'{", ".join(names)} and {len(numbers) - MAX_NAMES} more'
    return ' and '.join(filter(None, [', '.join(names[:-1]), names[-1]]))
