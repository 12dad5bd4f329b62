"""How the files of known sources name their layers, and which net each file fills.

A layout also says which images the weights were trained on, image → (scale·image − mean) / std,
channels in `order`, an image being 0 … 255. Most files do not say it, and a net that gets RGB
instead of BGR is wrong without any error.
"""
import re
from collections.abc import Callable
from math import isqrt
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..files import FormatError
from .arrays import Arrays

Preprocess = dict[str, Any]


def same_names(*layers: str) -> dict[str, str]:
    return {layer: layer for layer in layers}


def with_dots(*boxes: str) -> dict[str, str]:
    """The names that PyTorch gives to boxes in which a dot would be a slash."""
    return {box.replace('/', '.'): box for box in boxes}


def bgr(*mean: float) -> Preprocess:
    """Caffe's preprocessing: the mean of each channel is subtracted, blue first."""
    return dict(order='BGR', scale=1., mean=mean, std=(1.,) * len(mean))


# ---- The boxes of tinyfcn's nets, which have the names of Caffe's layers

VGG = [f'conv{block}_{i}' for block, convs in enumerate((2, 2, 3, 3, 3), 1)
       for i in range(1, convs + 1)]
HEAD = ['fc6', 'fc7', 'fc8']
FCN_BOXES = [*VGG, *HEAD[:2], 'score_fr']
CAFFENET = [f'conv{i}' for i in range(1, 6)]
FIRE = [f'fire{i}/{part}' for i in range(2, 10)
        for part in ('squeeze1x1', 'expand1x1', 'expand3x3')]
INCEPTION = [f'inception_{which}/{part}' for which in '3a 3b 4a 4b 4c 4d 4e 5a 5b'.split()
             for part in '1x1 3x3_reduce 3x3 5x5_reduce 5x5 pool_proj'.split()]
AUX = [f'loss{i}/{part}' for i in (1, 2) for part in ('conv', 'fc', 'classifier')]


RESNET50, RESNET101 = (
    ['conv1', 'bn1', *(f'layer{layer}/{block}/{part}'
                       for layer, blocks in enumerate((3, 4, layer3, 3), 1)
                       for block in range(blocks)
                       for part in 'conv1 bn1 conv2 bn2 conv3 bn3'.split()
                       + ['downsample/0', 'downsample/1'] * (block == 0))]
    for layer3 in (6, 23))
DEEP_STEM = ['conv2', 'bn2', 'conv3', 'bn3']
FCN_HEAD = ['classifier/0', 'classifier/1', 'classifier/4']
AUX_HEAD = [f'aux_{box}' for box in FCN_HEAD]
DEEPLAB_HEAD = [f'classifier/{part}' for part in (
    *(f'0/convs/{i}/{part}' for i in range(4) for part in (0, 1)), '0/convs/4/1', '0/convs/4/2',
    '0/project/0', '0/project/1', 1, 2, 4)]

# ---- The same boxes under the names of other programs

FEATURES = dict(zip((f'features.{i}' for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
                    VGG))
FEATURES_FIRE = {'features.0': 'conv1', **dict(zip(
    (f'features.{i}.{part}' for i in (3, 4, 6, 7, 9, 10, 11, 12)
     for part in ('squeeze', 'expand1x1', 'expand3x3')), FIRE))}
FEATURES_ALEXNET = dict(zip((f'features.{i}' for i in (0, 3, 6, 8, 10)), CAFFENET))
BLOCKS = {re.sub(r'conv(\d)_(\d)', r'block\1_conv\2', box): box for box in VGG}
# of the FCNs of 2015, whose deconvolutions had other names; `upsample` depends on the net
UPSCORES_2015 = {'score2': 'upscore2', 'score4': 'upscore_pool4'}

VGG_MEAN = (103.939, 116.779, 123.68)
VOC_MEAN = (104.00699, 116.66877, 122.67892)
NYUD_COLOUR = (116.190, 97.203, 92.318)
NYUD_HHA = (132.431, 94.076, 118.477)
TORCH: Preprocess = dict(order='RGB', scale=1 / 255, mean=(.485, .456, .406),
                         std=(.229, .224, .225))
# By net, the pixels of the shorter side of the images that published weights were trained on, and
# to which images are resized for them. All other nets see images as they are
SHORTER_SIDES = {
    **dict.fromkeys(('vgg16', 'alexnet', 'googlenet', 'squeezenet', 'alexnet_torchvision',
                     'resnet50', 'resnet101'), 256),
    **dict.fromkeys(('fcn_resnet50', 'fcn_resnet101', 'deeplabv3_resnet50',
                     'deeplabv3_resnet101'), 520)}
# by the number of classes; not 40, of NYUDv2, which may be trained on colour or on HHA
FCN_MEANS = {21: VOC_MEAN, 60: (104.007, 116.669, 122.679)}
# what the names of published files say beside their weights
FILE_PREPROCESS: dict[str, Preprocess] = {
    'nyud-fcn32s-color-heavy': bgr(*NYUD_COLOUR),
    'nyud-fcn32s-hha-heavy': dict(bgr(*NYUD_HHA), order='RGB'),     # not reversed
}


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


def always(arrays: Arrays) -> bool:
    return True


def is_without_groups(arrays: Arrays) -> bool:
    """Whether the second convolution reads all channels of the first; in CaffeNet it reads half."""
    names = [f'{box}.w' for box in CAFFENET[:2]]
    first, second = (arrays[name].shape if name in arrays else () for name in names)
    return len(second) == 4 and first[:1] == second[1:2]


class Fills(NamedTuple):
    """A net that weights fill: its name in `build`, and by what the file shows it."""
    net: str
    score: str                          # the box with an output for each class
    boxes: tuple[str, ...] = ()         # others that the file has, and similar nets have not
    channels: int | None = None         # of the image, where not those of the first convolution


class Layout(NamedTuple):
    """Layer name -> box: a file of this layout has all of `required`, and may have `optional`."""
    name: str
    preprocess: Preprocess | None
    required: dict[str, str]            # the first convolution first
    optional: dict[str, str]
    suffixes: dict[str, str] = {'.w': '.w', '.b': '.b'}
    # box, its w, channels of conv5_3 -> w
    convert: Callable[[str, NDArray[Any], int], NDArray[Any]] = unchanged
    fills: tuple[Fills, ...] = ()       # the first that fits the file
    depth: int = 64                     # filters of the first convolution in the paper
    constants: tuple[str, ...] = ()     # arrays that the net has as fixed numbers
    fits: Callable[[Arrays], bool] = always     # of layouts with the same names, shapes tell


# num_batches_tracked counts the updates of the running statistics, which no net needs
PYTORCH = {'.weight': '.w', '.bias': '.b', '.running_mean': '.mean', '.running_var': '.var',
           '.num_batches_tracked': ''}

FILLS_VGG16 = Fills('vgg16', 'fc8'),
FILLS_SQUEEZENET = Fills('squeezenet', 'conv10'),
FCN = Layout(
    'FCN of its authors, Caffe', None, same_names(*FCN_BOXES), UPSCORES_2015,
    fills=(Fills('fcn8s_at_once', 'score_fr', ('score_pool3', 'scale_pool3')),
           Fills('fcn8s', 'score_fr', ('score_pool3',)),
           Fills('fcn16s', 'score_fr', ('score_pool4',)), Fills('fcn32s', 'score_fr')),
    constants=('scale_pool3.0', 'scale_pool4.0'))
FCN_TORCH = FCN._replace(name='FCN of its authors, PyTorch', suffixes=PYTORCH)
SIFTFLOW = Layout(
    'FCN of its authors for SIFT Flow, Caffe', bgr(114.578, 115.294, 108.353),
    same_names(*FCN_BOXES[:-1], 'score_fr_sem', 'score_fr_geo'), {},
    fills=(Fills('siftflow_8s', 'score_fr_sem', ('score_pool3_sem',)),
           Fills('siftflow_16s', 'score_fr_sem', ('score_pool4_sem',)),
           Fills('siftflow_32s', 'score_fr_sem')))
TWO_SENSORS = Layout(
    'FCN of its authors for colour and HHA, Caffe', bgr(*NYUD_COLOUR, *NYUD_HHA),
    same_names(*(f'{box}{sensor}' for sensor in ('color', 'hha') for box in FCN_BOXES)), {},
    fills=(Fills('nyud_rgb_hha_16s', 'score_frcolor', ('score_pool4color',), channels=6),
           Fills('nyud_rgb_hha_32s', 'score_frcolor', channels=6)))


LAYOUTS = [
    FCN, FCN_TORCH, SIFTFLOW, TWO_SENSORS,
    Layout('VGG-16 of Caffe', bgr(*VGG_MEAN), same_names(*VGG), same_names(*HEAD),
           fills=FILLS_VGG16),
    Layout('VGG-16 under the names of Caffe, PyTorch', None, same_names(*VGG), same_names(*HEAD),
           PYTORCH, fills=FILLS_VGG16),
    Layout('VGG-16 of Frossard, npz', {**bgr(*VGG_MEAN[::-1]), 'order': 'RGB'}, same_names(*VGG),
           same_names(*HEAD), {'_W': '.w', '_b': '.b'}, from_tensorflow, FILLS_VGG16),
    Layout('VGG-16 of timm', TORCH,
           {**FEATURES, 'pre_logits.fc1': 'fc6', 'pre_logits.fc2': 'fc7'}, {'head.fc': 'fc8'},
           PYTORCH, fills=FILLS_VGG16),
    # the fc layers of its first files came after their dropout
    Layout('VGG-16 of torchvision, dropout first', TORCH,
           {**FEATURES, 'classifier.1': 'fc6', 'classifier.4': 'fc7'}, {'classifier.6': 'fc8'},
           PYTORCH, fills=FILLS_VGG16),
    Layout('VGG-16 of torchvision', TORCH, FEATURES,
           {'classifier.0': 'fc6', 'classifier.3': 'fc7', 'classifier.6': 'fc8'}, PYTORCH,
           fills=FILLS_VGG16),
    Layout('VGG-16 of Keras', bgr(*VGG_MEAN), BLOCKS,
           dict(fc1='fc6', fc2='fc7', predictions='fc8'), convert=fc6_from_hwc,
           fills=FILLS_VGG16),
    Layout('AlexNet of torchvision, under the names of Caffe', TORCH, same_names(*CAFFENET),
           same_names(*HEAD), fills=(Fills('alexnet_torchvision', 'fc8'),),
           fits=is_without_groups),
    Layout('CaffeNet', bgr(*VOC_MEAN), same_names(*CAFFENET), same_names(*HEAD),
           fills=(Fills('fcn_alexnet', 'score_fr'), Fills('alexnet', 'fc8')), depth=96),
    Layout('GoogLeNet of BVLC', bgr(104., 117., 123.),
           same_names('conv1/7x7_s2', 'conv2/3x3_reduce', 'conv2/3x3', *INCEPTION),
           same_names('loss3/classifier', *AUX), fills=(Fills('googlenet', 'loss3/classifier'),)),
    Layout('SqueezeNet v1.1', bgr(104., 117., 123.), same_names('conv1', *FIRE),
           same_names('conv10'), fills=FILLS_SQUEEZENET),
    Layout('SqueezeNet v1.1, npz', bgr(104., 117., 123.), same_names('conv1', *FIRE),
           same_names('conv10'), PYTORCH, fills=FILLS_SQUEEZENET),
    Layout('SqueezeNet v1.1 of torchvision', TORCH, FEATURES_FIRE, {'classifier.1': 'conv10'},
           PYTORCH, fills=FILLS_SQUEEZENET),
    Layout('AlexNet of torchvision', TORCH, FEATURES_ALEXNET,
           {'classifier.1': 'fc6', 'classifier.4': 'fc7', 'classifier.6': 'fc8'}, PYTORCH,
           fills=(Fills('alexnet_torchvision', 'fc8'),)),
    # before the ResNets, which lack the heads and have all else
    *(Layout(f'{name} of torchvision', TORCH, with_dots(*trunk, *head), with_dots(*AUX_HEAD),
             PYTORCH, fills=(Fills(net, 'classifier/4'),))
      for name, net, trunk, head in (
          ('FCN on ResNet-50', 'fcn_resnet50', RESNET50, FCN_HEAD),
          ('FCN on ResNet-101', 'fcn_resnet101', RESNET101, FCN_HEAD),
          ('DeepLab v3 on ResNet-50', 'deeplabv3_resnet50', RESNET50, DEEPLAB_HEAD),
          ('DeepLab v3 on ResNet-101', 'deeplabv3_resnet101', RESNET101, DEEPLAB_HEAD))),
    *(Layout(f'{name} of torchvision', TORCH, with_dots(*trunk), same_names('fc'), PYTORCH,
             fills=(Fills(net, 'fc'),))
      for name, net, trunk in (('ResNet-101', 'resnet101', RESNET101),
                               ('ResNet-50', 'resnet50', RESNET50))),
    *(Layout(f'{name} with a deep stem', TORCH, with_dots(*trunk, *DEEP_STEM), same_names('fc'),
             PYTORCH) for name, trunk in (('ResNet-101', RESNET101), ('ResNet-50', RESNET50))),
]
