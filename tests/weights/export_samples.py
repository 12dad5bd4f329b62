"""Nets to export: every weight another number, and how an image is prepared for them."""
import numpy as np

from tinyfcn import build

CAFFE = dict(order='BGR', scale=1., mean=[104., 117., 123.], std=[1., 1., 1.])
TORCH = dict(order='RGB', scale=1 / 255, mean=[.485, .456, .406], std=[.229, .224, .225])


def randomised(net, seed=0):
    """No weight and no running statistic is left at 0 or 1, which would hide what is behind it."""
    rng = np.random.default_rng(seed)
    for name, w in {**net.params, **net.state}.items():
        if name.endswith('.var'):
            w[...] = rng.uniform(.5, 1.5, w.shape)
        elif not w.any() or name.endswith('.mean'):
            w[...] = .2 * rng.standard_normal(w.shape)
    return net


def sample(name, preprocess=None, **kwargs):
    """A net at a sixteenth of its width."""
    net = randomised(build(name, width=1/16, **kwargs))
    if preprocess:
        net.about['preprocess'] = preprocess
    return net


def photo(*size, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), 'uint8')
