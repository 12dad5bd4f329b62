"""`tinyfcn draw --augment`: a page of images as a training sees them, with their labels."""
import argparse
from pathlib import Path
from typing import Any

from .. import viz
from ..data import Dataset
from ..data.batches import sample
from ..data.labels import by_output
from ..files import make_folder, printable
from ..training import recipes
from ..training.loop import AUGMENTATION
from .first_weights import recipe_for_folder
from .output import say
from .paths import find_dataset, open_dataset

AUGMENTED = Path('augmented.png')
IMAGES = 4                      # rows of the page
CHANGED = 5                     # times that each of them is augmented
# fields of a recipe that say which images are drawn, and not how they are changed
DRAWING = 'replace', 'rare_classes'


def draw_augmented(args: argparse.Namespace) -> None:
    """Write the page, and print what the recipe changes."""
    if args.output.suffix.lower() != '.png':
        raise ValueError(f'{printable(args.output)}: a page of images is written as .png only; '
                         f'give the file this ending')
    if args.net or args.heatmap or args.activations:
        raise ValueError('--augment draws images without a net: leave out NET, --heatmap and '
                         '--activations')
    changes = dict(args.set)
    find_dataset(args.augment, args.data)               # raises for a wrong name
    name = args.recipe or recipe_for_folder([], changes)
    recipe = recipes.get_recipe(name, **changes)
    augmentation = {field: getattr(recipe, field) for field in AUGMENTATION
                    if field not in DRAWING and getattr(recipe, field)}
    if not augmentation:
        raise ValueError(f'recipe {name} does not augment images: change it, for example with '
                         f'--set flip=True rotation=10, or name another one with --recipe')
    dataset = open_dataset(args.augment, args.data, 'train')
    if recipe.colour and not dataset.channels.has_colours:
        augmentation['colour'] = *recipe.colour[:2], 0, 0
    numbers = {row * len(dataset) // IMAGES for row in range(IMAGES)}
    rows = [augmented_row(dataset, i, args.seed, recipe.rare_classes, augmentation)
            for i in sorted(numbers)]
    note = describe_changes(augmentation)
    if recipe.rare_classes:
        note += f'; {recipe.rare_classes:.0%} of the crops near a class drawn at random'
    make_folder(args.output.parent)
    title = f'{args.augment}: how recipe {name} augments images'
    viz.draw_augmented(args.output, rows, [*by_output(dataset.classes).values()][0], title,
                       f'{note}; sizes are rows × columns', dataset.colours)
    say(f'recipe {name}: {note}')


def augmented_row(dataset: Dataset, i: int, seed: int, rare_classes: float | None,
                  augmentation: dict[str, Any]) -> tuple[str, list[tuple[Any, Any]]]:
    """Image number i as it is, and as it comes in some steps; of several labels the first."""
    name = dataset.names[i]
    alone = dataset.subset([name])
    samples = [sample(alone, i, seed)]
    samples += [sample(alone, CHANGED * i + times, seed, rare_classes=rare_classes, **augmentation)
                for times in range(CHANGED)]
    return name, [(one.image, [*by_output(one.label).values()][0]) for one in samples]


def describe_changes(augmentation: dict[str, Any]) -> str:
    """'flip, rotation 10°' of {'flip': True, 'rotation': 10}"""
    texts = []
    for field, value in augmentation.items():
        if field == 'colour':
            names = 'brightness', 'contrast', 'saturation', 'hue'
            texts.append(', '.join(f'{one} ±{100 * change:g} %' for one, change
                                   in zip(names, value) if change))
        else:
            texts.append(CHANGES[field].format(*value if isinstance(value, tuple) else [value]))
    return '; '.join(texts)


CHANGES = dict(
    flip='flip left to right', scale_range='scale {:g} to {:g}', crop_size='crop {}×{}',
    elastic_sigma='elastic deformation {:g} pixels', rotation='rotation ±{:g}°',
    blur='blur up to {:g} pixels', noise='noise up to {:g} of the deviation')
