"""One paper, one file; each function appends the boxes of its figure to an empty net."""
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

from ..layers import check_n_class, check_width, upsample
from ..net.net import Net
from . import deeplab, fcn, nyud, segnet, siftflow, tiny
from .alexnet import alexnet, alexnet_torchvision
from .autoencoder import cae, cae_fcn
from .deconvnet import deconvnet, edeconvnet
from .deeplabv3 import deeplabv3_resnet
from .fcn_googlenet import fcn_googlenet_skips
from .fcn_resnet import fcn_resnet
from .fcn_squeezenet import fcn_squeezenet
from .googlenet import googlenet
from .pspnet import pspnet
from .resnet import RESNET50, RESNET101, resnet
from .squeezenet import squeezenet
from .unet import unet
from .vgg import vgg16


class Model(NamedTuple):
    """A function that appends the boxes to a net, and the paper's channels and classes."""

    draw: Callable[..., Any]
    channels: int
    n_class: int


_ROWS: dict[str, tuple[Callable[..., Any], int, int]] = {
    'vgg16': (vgg16, 3, 1000), 'alexnet': (alexnet, 3, 1000),
    'googlenet': (googlenet, 3, 1000), 'squeezenet': (squeezenet, 3, 1000),
    'alexnet_torchvision': (alexnet_torchvision, 3, 1000),
    'resnet50': (partial(resnet, blocks=RESNET50), 3, 1000),
    'resnet101': (partial(resnet, blocks=RESNET101), 3, 1000),
    'fcn32s': (fcn.fcn32s, 3, 21), 'fcn32s_fixed': (fcn.fcn32s_fixed, 3, 21),
    'fcn16s': (fcn.fcn16s, 3, 21), 'fcn8s': (fcn.fcn8s, 3, 21),
    'fcn8s_at_once': (fcn.fcn8s_at_once, 3, 21),
    'fcn_alexnet': (fcn.fcn_alexnet, 3, 21),
    'fcn_alexnet_torchvision': (fcn.fcn_alexnet_torchvision, 3, 21),
    'fcn_googlenet': (fcn.fcn_googlenet, 3, 21),
    **{f'fcn_googlenet_{stride}s': (partial(fcn_googlenet_skips, stride=stride), 3, 21)
       for stride in (16, 8, 4)},
    **{f'fcn_squeezenet_{stride}s': (partial(fcn_squeezenet, stride=stride), 3, 21)
       for stride in (16, 8, 4)},
    'fcn_resnet50': (partial(fcn_resnet, blocks=RESNET50), 3, 21),
    'fcn_resnet101': (partial(fcn_resnet, blocks=RESNET101), 3, 21),
    'deeplabv3_resnet50': (partial(deeplabv3_resnet, blocks=RESNET50), 3, 21),
    'deeplabv3_resnet101': (partial(deeplabv3_resnet, blocks=RESNET101), 3, 21),
    'nyud_rgb_32s': (fcn.fcn32s, 3, 40), 'nyud_rgb_16s': (fcn.fcn16s, 3, 40),
    'nyud_rgbd_32s': (fcn.fcn32s, 4, 40), 'nyud_rgbd_16s': (fcn.fcn16s, 4, 40),
    'nyud_hha_32s': (fcn.fcn32s, 3, 40), 'nyud_hha_16s': (fcn.fcn16s, 3, 40),
    'nyud_rgb_hha_32s': (nyud.rgb_hha_32s, 6, 40), 'nyud_rgb_hha_16s': (nyud.rgb_hha_16s, 6, 40),
    'siftflow_32s': (partial(siftflow.two_heads, head=fcn.stride32), 3, 33),
    'siftflow_16s': (partial(siftflow.two_heads, head=fcn.stride16), 3, 33),
    'siftflow_8s': (partial(siftflow.two_heads, head=fcn.stride8), 3, 33),
    'tiny_32s': (partial(tiny.tiny, head=fcn.stride32), 3, 5),
    'tiny_16s': (partial(tiny.tiny, head=fcn.stride16), 3, 5),
    'tiny_8s': (partial(tiny.tiny, head=fcn.stride8), 3, 5),
    'cae': (cae, 3, 3), 'cae_fcn': (cae_fcn, 3, 5), 'deconvnet': (deconvnet, 3, 21),
    'edeconvnet': (edeconvnet, 3, 21),
    'segnet': (segnet.segnet, 3, 11), 'segnet_basic': (segnet.segnet_basic, 3, 11),
    'unet': (unet, 3, 2), 'unet_same': (partial(unet, same=True), 3, 2),
    'deeplab_largefov': (deeplab.deeplab_largefov, 3, 21),
    'deeplab_aspp': (deeplab.deeplab_aspp, 3, 21),
    'deeplab_resnet101': (deeplab.deeplab_resnet101, 3, 21), 'pspnet': (pspnet, 3, 21),
}
NETS = {name: Model(*row) for name, row in _ROWS.items()}


# how an FCN upsamples its scores
UP = {'fixed': upsample, 'learned': fcn.learned_upsample}


def build(name: str, n_class: int | None = None, channels: int | None = None, width: float = 1,
          dtype: str = 'float32', seed: int | None = 0, **variant: Any) -> Net:
    """A net by its name, with random weights; seed=None leaves all weights at zero.

    n_class and channels default to the paper's. width=1/16 makes every layer a sixteenth as wide.
    up='learned' is a variant of most FCNs.

    >>> net = build('fcn8s', n_class=21, seed=None)
    >>> net
    <Net of 49 boxes, 134,362,751 parameters>
    >>> net.sizes((500, 500))['upscore8']
    (568, 568)
    """
    if not isinstance(name, str) or name not in NETS:
        near = get_close_matches(str(name), NETS, 1)
        hint = f'did you mean {near[0]!r}? ' if near else ''
        raise ValueError(f'no net called {name!r}; {hint}there are {", ".join(NETS)}')
    if variant.get('up', 'fixed') not in list(UP):
        raise ValueError(f"up is {variant['up']!r}: {' or '.join(map(repr, UP))}")
    model = NETS[name]
    known = _variants(name)
    for key in variant:
        if key not in known:
            raise TypeError(f'{name} has no variant {key!r}; it has {", ".join(known) or "none"}')
    n_class = model.n_class if n_class is None else check_n_class(n_class)
    width = check_width(width)
    net = Net(model.channels if channels is None else channels, dtype, seed)
    model.draw(net, n_class, width, **{key: UP.get(value, value) for key, value in variant.items()})
    net.about['build'] = dict(name=name, n_class=n_class, channels=net.data.channels, width=width,
                              **variant)
    return net


def _variants(name: str) -> list[str]:
    """The keywords of a net beside those of every net, less those that its name decides."""
    draw = NETS[name].draw
    decided = getattr(draw, 'keywords', {})             # of a partial
    _, _, _, *others = signature(draw).parameters       # n, n_class, width
    return [key for key in others if key not in decided]
