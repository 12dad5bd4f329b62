"""Whether net, data sets and recipe fit together: checked before the first training step."""
import os
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from .. import optim
from ..data.channels import RGB
from ..data.check import LabelCounts
from ..data.dataset import Dataset, require_dataset
from ..data.labels import by_output
from ..files import printable
from ..net import Net
from ..net.alignment import Unaligned
from ..net.summary import peak
from ..prediction.evaluation import require_channels
from ..prediction.tiles import border, largest_tile, usable_memory
from .channels import preprocess_for
from .first_weights import preprocess_differences
from .freeze import frozen_weights, require_weights_to_train
from .memory import CROPS, image_sizes, largest_size, require_memory
from .recipes import Recipe
from .run_files import RUN_INFO, Log

MAX_NAMES = 3                   # how many files a sentence lists
READ_PIXELS = 200_000_000       # of each data set, read before the first step: some seconds


def require_trainable(net: Net, dataset: Dataset, recipe: Recipe,
                      optimizer: optim.SGD | optim.Adam) -> dict[str, Any]:
    """Raise if this net cannot be trained on this data set. -> how its images are preprocessed"""
    require_dataset(dataset)
    if 'channels' in net.about:
        require_channels(net, dataset)
    preprocess = preprocess_for(net, dataset, net_preprocess(net, recipe))
    if not preprocess:
        raise ValueError('neither the recipe nor the weights say how images are preprocessed: '
                         'give the recipe preprocess=dict(order=…, scale=…, mean=…, std=…)')
    channels = net['data'].channels
    of_recipe = recipe.preprocess if dataset.channels == RGB else None
    for known in of_recipe or preprocess, preprocess:
        if len(known['mean']) != channels:
            raise ValueError(f'preprocess has a mean of {len(known["mean"])} values, and the net '
                             f'reads {channels} channels; give one for each channel')
    _require_outputs(net, dataset, recipe)
    if net.params:
        list(optimizer.blocks(net.params, {}))          # checks the patterns of the rules
    require_weights_to_train(net, recipe)
    _require_crop_size(net, recipe)
    require_memory(net, recipe, dataset)
    return dict(preprocess)


def net_preprocess(net: Net, recipe: Recipe) -> dict[str, Any] | None:
    """The preprocess of the recipe, or that of the net if its weights do not fit the recipe's."""
    of_net: dict[str, Any] | None = net.about.get('preprocess')
    if 'channels' in net.about:                         # for which that of a recipe is not meant
        return of_net
    if of_net and recipe.preprocess and preprocess_differences(of_net, recipe.preprocess):
        return of_net
    return recipe.preprocess or of_net


def _require_outputs(net: Net, dataset: Dataset, recipe: Recipe) -> None:
    """Raise unless the boxes at which there is a loss exist, and have a score for each class."""
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


# ---- the size of crops ---------------------------------------------------------------------------

def _require_crop_size(net: Net, recipe: Recipe) -> None:
    """Raise unless crops are large enough for every box."""
    reason = _crop_problem(net, recipe)
    if not reason:
        return
    larger = {f'crop_size={side},{side}': replace(recipe, crop_size=(side, side))
              for side in reversed(CROPS)}
    larger['batch=2'] = replace(recipe, batch=2)
    fitting = [setting for setting, changed in larger.items() if not _crop_problem(net, changed)]
    remedy = f'--set {fitting[0]} is enough' if fitting else 'give larger crops, or another net'
    raise ValueError(f'crop_size is {recipe.crop_size}, which is too small for this net: {reason}; '
                     f'{remedy}')


def _crop_problem(net: Net, recipe: Recipe) -> str | None:
    """Which box cannot be computed for a batch of crops, and why; None if all can."""
    if recipe.crop_size is None:
        return None
    outputs = [*recipe.loss_at] if recipe.loss_at else None
    try:
        sizes = net.sizes(recipe.crop_size, train=True, until=outputs)
    except ValueError as error:
        return _on_one_line(error)
    with frozen_weights(net, recipe):
        trained = net.find_grad_names(image=False)
    for box in net.route(True, outputs):
        uses_batch_statistics = (box.op.__name__ == 'batch_norm' and not box.kwargs.get('frozen')
                                 and f'{box.name}.w' in trained)
        if uses_batch_statistics and recipe.batch * prod(sizes[box.inputs[0]]) == 1:
            return f'one value for each channel has no variance, in {box.line}'
    return None


def _on_one_line(error: ValueError) -> str:
    """The message of an op in a net, and the line of the model that made its box."""
    message, *context = str(error).splitlines()
    lines = [line.split(None, 1)[1] for line in context if line.startswith('  in ')]
    return ', in '.join([message, *lines])


# ---- the validation set, and files ---------------------------------------------------------------

def require_predictable(net: Net, valid: Dataset) -> None:
    """Raise if the largest validation image cannot be predicted, at once or in tiles."""
    size = max(image_sizes(valid), key=prod, default=None)
    if size is None:                                    # no image can be read
        return
    shown = f'{size[0]}×{size[1]} pixels (rows × columns)'
    padded = [length + 2 * border(net) for length in size]
    try:
        needed = peak(net, padded)
    except ValueError as error:
        raise ValueError(f'validation images of {shown} are too small for this net: '
                         f'{_on_one_line(error)}') from None
    limit = usable_memory(net)
    if needed <= limit:
        return
    for box in net.route(train=False):
        if isinstance(box.alignment, Unaligned):
            raise ValueError(f'a validation image of {shown} takes {needed / 1e6:,.0f} MB of '
                             f'memory, {limit / 1e6:,.0f} MB may be used, and this net cannot '
                             f'predict it in tiles: {box.alignment}: validate on smaller images')
    largest_tile(net, limit)                            # or the smallest tile does not fit either


def require_files(dataset: Dataset, which: str) -> None:
    """Raise if a file of the data set is missing. which: 'training' or 'validation', for errors"""
    missing = [path for name in dict.fromkeys(dataset.names) for path in dataset.files(name)
               if _is_missing(path)]
    if missing:
        more = ', …' if len(missing) > MAX_NAMES else ''
        files = 'file' if len(missing) == 1 else 'files'
        are = 'is' if len(missing) == 1 else 'are'
        raise FileNotFoundError(f'{len(missing):,} {files} of the {which} set {are} missing: '
                                f'{", ".join(map(printable, missing[:MAX_NAMES]))}{more}; add '
                                f'what is missing, or list other images')


def require_readable(dataset: Dataset, which: str, log: Log) -> None:
    """Read the files of images and labels, of many images some that are spread evenly.

    Raises for the first image that fails: later it would end a run of hours. Labels of which there
    is nothing to learn are logged.
    """
    if not dataset.files(dataset.names[0]):             # images that are generated
        return
    counts = {output: LabelCounts(names) for output, names in by_output(dataset.classes).items()}
    every = 1 + len(dataset) * prod(largest_size(dataset)) // READ_PIXELS
    for i in range(0, len(dataset), every):
        try:
            _, label = dataset[i]
        except (OSError, ValueError) as error:
            raise ValueError(f'{error}. This image is in the {which} set') from None
        for own in dataset.output_labels(dataset.names[i], label):
            counts[own.output].add(own.source, own.label)
    if which == 'training':                             # others may well have one class
        for count in counts.values():
            for problem in count.problems():
                log(problem)


def require_apart(folder: Path, *datasets: Dataset) -> None:
    """Raise if the folder of a run has images or labels, which its own files would be taken for."""
    holding = {path.parent for dataset in datasets for name in dataset.names
               for path in dataset.files(name)}
    if folder.resolve() in {path.resolve() for path in holding}:
        raise ValueError(f'{printable(folder)}: the images or labels of the data set are in this '
                         f'folder, and {RUN_INFO} and the pictures of a run would be taken for '
                         f'some of them: choose another folder with --run')


def _is_missing(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:                                     # reading it will report it
        return False
    return False
