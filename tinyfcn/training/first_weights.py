"""The net of a recipe, with random weights or with those of files."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from .. import weights
from ..data.labels import by_output
from ..models import build
from ..net import Net
from .recipes import Recipe

Classes: TypeAlias = 'tuple[str, ...] | dict[str, tuple[str, ...]]'


def build_net(recipe: Recipe, classes: Classes, seed: int = 0,
              files: Mapping[str, str | Path] | None = None) -> Net:
    """The net of a recipe, with its first weights.

    files: {'': file} of weights whose names are those of the net's boxes. For a net with several
    branches, {suffix: file}: with {'color': file} the weights of conv1_1 go to conv1_1color.

    >>> recipe = Recipe(net='tiny_8s', lr=.1, steps=10, net_kwargs=dict(width=1/8))
    >>> build_net(recipe, ('sky', 'tree'))
    <Net of 36 boxes, 4,256 parameters>
    """
    if recipe.net is None:
        raise ValueError('net is None; the recipe needs the name of a net, such as fcn8s')
    class_names, *_ = by_output(classes).values()       # of the first output
    try:
        net = build(recipe.net, len(class_names), seed=seed, **recipe.net_kwargs)
    except TypeError as error:                          # an argument that the net does not have
        raise ValueError(f'net_kwargs is {recipe.net_kwargs}, which {recipe.net} does not take: '
                         f'{error}') from None
    net.about.update(classes=classes, preprocess=recipe.preprocess)
    for suffix, file in (files or {}).items():
        arrays, about = weights.read(file)
        renamed = {}
        for name, array in arrays.items():
            box, _, weight = name.rpartition('.')
            renamed[f'{box}{suffix}.{weight}'] = array
        weights.transplant(net, renamed)
        net.about['preprocess'] = resolve_preprocess(net.about['preprocess'],
                                                     about.get('preprocess'), file, suffix)
    return net


def resolve_preprocess(known: dict[str, Any] | None, of_file: dict[str, Any] | None,
                       file: str | Path, suffix: str = '') -> dict[str, Any] | None:
    """How images are preprocessed, when it is known and a file of weights says it, too.

    known: from the recipe, or from the file of another branch
    Order and scale must agree: weights for BGR images give bad scores for RGB images, and no error.
    A branch (suffix) may read channels beyond the first three, which no order reverses. Means may
    be rounded differently, and a net of several branches has one for all its channels.
    """
    if known and of_file:
        for key in ('scale',) if suffix else ('order', 'scale'):
            if known[key] != of_file[key]:
                raise ValueError(f'{file} was trained on images of {key} {of_file[key]!r}, and '
                                 f'the recipe preprocesses them with {known[key]!r}: change '
                                 f'its preprocess')
    return known or of_file
