"""What net, data set and recipe must have in common: checked before the first step."""
from typing import Any

from .. import optim
from ..data.dataset import Dataset
from ..data.labels import by_output
from ..files import printable
from ..net import Net
from .memory import require_memory
from .recipes import Recipe


def require_trainable(net: Net, dataset: Dataset, recipe: Recipe,
                      optimizer: optim.SGD | optim.Adam) -> dict[str, Any]:
    """Raise if this net cannot be trained on this data set. -> how its images are preprocessed"""
    if not isinstance(dataset, Dataset):
        raise TypeError(f'dataset is {dataset!r:.60}; give a data set, such as '
                        f'tinyfcn.data.load_dataset(name, folder)')
    preprocess = recipe.preprocess or net.about.get('preprocess')
    if not preprocess:
        raise ValueError('neither the recipe nor the weights say how images are preprocessed: '
                         'give the recipe preprocess=dict(order=…, scale=…, mean=…, std=…)')
    channels = net['data'].channels
    if len(preprocess['mean']) != channels:
        raise ValueError(f'preprocess has a mean of {len(preprocess["mean"])} values, and the net '
                         f'reads {channels} channels; give one for each channel')
    _require_outputs(net, dataset, recipe)
    if net.params:
        list(optimizer.blocks(net.params, {}))          # checks the patterns of the rules
    require_memory(net, recipe, dataset)
    return dict(preprocess)


def _require_outputs(net: Net, dataset: Dataset, recipe: Recipe) -> None:
    """The boxes at which there is a loss exist, and have a score for each class."""
    classes = by_output(dataset.classes)
    for output in recipe.loss_at or net.outputs():
        if output not in net.boxes:
            raise ValueError(f'loss_at has {printable(repr(output))}, which is no box of this net; '
                             f'its outputs are {", ".join(net.outputs())}')
        names = classes.get(output) or classes.get('score')
        if names is None:
            raise ValueError(f'the net has an output {output}, and the data set has classes for '
                             f'{", ".join(classes)}')
        channels = net[output].channels
        if channels < len(names):
            raise ValueError(f'{output} has scores for {channels} classes, and the data set has '
                             f'{len(names)}; build the net with n_class={len(names)}')
        if isinstance(recipe.class_weight, tuple) and len(recipe.class_weight) != channels:
            raise ValueError(f'class_weight has {len(recipe.class_weight)} values, and {output} '
                             f'has scores for {channels} classes; give one for each class')
