"""Whose names are these? Foreign names become '<box>.w' and '<box>.b', by a table for each source.

With the source comes the preprocessing its weights were trained on, image → (scale·image − mean) /
std, channels in `order`, an image being 0 … 255. Nothing else in the file says it, and a net that
is fed RGB for BGR fails in silence.
"""
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..files import FormatError


def same(*layers):
    return {layer: layer for layer in layers}


def bgr(*mean):
    return dict(order='BGR', scale=1., mean=mean, std=(1., 1., 1.))


# ---- Our boxes, which are Caffe's layers

VGG = [f'conv{block}_{i}' for block, convs in enumerate((2, 2, 3, 3, 3), 1)
       for i in range(1, convs + 1)]
HEAD = ['fc6', 'fc7', 'fc8']
CAFFENET = [f'conv{i}' for i in range(1, 6)]
FIRE = [f'fire{i}/{part}' for i in range(2, 10)
        for part in ('squeeze1x1', 'expand1x1', 'expand3x3')]
INCEPTION = [f'inception_{which}/{part}' for which in '3a 3b 4a 4b 4c 4d 4e 5a 5b'.split()
             for part in '1x1 3x3_reduce 3x3 5x5_reduce 5x5 pool_proj'.split()]
AUX = [f'loss{i}/{part}' for i in (1, 2) for part in ('conv', 'fc', 'classifier')]
RESNET = ['conv1', 'bn1', *(f'layer{layer}/{block}/{part}'
                            for layer, blocks in enumerate((3, 4, 23, 3), 1)
                            for block in range(blocks)
                            for part in 'conv1 bn1 conv2 bn2 conv3 bn3'.split()
                            + ['downsample/0', 'downsample/1'] * (block == 0))]
DEEP_STEM = ['conv2', 'bn2', 'conv3', 'bn3']

# ---- The same boxes as others call them

FEATURES = dict(zip((f'features.{i}' for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
                    VGG))
FEATURES_FIRE = {'features.0': 'conv1', **dict(zip(
    (f'features.{i}.{part}' for i in (3, 4, 6, 7, 9, 10, 11, 12)
     for part in ('squeeze', 'expand1x1', 'expand3x3')), FIRE))}
BLOCKS = {re.sub(r'conv(\d)_(\d)', r'block\1_conv\2', box): box for box in VGG}

VGG_MEAN, VOC_MEAN = (103.939, 116.779, 123.68), (104.00699, 116.66877, 122.67892)
TORCH = dict(order='RGB', scale=1 / 255, mean=(.485, .456, .406), std=(.229, .224, .225))
FCN_MEANS = {21: VOC_MEAN, 60: (104.007, 116.669, 122.679)}     # 40, of NYUDv2: colour or HHA?


def rows(box, w):
    """fc6 of a net that flattens (H, W, C).   (out, 7·7·C) -> (out, C, 7, 7), channel-major"""
    return w.reshape(len(w), 7, 7, -1).transpose(0, 3, 1, 2) if box == 'fc6' else w


def tensorflow(box, w):
    """(kh, kw, in, out) -> (out, in, kh, kw), and (in, out) -> (out, in)"""
    return w.transpose(3, 2, 0, 1) if w.ndim == 4 else rows(box, w.T)


class Source(NamedTuple):
    """Foreign layer -> box: all of `trunk` is in the file, and of `rest` perhaps something."""
    name: str
    preprocess: dict | None
    trunk: dict
    rest: dict
    ends: dict = {'.w': '.w', '.b': '.b'}
    turn: Callable = lambda box, w: w


# how often a batch norm of PyTorch's was renewed is nothing that a net needs
PYTORCH = {'.weight': '.w', '.bias': '.b', '.running_mean': '.mean', '.running_var': '.var',
           '.num_batches_tracked': ''}
SOURCES = [
    Source('FCN of its authors, Caffe', None, same(*VGG, *HEAD[:2], 'score_fr'), {}),
    Source('FCN of its authors for SIFT Flow, Caffe', bgr(114.578, 115.294, 108.353),
           same(*VGG, *HEAD[:2], 'score_fr_sem', 'score_fr_geo'), {}),
    Source('VGG-16 of Caffe', bgr(*VGG_MEAN), same(*VGG), same(*HEAD)),
    Source('VGG-16 of Frossard, npz', {**bgr(*VGG_MEAN[::-1]), 'order': 'RGB'}, same(*VGG),
           same(*HEAD), {'_W': '.w', '_b': '.b'}, tensorflow),
    Source('VGG-16 of timm', TORCH,
           {**FEATURES, 'pre_logits.fc1': 'fc6', 'pre_logits.fc2': 'fc7'}, {'head.fc': 'fc8'},
           PYTORCH),
    Source('VGG-16 of torchvision', TORCH, FEATURES,
           {'classifier.0': 'fc6', 'classifier.3': 'fc7', 'classifier.6': 'fc8'}, PYTORCH),
    Source('VGG-16 of Keras', bgr(*VGG_MEAN), BLOCKS,
           dict(fc1='fc6', fc2='fc7', predictions='fc8'), turn=rows),
    Source('CaffeNet', bgr(*VOC_MEAN), same(*CAFFENET), same(*HEAD)),
    Source('GoogLeNet of BVLC', bgr(104., 117., 123.),
           same('conv1/7x7_s2', 'conv2/3x3_reduce', 'conv2/3x3', *INCEPTION),
           same('loss3/classifier', *AUX)),
    Source('SqueezeNet v1.1', bgr(104., 117., 123.), same('conv1', *FIRE), same('conv10')),
    Source('SqueezeNet v1.1, npz', bgr(104., 117., 123.), same('conv1', *FIRE), same('conv10'),
           PYTORCH),
    Source('SqueezeNet v1.1 of torchvision', TORCH, FEATURES_FIRE, {'classifier.1': 'conv10'},
           PYTORCH),
    Source('ResNet-101 of torchvision', TORCH, {box.replace('/', '.'): box for box in RESNET},
           same('fc', *DEEP_STEM), PYTORCH),
]
TRUNKISH = re.compile(r'(conv\d|features\.|fire\d|inception|block\d|layer\d)')     # no head


def ours(arrays):
    """{foreign name: array} -> {'<box>.w': array, …}, dict(source=…, preprocess=…)

    A layer that the source's table has not, such as a score layer, keeps its name.
    """
    if all(name.startswith('module.') for name in arrays):              # of DataParallel
        arrays = {name.removeprefix('module.'): array for name, array in arrays.items()}
    for source in SOURCES:
        layers = _layers(arrays, source)
        if source.trunk.keys() <= layers and not _strangers(layers, source):
            break
    else:
        raise FormatError(_none_fits(arrays))
    named = {}
    for name, array in arrays.items():
        layer, end = _split(name, source)
        box, own = (source.trunk | source.rest).get(layer, layer), source.ends.get(end)
        if own == '.w':
            array = np.ascontiguousarray(source.turn(box, array))
        if own != '':
            named[f'{box}{own}' if own else name] = array
    preprocess = source.preprocess
    if 'score_fr.w' in named and source is SOURCES[0]:
        mean = FCN_MEANS.get(len(named['score_fr.w']))
        preprocess = mean and bgr(*mean)
    return named, dict(source=source.name, preprocess=preprocess)


def _split(name, source):
    """'features.0.weight' -> 'features.0', '.weight'; of another end nothing is known"""
    return next(((name.removesuffix(end), end) for end in source.ends if name.endswith(end)),
                (name, ''))


def _layers(arrays, source):
    return {layer for layer, end in (_split(name, source) for name in arrays) if end}


def _strangers(layers, source):
    """Layers that belong to a trunk, but not to this one: VGG-19 has all that VGG-16 has."""
    return sorted(layer for layer in layers - source.trunk.keys() - source.rest.keys()
                  if TRUNKISH.match(layer))


def _none_fits(arrays):
    """Say what was seen, and what the nearest source would have needed."""
    seen = ', '.join([*(f'{name} {arrays[name].shape}' for name in [*arrays][:6]), '…'])
    best = max(SOURCES, key=lambda source: len(source.trunk.keys() & _layers(arrays, source))
               / len(source.trunk))
    layers = _layers(arrays, best)
    lacks, has = sorted(best.trunk.keys() - layers), _strangers(layers, best)
    nearest = '' if len(lacks) == len(best.trunk) else (
        f'. The nearest, {best.name}, ' + ' and '.join(
            [f'would have {", ".join(lacks[:4])}'] * bool(lacks)
            + [f'would not have {", ".join(has[:4])}'] * bool(has)))
    return (f'its {len(arrays)} arrays are of no source known here: {seen}{nearest}. '
            f'Known: {"; ".join(source.name for source in SOURCES)}. `raw` in tinyfcn.weights '
            f'reads them under their own names')
