"""Fully convolutional networks for semantic segmentation, from the pixel to the mean IU.

    net = tinyfcn.load('runs/my')                   a trained net
    mask = tinyfcn.predict(net, 'photo.jpg')        (H, W), a class in each pixel
    net = tinyfcn.pretrained('fcn_resnet50')        one that others have trained

    net = tinyfcn.build('fcn8s', n_class=21)        a new one
    score = net.forward(image, train=True)
    loss, dscore = tinyfcn.ops.softmax_cross_entropy(score, label)
    grads = net.backward(score=dscore)
    tinyfcn.optim.SGD(lr=1e-10, momentum=.99).step(net.params, grads)

    tinyfcn.fit(net, dataset, recipe)               all steps of a recipe
    tinyfcn.evaluate(net, dataset)                  pixel accuracy, mean IU, …
"""
from importlib import import_module
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
    from .models.load import load, pretrained
    from .net import Box, Net
    from .prediction.evaluation import evaluate
    from .prediction.predict import predict
    from .training import fit

__version__ = '0.2.0'

__all__ = [
    'Box', 'Dataset', 'Net', 'build', 'course', 'data', 'evaluate', 'fit', 'gradcheck', 'init',
    'layers', 'load', 'load_dataset', 'metrics', 'models', 'ops', 'optim', 'predict', 'prediction',
    'pretrained', 'training', 'viz', 'weights',
]

# the modules of the names that are imported when they are first used, which keeps
# `import tinyfcn` fast; all other names of __all__ are modules themselves
_MODULE_OF = {
    'Box': 'net', 'Net': 'net', 'Dataset': 'data', 'load_dataset': 'data', 'build': 'models',
    'load': 'models.load', 'pretrained': 'models.load', 'fit': 'training',
    'evaluate': 'prediction', 'predict': 'prediction',
}


if not TYPE_CHECKING:                                   # else every name would pass as Any
    def __getattr__(name: str) -> Any:
        if name in _MODULE_OF:
            return getattr(import_module(f'.{_MODULE_OF[name]}', __name__), name)
        if name in __all__:
            return import_module(f'.{name}', __name__)
        raise AttributeError(f'tinyfcn has no {name!r}; it has {", ".join(__all__)}')


def __dir__() -> list[str]:
    return __all__
