"""Fully convolutional networks for semantic segmentation, from the pixel to the mean IU.

    net = tinyfcn.build('fcn8s', n_class=21)
    score = net.forward(image, train=True)
    loss, dscore = tinyfcn.ops.softmax_cross_entropy(score, label)
    grads = net.backward(score=dscore)
    tinyfcn.optim.SGD(lr=1e-10, momentum=.99).step(net.params, grads)
"""
from importlib import import_module

__version__ = '0.1.0'

# the front door opens a room only when somebody asks for it: `import tinyfcn` stays quick
_ROOMS = {'Net': 'net', 'Box': 'net', 'build': 'models'}
_FOLDERS = 'gradcheck init layers metrics models ops optim viz weights'.split()
__all__ = ['load', *_ROOMS, *_FOLDERS]


def load(path):
    """The net that `net.save(path)` has saved, built anew and filled. -> Net"""
    from .models import build
    from .storage import load, weights_only
    from .weights import transplant

    arrays, about = load(path)
    arrays = weights_only(arrays)
    if 'build' not in about:
        raise ValueError(f'{path}: weights, but not of which net; build one, then '
                         f'tinyfcn.weights.transplant(net, tinyfcn.weights.read(path)[0])')
    dtype = next(iter(arrays.values())).dtype.name
    net = build(**about['build'], dtype=dtype, seed=None)
    report = transplant(net, arrays)
    if report.missing or report.left:
        raise ValueError(f'{path}: not the weights of {about["build"]}\n{report}')
    net.seed, net.frozen = about.pop('seed'), set(about.pop('frozen'))
    about.pop('machine', None)                          # of a checkpoint, which the net is not
    net.about = about
    return net


def __getattr__(name):
    if name in _ROOMS:
        return getattr(import_module(f'.{_ROOMS[name]}', __name__), name)
    if name in _FOLDERS:
        return import_module(f'.{name}', __name__)
    raise AttributeError(f'tinyfcn has no {name!r}; it has {", ".join(__all__)}')


def __dir__():
    return __all__
