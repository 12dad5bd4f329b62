"""Fully convolutional networks for semantic segmentation, from the pixel to the mean IU.

    net = tinyfcn.load('runs/my')                   a trained net
    mask = tinyfcn.predict(net, 'photo.jpg')        (H, W), a class in each pixel

    net = tinyfcn.build('fcn8s', n_class=21)        a new one
    score = net.forward(image, train=True)
    loss, dscore = tinyfcn.ops.softmax_cross_entropy(score, label)
    grads = net.backward(score=dscore)
    tinyfcn.optim.SGD(lr=1e-10, momentum=.99).step(net.params, grads)

    tinyfcn.fit(net, dataset, recipe)               all steps of a recipe
    tinyfcn.evaluate(net, dataset)                  pixel accuracy, mean IU, …
"""
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .runtime.blas import configure_openblas

configure_openblas()            # before anything imports NumPy

if TYPE_CHECKING:
    from . import (
        course,
        data,
        gradcheck,
        init,
        layers,
        metrics,
        models,
        ops,
        optim,
        prediction,
        training,
        viz,
        weights,
    )
    from .data import Dataset, load_dataset
    from .models import build
    from .net import Box, Net
    from .prediction import evaluate, predict
    from .training import fit

__version__ = '0.1.0'

__all__ = [
    'Box', 'Dataset', 'Net', 'build', 'course', 'data', 'evaluate', 'fit', 'gradcheck', 'init',
    'layers', 'load', 'load_dataset', 'metrics', 'models', 'ops', 'optim', 'predict', 'prediction',
    'training', 'viz', 'weights',
]

# the modules of the names that are imported when they are first used, which keeps
# `import tinyfcn` fast; all other names of __all__ are modules themselves
_MODULE_OF = {
    'Box': 'net', 'Net': 'net', 'Dataset': 'data', 'load_dataset': 'data', 'build': 'models',
    'fit': 'training', 'evaluate': 'prediction', 'predict': 'prediction',
}


def load(path: str | os.PathLike[str]) -> 'Net':
    """A net from a file that `net.save` or a training run wrote.

    path: the file, or the folder of a run, of which the best checkpoint is taken.

    >>> import tinyfcn
    >>> tinyfcn.build('tiny_8s', n_class=3, width=1/8).save('net.safetensors')
    >>> tinyfcn.load('net.safetensors')
    <Net of 36 boxes, 4,285 parameters>
    """
    # as everything else in here, imported when it is used
    from .files import printable
    from .models import build
    from .weights import FormatError, require_finite, transplant
    from .weights.run_folder import find_weights
    from .weights.safetensors_file import load as load_arrays, weights_only

    file = find_weights(Path(path))
    arrays, about = load_arrays(file)
    arrays = weights_only(arrays)
    require_finite(arrays, file)
    if 'build' not in about:
        raise ValueError(f'{file} has weights, but does not say of which net: build the net, then '
                         f'tinyfcn.weights.transplant(net, tinyfcn.weights.read(file)[0])')
    if not arrays:
        raise FormatError(f'{file} has no weights: train the net first, or get the file again')
    dtype = next(iter(arrays.values())).dtype.name
    try:
        net = build(**about['build'], dtype=dtype, seed=None)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        reason = printable(f'{about["build"]}: {error}', limit=1000)
        raise FormatError(f'{file}: its net cannot be built, {reason}') from None
    try:
        report = transplant(net, arrays)
    except ValueError as error:
        raise FormatError(f'{file}: {error}') from None
    if report.missing or report.unused:
        raise ValueError(f'{file}: these are not the weights of {about["build"]}\n{report}')
    net.seed = about.pop('seed', None)
    try:
        net.frozen = set(about.pop('frozen', []))
        net.find_grad_names(image=False)                # raises for a pattern of no weight
        _check_classes(net, about.get('classes'))
    except ValueError as error:
        raise FormatError(f'{file}: {error}') from None
    about.pop('machine', None)                          # a fact of the run, not of the net
    net.about = about
    return net


def _check_classes(net: 'Net', classes: object) -> None:
    """The names of classes by output must be as many as the scores of each output."""
    counts = {output: net[output].channels for output in net.outputs(train=False)}
    if isinstance(classes, dict) and {name: len(x) for name, x in classes.items()} != counts:
        raise ValueError(f'it names the classes of {[*classes]}, and the outputs of its net have '
                         f'the classes {counts}; tinyfcn did not write it')


if not TYPE_CHECKING:                                   # else every name would pass as Any
    def __getattr__(name: str) -> Any:
        if name in _MODULE_OF:
            return getattr(import_module(f'.{_MODULE_OF[name]}', __name__), name)
        if name in __all__:
            return import_module(f'.{name}', __name__)
        raise AttributeError(f'tinyfcn has no {name!r}; it has {", ".join(__all__)}')


def __dir__() -> list[str]:
    return __all__
