"""Weights that a recipe freezes: they stay as they are while the others are trained.

The backward pass ends where only frozen weights are left, so a step is faster and takes less
memory. A batch norm whose weights are frozen keeps its running statistics as well.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

from ..files import printable
from ..net import Net
from .recipes import Recipe

SHOWN = 6                       # names of weights in an error


@contextmanager
def frozen_weights(net: Net, recipe: Recipe) -> Iterator[None]:
    """Inside, the net's `frozen` has the patterns of the recipe, beside its own.

    >>> import tinyfcn
    >>> net = tinyfcn.build('tiny_8s', n_class=5, width=1/8)
    >>> with frozen_weights(net, Recipe(lr=.1, steps=1, freeze=('conv*',))):
    ...     net.frozen
    {'conv*'}
    >>> net.frozen
    set()
    """
    if not recipe.freeze:
        yield
        return
    before = net.frozen
    net.frozen = {*before, *recipe.freeze}
    try:
        yield
    finally:
        net.frozen = before


def require_weights_to_train(net: Net, recipe: Recipe) -> None:
    """Raise ValueError if a pattern of `freeze` matches no weight, or if none is left to train."""
    for pattern in recipe.freeze or ():
        if not any(fnmatchcase(name, pattern) for name in net.params):
            more = ', …' if len(net.params) > SHOWN else ''
            raise ValueError(f'freeze has {printable(repr(pattern))}, which matches none of the '
                             f'weights of this net: {", ".join([*net.params][:SHOWN])}{more}')
    with frozen_weights(net, recipe):
        names = net.find_grad_names(image=False)
    if recipe.freeze and not names & net.params.keys():
        patterns = printable(', '.join(recipe.freeze))
        raise ValueError(f'freeze is {patterns}, which matches all weights of this net: leave some '
                         f'to train, such as the last ones, {", ".join([*net.params][-SHOWN:])}')
