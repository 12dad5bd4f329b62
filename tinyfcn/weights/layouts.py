"""How the files of known sources name their layers, and which net each file fills.

A layout also says which images the weights were trained on, image → (scale·image − mean) / std,
channels in `order`, an image being 0 … 255. Most files do not say it, and a net that gets RGB
instead of BGR gives wrong scores without any error.
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
    """{layer in PyTorch: box}: a box has a slash where PyTorch has a dot."""
    return {box.replace('/', '.'): box for box in boxes}


def bgr(*mean: float) -> Preprocess:
    """Caffe's preprocessing: BGR, minus the mean of each channel."""
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
RGB_NORMALISED: Preprocess = dict(order='RGB', scale=1 / 255, mean=(.485, .456, .406),
                                  std=(.229, .224, .225))
# For these nets, images are resized so that their shorter side has as many pixels as those that the
# published weights were trained on. For all other nets, images keep their size
SHORTER_SIDES = {
    **dict.fromkeys(('vgg16', 'alexnet', 'googlenet', 'squeezenet', 'alexnet_torchvision',
                     'resnet50', 'resnet101'), 256),
    **dict.fromkeys(('fcn_resnet50', 'fcn_resnet101', 'deeplabv3_resnet50',
                     'deeplabv3_resnet101'), 520)}
# by the number of classes; without the 40 of NYUDv2, where the net may read colour or HHA
FCN_MEANS = {21: VOC_MEAN, 60: (104.007, 116.669, 122.679)}
# by the name of a published file, where its weights do not show the preprocessing
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
        raise FormatError(f'its first fc layer has {w.shape[1]:,} inputs, which are not a '
                          f'square for each of the {channels:,} channels of conv5_3: it does not '
                          f'follow pool5, or the net was made for images that are not square; save '
                          f'it without its fc layers (in Keras: include_top=False)')
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


class FilledNet(NamedTuple):
    """A net that the weights of a file fill, and how the file shows that it is this one."""
    net: str                            # its name in `build`
    score: str                          # the box with an output for each class
    boxes: tuple[str, ...] = ()         # other boxes, which similar nets do not have
    channels: int | None = None         # of the image; None: those of the first convolution


class Layout(NamedTuple):
    """{layer: box} of a known source: its files have all of `required`, and may have `optional`."""
    name: str
    preprocess: Preprocess | None
    required: dict[str, str]            # beginning with the first convolution
    optional: dict[str, str]
    suffixes: dict[str, str] = {'.w': '.w', '.b': '.b'}
    # box, its w, channels of conv5_3 -> w
    convert: Callable[[str, NDArray[Any], int], NDArray[Any]] = unchanged
    nets: tuple[FilledNet, ...] = ()    # the first that fits the file is taken
    depth: int = 64                     # filters of the first convolution in the paper
    constants: tuple[str, ...] = ()     # arrays that are constants of our net
    # for layouts with the same names: whether the shapes are those of this one
    fits: Callable[[Arrays], bool] = always


# num_batches_tracked counts the updates of the running statistics, which no net needs
TORCH_SUFFIXES = {'.weight': '.w', '.bias': '.b', '.running_mean': '.mean', '.running_var': '.var',
           '.num_batches_tracked': ''}

VGG16_NET = FilledNet('vgg16', 'fc8'),
SQUEEZENET_NET = FilledNet('squeezenet', 'conv10'),
FCN = Layout(
    'FCN of its authors, Caffe', None, same_names(*FCN_BOXES), UPSCORES_2015,
    nets=(FilledNet('fcn8s_at_once', 'score_fr', ('score_pool3', 'scale_pool3')),
          FilledNet('fcn8s', 'score_fr', ('score_pool3',)),
          FilledNet('fcn16s', 'score_fr', ('score_pool4',)), FilledNet('fcn32s', 'score_fr')),
    constants=('scale_pool3.0', 'scale_pool4.0'))
FCN_TORCH = FCN._replace(name='FCN of its authors, PyTorch', suffixes=TORCH_SUFFIXES)
SIFTFLOW = Layout(
    'FCN of its authors for SIFT Flow, Caffe', bgr(114.578, 115.294, 108.353),
    same_names(*FCN_BOXES[:-1], 'score_fr_sem', 'score_fr_geo'), {},
    nets=(FilledNet('siftflow_8s', 'score_fr_sem', ('score_pool3_sem',)),
          FilledNet('siftflow_16s', 'score_fr_sem', ('score_pool4_sem',)),
          FilledNet('siftflow_32s', 'score_fr_sem')))
TWO_SENSORS = Layout(
    'FCN of its authors for colour and HHA, Caffe', bgr(*NYUD_COLOUR, *NYUD_HHA),
    same_names(*(f'{box}{sensor}' for sensor in ('color', 'hha') for box in FCN_BOXES)), {},
    nets=(FilledNet('nyud_rgb_hha_16s', 'score_frcolor', ('score_pool4color',), channels=6),
          FilledNet('nyud_rgb_hha_32s', 'score_frcolor', channels=6)))


LAYOUTS = [
    FCN, FCN_TORCH, SIFTFLOW, TWO_SENSORS,
    Layout('VGG-16 of Caffe', bgr(*VGG_MEAN), same_names(*VGG), same_names(*HEAD),
           nets=VGG16_NET),
    Layout('VGG-16 under the names of Caffe, PyTorch', None, same_names(*VGG), same_names(*HEAD),
           TORCH_SUFFIXES, nets=VGG16_NET),
    Layout('VGG-16 of Frossard, npz', {**bgr(*VGG_MEAN[::-1]), 'order': 'RGB'}, same_names(*VGG),
           same_names(*HEAD), {'_W': '.w', '_b': '.b'}, from_tensorflow, VGG16_NET),
    Layout('VGG-16 of timm', RGB_NORMALISED,
           {**FEATURES, 'pre_logits.fc1': 'fc6', 'pre_logits.fc2': 'fc7'}, {'head.fc': 'fc8'},
           TORCH_SUFFIXES, nets=VGG16_NET),
    # the fc layers of its first files came after their dropout
    Layout('VGG-16 of torchvision, dropout first', RGB_NORMALISED,
           {**FEATURES, 'classifier.1': 'fc6', 'classifier.4': 'fc7'}, {'classifier.6': 'fc8'},
           TORCH_SUFFIXES, nets=VGG16_NET),
    Layout('VGG-16 of torchvision', RGB_NORMALISED, FEATURES,
           {'classifier.0': 'fc6', 'classifier.3': 'fc7', 'classifier.6': 'fc8'}, TORCH_SUFFIXES,
           nets=VGG16_NET),
    Layout('VGG-16 of Keras', bgr(*VGG_MEAN), BLOCKS,
           dict(fc1='fc6', fc2='fc7', predictions='fc8'), convert=fc6_from_hwc,
           nets=VGG16_NET),
    Layout('AlexNet of torchvision, under the names of Caffe', RGB_NORMALISED,
           same_names(*CAFFENET), same_names(*HEAD),
           nets=(FilledNet('alexnet_torchvision', 'fc8'),), fits=is_without_groups),
    Layout('CaffeNet', bgr(*VOC_MEAN), same_names(*CAFFENET), same_names(*HEAD),
           nets=(FilledNet('fcn_alexnet', 'score_fr'), FilledNet('alexnet', 'fc8')), depth=96),
    Layout('GoogLeNet of BVLC', bgr(104., 117., 123.),
           same_names('conv1/7x7_s2', 'conv2/3x3_reduce', 'conv2/3x3', *INCEPTION),
           same_names('loss3/classifier', *AUX),
           nets=(FilledNet('googlenet', 'loss3/classifier'),)),
    Layout('SqueezeNet v1.1', bgr(104., 117., 123.), same_names('conv1', *FIRE),
           same_names('conv10'), nets=SQUEEZENET_NET),
    Layout('SqueezeNet v1.1, npz', bgr(104., 117., 123.), same_names('conv1', *FIRE),
           same_names('conv10'), TORCH_SUFFIXES, nets=SQUEEZENET_NET),
    Layout('SqueezeNet v1.1 of torchvision', RGB_NORMALISED, FEATURES_FIRE,
           {'classifier.1': 'conv10'}, TORCH_SUFFIXES, nets=SQUEEZENET_NET),
    Layout('AlexNet of torchvision', RGB_NORMALISED, FEATURES_ALEXNET,
           {'classifier.1': 'fc6', 'classifier.4': 'fc7', 'classifier.6': 'fc8'}, TORCH_SUFFIXES,
           nets=(FilledNet('alexnet_torchvision', 'fc8'),)),
    # before the ResNets, which lack the heads and have all else
    *(Layout(f'{name} of torchvision', RGB_NORMALISED, with_dots(*trunk, *head),
             with_dots(*AUX_HEAD), TORCH_SUFFIXES, nets=(FilledNet(net, 'classifier/4'),))
      for name, net, trunk, head in (
          ('FCN on ResNet-50', 'fcn_resnet50', RESNET50, FCN_HEAD),
          ('FCN on ResNet-101', 'fcn_resnet101', RESNET101, FCN_HEAD),
          ('DeepLab v3 on ResNet-50', 'deeplabv3_resnet50', RESNET50, DEEPLAB_HEAD),
          ('DeepLab v3 on ResNet-101', 'deeplabv3_resnet101', RESNET101, DEEPLAB_HEAD))),
    *(Layout(f'{name} of torchvision', RGB_NORMALISED, with_dots(*trunk), same_names('fc'),
             TORCH_SUFFIXES, nets=(FilledNet(net, 'fc'),))
      for name, net, trunk in (('ResNet-101', 'resnet101', RESNET101),
                               ('ResNet-50', 'resnet50', RESNET50))),
    *(Layout(f'{name} with a deep stem', RGB_NORMALISED, with_dots(*trunk, *DEEP_STEM),
             same_names('fc'), TORCH_SUFFIXES)
      for name, trunk in (('ResNet-101', RESNET101), ('ResNet-50', RESNET50))),
]
