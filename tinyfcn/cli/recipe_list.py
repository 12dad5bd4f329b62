"""`tinyfcn train --list`: a table of all recipes and what each needs; or of one, and its fields."""
from collections.abc import Mapping
from contextlib import suppress
from inspect import getsource
from textwrap import wrap

from ..training.needs import recipe_needs, time_class
from ..training.recipes import Recipe, allowed_values
from .first_weights import default_weights
from .paths import open_dataset
from .tables import percent

HEADER = 'RECIPE', 'net', 'data', 'starts from', 'memory', 'time', 'mean IU'
LINE = 110                      # characters of a line about a field
VALUE = 24                      # characters of a value that has its explanation beside it
HERE = '*'                      # follows what is on this machine
NOTES = f'''
{HERE} is here; `tinyfcn data NAME` and `tinyfcn weights get NAME` fetch the others. A recipe that
  starts from another one is trained after it
memory: of the weights and a step, for images of the usual size; of your own images, for the crops
time: on two CPU cores, from the number of multiply-adds; `tinyfcn plan FOLDER` measures it
mean IU: as published, in per cent; most recipes have not been trained to the end here'''


def recipe_list(recipes: Mapping[str, Recipe]) -> str:
    """A row for each recipe: net, data, initial weights, memory and time, the score to reach."""
    is_here = {name: has_data(name) for name in {recipe.train[0] for recipe in recipes.values()
                                                 if recipe.train}}
    rows = [HEADER]
    for name, recipe in recipes.items():
        assert recipe.train                             # get_recipe has checked it
        data = recipe.train[0]
        needs = recipe_needs(recipe)
        rows.append((name, str(recipe.net),
                     'your own' if data == 'folder' else data + HERE * is_here[data],
                     weight_names(recipe), megabytes(needs.memory),
                     time_class(needs.seconds), percent((recipe.target or {}).get('mean_iu'))))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ['  '.join(f'{text:{width}}' for text, width in zip(row, widths)).rstrip()
             for row in rows]
    return '\n'.join(lines) + '\n' + NOTES


def field_list(recipe: Recipe) -> str:
    """Each field of a recipe: its name, its value, and what it means, or else what it may be."""
    texts = {**allowed_values(), **field_meanings()}
    values = {name: repr(value) for name, value in recipe.to_dict().items()}
    name_width = max(map(len, values))
    value_width = max(len(value) for value in values.values() if len(value) <= VALUE)
    lines = []
    for name, value in values.items():
        start = f'{name:{name_width}}  {value:{value_width}}  '
        if len(value) > value_width:                    # then its explanation begins below it
            lines.append(start.rstrip())
            start = ' ' * (name_width + value_width + 4)
        indent = ' ' * len(start)
        lines += wrap(texts[name], LINE, initial_indent=start, subsequent_indent=indent)
    return '\n'.join([*lines, '\nchange any by --set NAME=VALUE'])


def field_meanings() -> dict[str, str]:
    """The comment above each field in the source of Recipe; {} where there is no source.

    >>> field_meanings()['batch']
    'images in a batch'
    """
    meanings = {}
    comment: list[str] = []
    with suppress(OSError):
        for line in getsource(Recipe).splitlines():
            text = line.strip()
            if text.startswith('# '):
                comment.append(text.removeprefix('# '))
                continue
            name = text.partition(':')[0]
            if comment and name in allowed_values():
                meanings[name] = ' '.join(comment)
            comment = []
    return meanings


def megabytes(memory: int) -> str:
    """2_760_000_000 -> '2.8 GB', 83_000_000 -> '83 MB'"""
    return f'{memory / 1e9:.1f} GB' if memory > .95e9 else f'{memory / 1e6:.0f} MB'


def has_data(name: str) -> bool:
    """Whether a data set is generated, or in the folder that holds all data sets."""
    try:
        open_dataset(name, None, 'train')
    except (OSError, ValueError):
        return False
    return True


def weight_names(recipe: Recipe) -> str:
    """The weights that a recipe starts from, of which those that are here are marked."""
    if recipe.init_from is None:
        return 'random weights'
    if isinstance(recipe.init_from, dict):
        names = [*recipe.init_from.values()]
    else:
        names = [recipe.init_from]
    return ', '.join(name + HERE * (default_weights(name) is not None) for name in names)
