"""Recipes: one for every row of the paper's tables, for FCN's family, and for small data sets."""
from difflib import get_close_matches
from typing import Any

from .checks import allowed_values, show
from .family import FAMILY
from .ours import OURS
from .paper import PAPER
from .recipe import Recipe, parse_value

__all__ = ['RECIPES', 'Recipe', 'allowed_values', 'get_recipe', 'parse_value']

# {name: the fields of a Recipe that differ from their defaults}
RECIPES: dict[str, dict[str, Any]] = {**PAPER, **FAMILY, **OURS}


def get_recipe(name: str, /, **changes: Any) -> Recipe:
    """The recipe of this name, with some fields changed.

    >>> get_recipe('voc-fcn8s').init_from
    'voc-fcn16s'
    >>> get_recipe('voc-fcn8s', steps=500).steps
    500
    """
    if name not in RECIPES:
        near = get_close_matches(str(name), RECIPES, 3)
        hint = f'did you mean {", ".join(near)}? ' if near else ''
        raise ValueError(f'no recipe called {show(name)}; {hint}`tinyfcn train --list` prints a '
                         f'table of all')
    recipe = Recipe.from_dict({**RECIPES[name], **changes}, name)
    if recipe.train is None:
        raise ValueError(f'train is None; the recipe {name} needs a data set and a split')
    return recipe
