"""Several ranks: before the first step they compare what each is about to do.

Ranks that differ would train on, each with batches or weights of its own, or wait for ever.
"""
from typing import Any

from ..data.dataset import Dataset
from ..data.fingerprint import fingerprint
from ..net import Net
from ..runtime.distributed import require_agreement, world
from ..runtime.machine import machine_info
from .recipes import Recipe


def require_same_training(net: Net, dataset: Dataset, recipe: Recipe, seed: int,
                          first_step: int) -> None:
    """Raise ValueError on all ranks if one has another recipe, data set, seed, net or version."""
    if world().size == 1:                               # a fingerprint takes a while
        return
    weights = {name: (w.shape, w.dtype.name) for name, w in {**net.params, **net.state}.items()}
    machine = machine_info()
    versions = {name: machine[name] for name in ('python', 'numpy')}
    require_agreement(dict(recipe=recipe.to_dict(), train_images=_description(dataset), seed=seed,
                           first_step=first_step, net=weights, version=versions))


def require_same_data(dataset: Dataset, valid: Dataset) -> None:
    """Raise ValueError on all ranks if one has other images to train on, or to validate on."""
    if world().size > 1:
        require_agreement(dict(train_images=_description(dataset), val_images=_description(valid)))


def _description(dataset: Dataset) -> dict[str, Any]:
    """The fingerprint, but for dates: copies on several machines may have other ones."""
    return {key: value for key, value in fingerprint(dataset).items() if key != 'dates'}
