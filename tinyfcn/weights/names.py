"""Layer names of other programs become '<box>.w' and '<box>.b', by a table for each source.

A source also determines the preprocessing that its weights were trained on, image →
(scale·image − mean) / std, channels in `order`, an image being 0 … 255. The file itself does not
say it, and a net that gets RGB instead of BGR is wrong without any error.
"""
import re
from collections.abc import Callable, Iterable, Mapping
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError
from .arrays import Arrays

Preprocess = dict[str, Any]


def same_names(*layers: str) -> dict[str, str]:
    return {layer: layer for layer in layers}


def bgr(*mean: float) -> Preprocess:
    """Caffe's preprocessing: the mean of each channel is subtracted, blue first."""
    return dict(order='BGR', scale=1., mean=mean, std=(1., 1., 1.))


# ---- The boxes of tinyfcn's nets, which have the names of Caffe's layers

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

# ---- The same boxes under the names of other programs

FEATURES = dict(zip((f'features.{i}' for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
                    VGG))
FEATURES_FIRE = {'features.0': 'conv1', **dict(zip(
    (f'features.{i}.{part}' for i in (3, 4, 6, 7, 9, 10, 11, 12)
     for part in ('squeeze', 'expand1x1', 'expand3x3')), FIRE))}
BLOCKS = {re.sub(r'conv(\d)_(\d)', r'block\1_conv\2', box): box for box in VGG}

VGG_MEAN = (103.939, 116.779, 123.68)
VOC_MEAN = (104.00699, 116.66877, 122.67892)
TORCH: Preprocess = dict(order='RGB', scale=1 / 255, mean=(.485, .456, .406),
                         std=(.229, .224, .225))
# by the number of classes; not 40, of NYUDv2, which may be trained on colour or on HHA
FCN_MEANS = {21: VOC_MEAN, 60: (104.007, 116.669, 122.679)}


def unchanged(box: str, w: NDArray[Any], channels: int) -> NDArray[Any]:
    return w


def fc6_from_hwc(box: str, w: NDArray[Any], channels: int) -> NDArray[Any]:
    """fc6 of a net that flattens (H, W, C).   (out, k·k·C) -> (out, C, k, k), channel-major

    k is 7 if the net was made for images of 224×224, and another number for others.
    """
    if box != 'fc6':
        return w
    k = isqrt(w.shape[1] // max(1, channels))
    if k * k * channels != w.shape[1]:
        raise FormatError(f'its first fc layer has {w.shape[1]:,} inputs, which is no square of '
                          f'the {channels:,} channels of conv5_3: it does not follow pool5, or '
                          f'the net was made for images that are not square; save it without its '
                          f'fc layers (in Keras: include_top=False)')
    return w.reshape(len(w), k, k, channels).transpose(0, 3, 1, 2)


def from_tensorflow(box: str, w: NDArray[Any], channels: int) -> NDArray[Any]:
    """(kh, kw, in, out) -> (out, in, kh, kw), and (in, out) -> (out, in)"""
    return w.transpose(3, 2, 0, 1) if w.ndim == 4 else fc6_from_hwc(box, w.T, channels)


class Source(NamedTuple):
    """Layer name -> box: a file of this source has all of `required`, and may have `optional`."""
    name: str
    preprocess: Preprocess | None
    required: dict[str, str]
    optional: dict[str, str]
    suffixes: dict[str, str] = {'.w': '.w', '.b': '.b'}
    # box, its w, channels of conv5_3 -> w
    convert: Callable[[str, NDArray[Any], int], NDArray[Any]] = unchanged


# num_batches_tracked counts the updates of the running statistics, which no net needs
PYTORCH = {'.weight': '.w', '.bias': '.b', '.running_mean': '.mean', '.running_var': '.var',
           '.num_batches_tracked': ''}
FCN = Source('FCN of its authors, Caffe', None, same_names(*VGG, *HEAD[:2], 'score_fr'), {})
SOURCES = [
    FCN,
    Source('FCN of its authors for SIFT Flow, Caffe', bgr(114.578, 115.294, 108.353),
           same_names(*VGG, *HEAD[:2], 'score_fr_sem', 'score_fr_geo'), {}),
    Source('VGG-16 of Caffe', bgr(*VGG_MEAN), same_names(*VGG), same_names(*HEAD)),
    Source('VGG-16 of Frossard, npz', {**bgr(*VGG_MEAN[::-1]), 'order': 'RGB'}, same_names(*VGG),
           same_names(*HEAD), {'_W': '.w', '_b': '.b'}, from_tensorflow),
    Source('VGG-16 of timm', TORCH,
           {**FEATURES, 'pre_logits.fc1': 'fc6', 'pre_logits.fc2': 'fc7'}, {'head.fc': 'fc8'},
           PYTORCH),
    Source('VGG-16 of torchvision', TORCH, FEATURES,
           {'classifier.0': 'fc6', 'classifier.3': 'fc7', 'classifier.6': 'fc8'}, PYTORCH),
    Source('VGG-16 of Keras', bgr(*VGG_MEAN), BLOCKS,
           dict(fc1='fc6', fc2='fc7', predictions='fc8'), convert=fc6_from_hwc),
    Source('CaffeNet', bgr(*VOC_MEAN), same_names(*CAFFENET), same_names(*HEAD)),
    Source('GoogLeNet of BVLC', bgr(104., 117., 123.),
           same_names('conv1/7x7_s2', 'conv2/3x3_reduce', 'conv2/3x3', *INCEPTION),
           same_names('loss3/classifier', *AUX)),
    Source('SqueezeNet v1.1', bgr(104., 117., 123.), same_names('conv1', *FIRE),
           same_names('conv10')),
    Source('SqueezeNet v1.1, npz', bgr(104., 117., 123.), same_names('conv1', *FIRE),
           same_names('conv10'), PYTORCH),
    Source('SqueezeNet v1.1 of torchvision', TORCH, FEATURES_FIRE, {'classifier.1': 'conv10'},
           PYTORCH),
    Source('ResNet-101 of torchvision', TORCH, {box.replace('/', '.'): box for box in RESNET},
           same_names('fc', *DEEP_STEM), PYTORCH),
]
MAX_PREFIXES = 8                # one before another
PREFIXES = '_orig_mod.', 'module.', 'model.', 'timm_model.', 'backbone.'
BACKBONE_LAYER = re.compile(r'(conv\d|features\.|fire\d|inception|block\d|layer\d)')


def to_our_names(arrays: Arrays) -> tuple[Arrays, dict[str, Any]]:
    """{name in the file: array} -> {'<box>.w': array, …}, dict(source=…, preprocess=…)

    A layer that is not in the source's table, such as a score layer, keeps its name.
    """
    arrays = without_prefixes(arrays)
    source = _source_of(arrays)
    boxes = source.required | source.optional
    channels = next((array.size for name, array in arrays.items()
                     if _box_and_suffix(name, source) == ('conv5_3', '.b')), 0)

    renamed = {}
    for name, array in arrays.items():
        layer, suffix = _split_name(name, source)
        our_suffix = source.suffixes.get(suffix)
        if our_suffix == '':
            continue
        box = boxes.get(layer, layer)
        if our_suffix == '.w':
            array = np.ascontiguousarray(source.convert(box, array, channels))
        renamed[name if our_suffix is None else f'{box}{our_suffix}'] = array

    preprocess = source.preprocess
    if source is FCN and 'score_fr.w' in renamed:
        mean = FCN_MEANS.get(len(renamed['score_fr.w']))
        preprocess = bgr(*mean) if mean else None
    return renamed, dict(source=source.name, preprocess=preprocess)


def without_prefixes(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Names without what torch.compile, DataParallel and classes around a net put before them.

    A prefix goes if most names have it: a backbone may have a head beside it.

    >>> [*without_prefixes({'module.backbone.conv1.weight': ..., 'module.classifier.bias': ...,
    ...                     'module.backbone.bn1.bias': ...})]
    ['conv1.weight', 'classifier.bias', 'bn1.bias']
    """
    stripped = dict(arrays)
    for _ in range(MAX_PREFIXES):
        for prefix in PREFIXES:
            count = sum(name.startswith(prefix) for name in stripped)
            if count <= len(stripped) / 2:
                continue
            shorter = {name.removeprefix(prefix): array for name, array in stripped.items()}
            if len(shorter) == len(stripped):           # else two names would become one
                stripped = shorter
                break
        else:
            break
    return stripped


def _box_and_suffix(name: str, source: Source) -> tuple[str, str | None]:
    layer, suffix = _split_name(name, source)
    return source.required.get(layer, layer), source.suffixes.get(suffix)


def _source_of(arrays: Arrays) -> Source:
    for source in SOURCES:
        layers = _layers(arrays, source)
        if source.required.keys() <= layers and not _unexpected_layers(layers, source):
            return source
    raise FormatError(_unknown_source(arrays))


def _split_name(name: str, source: Source) -> tuple[str, str]:
    """'features.0.weight' -> 'features.0', '.weight'; '' for a suffix that the source has not"""
    for suffix in source.suffixes:
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return name, ''


def _layers(arrays: Iterable[str], source: Source) -> set[str]:
    split = (_split_name(name, source) for name in arrays)
    return {layer for layer, suffix in split if suffix}


def _unexpected_layers(layers: set[str], source: Source) -> list[str]:
    """Layers of a backbone, but not of this one: VGG-19 has all that VGG-16 has, and more."""
    others = layers - source.required.keys() - source.optional.keys()
    return sorted(layer for layer in others if BACKBONE_LAYER.match(layer))


def _unknown_source(arrays: Arrays) -> str:
    """The message: what the file has, and what the most similar source would have instead."""
    def similarity(source: Source) -> float:
        shared = source.required.keys() & _layers(arrays, source)
        return len(shared) / len(source.required)

    nearest = max(SOURCES, key=similarity)
    layers = _layers(arrays, nearest)
    missing = sorted(nearest.required.keys() - layers)
    unexpected = _unexpected_layers(layers, nearest)
    differences = []
    if missing:
        differences.append(f'would have {", ".join(missing[:4])}')
    if unexpected:
        differences.append(f'would not have {", ".join(unexpected[:4])}')

    found = ', '.join([*(f'{name} {arrays[name].shape}' for name in [*arrays][:6]), '…'])
    hint = ''
    if len(missing) < len(nearest.required):
        hint = f'. The nearest, {nearest.name}, {" and ".join(differences)}'
    return (f'its {len(arrays)} arrays are of no known source: {found}{hint}. '
            f'Known: {"; ".join(source.name for source in SOURCES)}. `read_raw` in '
            f'tinyfcn.weights reads them under their own names')
