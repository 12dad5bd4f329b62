"""Recipes: one for every row of the paper's tables, for FCN's family, and for small data sets."""
from typing import Any

from .family import FAMILY
from .ours import OURS
from .paper import PAPER
from .recipe import Recipe

__all__ = ['RECIPES', 'Recipe', 'get_recipe']

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
        raise ValueError(f'no recipe called {name!r}; there are {", ".join(RECIPES)}')
    recipe = Recipe.from_dict({**RECIPES[name], **changes}, name)
    if recipe.train is None:
        raise ValueError(f'train is None; the recipe {name} needs a data set and a split')
    return recipe
