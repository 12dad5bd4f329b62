"""Fully convolutional networks for semantic segmentation, from the pixel to the mean IU.

    net = tinyfcn.build('fcn8s', n_class=21)
    score = net.forward(image, train=True)
    loss, dscore = tinyfcn.ops.softmax_cross_entropy(score, label)
    grads = net.backward(score=dscore)
    tinyfcn.optim.SGD(lr=1e-10, momentum=.99).step(net.params, grads)

    tinyfcn.fit(net, pictures, recipe)          or all of it at once; evaluate, predict follow
"""
import os
import sys
from importlib import import_module
from itertools import takewhile

__version__ = '0.1.0'


def _choose_blas_kernel(cpuinfo='/proc/cpuinfo'):
    """OpenBLAS takes an AMD newer than itself for one without AVX-512, at half the speed."""
    if 'OPENBLAS_CORETYPE' in os.environ:
        return
    try:
        with open(cpuinfo) as file:                             # up to the end of the first core
            lines = [line.partition(':') for line in takewhile(str.strip, file)]
    except OSError:                                             # no Linux
        return
    about = {key.strip(): set(value.split()) for key, _, value in lines}
    if 'AuthenticAMD' in about.get('vendor_id', ()) and about.get('flags', set()) >= {
            'avx512f', 'avx512bw', 'avx512dq', 'avx512vl'}:
        os.environ['OPENBLAS_CORETYPE'] = 'SkylakeX'


# OpenBLAS looks at these once, when NumPy is loaded; whoever has chosen is left alone
if 'numpy' not in sys.modules:
    _choose_blas_kernel()
    # its threads spin after a product, 2²⁶ cycles by default, and keep ours from a core
    os.environ.setdefault('OPENBLAS_THREAD_TIMEOUT', '20')

# a submodule is imported when one of its names is first used: `import tinyfcn` stays fast
_MODULE_OF = {'Net': 'net', 'Box': 'net', 'Dataset': 'data', 'build': 'models', 'fit': 'training',
              'evaluate': 'prediction', 'predict': 'prediction'}
_SUBMODULES = ('course data gradcheck init layers metrics models ops optim prediction training viz '
               'weights').split()
__all__ = ['load', *_MODULE_OF, *_SUBMODULES]


def load(path):
    """The net that `net.save(path)` has saved, built anew and filled. -> Net"""
    from .models import build
    from .weights import transplant
    from .weights.safetensors_file import load, weights_only

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
    if name in _MODULE_OF:
        return getattr(import_module(f'.{_MODULE_OF[name]}', __name__), name)
    if name in _SUBMODULES:
        return import_module(f'.{name}', __name__)
    raise AttributeError(f'tinyfcn has no {name!r}; it has {", ".join(__all__)}')


def __dir__():
    return __all__
