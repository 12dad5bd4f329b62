"""Where trained weights are available, and under which licence: one row for each name.

A checksum decides whether a file is the right one, whichever mirror it comes from. PyTorch
publishes the first digits of the SHA-256, in the names of its files; its other digits, and other
checksums, are from projects that have downloaded the files and agree with each other.
"""
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..fetch.source import Source


class WeightsSource(NamedTuple):
    """Weights: their files, of which the first available is used, their net, licence and citation.

    net: its name in `build`; n_class: the number of classes that they score.
    """

    files: Sequence[Source]
    net: str
    n_class: int | None
    licence: str
    citation: str
    remark: str = ''


# ---- licences and citations ----------------------------------------------------------------------

BVLC = 'unrestricted use, by the BVLC model license'
TORCHVISION = ('BSD 3-Clause, that of torchvision, which warns that weights may have terms of '
               'their own, from the images they were trained on')

ALEXNET = ('Krizhevsky, Sutskever & Hinton, ImageNet Classification with Deep Convolutional Neural '
           'Networks, NIPS 2012')
CAFFE = 'Jia et al., Caffe: Convolutional Architecture for Fast Feature Embedding, ACM MM 2014'
DEEPLAB = ('Chen, Papandreou, Schroff & Adam, Rethinking Atrous Convolution for Semantic Image '
           'Segmentation, arXiv:1706.05587')
FCN = ('Shelhamer, Long & Darrell, Fully Convolutional Networks for Semantic Segmentation, PAMI '
       '2017')
FCN_2015 = ('Long, Shelhamer & Darrell, Fully Convolutional Networks for Semantic Segmentation, '
            'CVPR 2015')
GOOGLENET = 'Szegedy et al., Going Deeper with Convolutions, CVPR 2015'
RESNET = 'He, Zhang, Ren & Sun, Deep Residual Learning for Image Recognition, CVPR 2016'
SQUEEZENET = ('Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, '
              'arXiv:1602.07360')
VGG = ('Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, '
       'ICLR 2015')

COCO = "trained on COCO's images with VOC's 21 classes; "
NO_AUX = 'its second file lacks the auxiliary head, which only training uses'

# ---- mirrors -------------------------------------------------------------------------------------

BERKELEY = 'http://dl.caffe.berkeleyvision.org/'
MXNET = 'https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/caffe/models/'
PYTORCH = 'https://download.pytorch.org/models/'
HUGGING_FACE = 'https://huggingface.co/'
MATCONVNET = 'www.vlfeat.org/matconvnet/models/'
SQUEEZENET_FILE = 'SqueezeNet_v1.1/squeezenet_v1.1.caffemodel'


def _pytorch(file: str, sha256: str, size: int | None = None) -> Source:
    return Source(file, [PYTORCH + file], sha256, size)


def _lucid(net: str, sha256: str) -> Source:
    """Another file of torchvision's weights, in which the arrays of the stem have other names."""
    path = f'lucid-dl/{net}/resolve/main/COCO_WITH_VOC_LABELS_V1/model.safetensors'
    return Source(f'{net}-coco.safetensors', [HUGGING_FACE + path], sha256)


def _libre(file: str, sha256: str, size: int) -> Source:
    """Another file of torchvision's weights, without those of the auxiliary head."""
    return Source(f'{file}.pt', [f'{HUGGING_FACE}LibreYOLO/{file}/resolve/main/{file}.pt'], sha256,
                  size)


def _drive(file: str, drive_id: str, md5: str) -> Source:
    """Another file of the authors' weights, converted by Kentaro Wada for PyTorch."""
    address = f'https://drive.usercontent.google.com/download?id={drive_id}&export=download'
    return Source(file, [f'{address}&confirm=t'], md5)


def _authors(name: str, net: str, n_class: int, sha1: str | None = None,
             other: Source | None = None, remark: str = '') -> WeightsSource:
    """A net of the paper, as its authors published it; their host is often down."""
    file = f'{name}.caffemodel'
    sources = [Source(file, [BERKELEY + file], sha1), *([other] if other else [])]
    return WeightsSource(sources, net, n_class, BVLC, FCN, remark)


def _matconvnet(name: str, net: str, md5: str, mean_iu: float) -> WeightsSource:
    file = f'{name}.mat'
    source = Source(file, [f'https://{MATCONVNET}{file}', f'http://{MATCONVNET}{file}'], md5)
    return WeightsSource(
        [source], net, 21, BVLC, FCN_2015,
        f'the net of the first paper, converted for MatConvNet; mean IU {mean_iu} on seg11valid')


# ---- the table -----------------------------------------------------------------------------------

CLASSIFIERS = dict(
    squeezenet=WeightsSource(
        [Source('squeezenet_v1.1.caffemodel',
                ['https://raw.githubusercontent.com/DeepScale/SqueezeNet/'
                 f'b5c3f1a23713c8b3fd7b801d229f6b04c64374a5/{SQUEEZENET_FILE}',
                 'https://raw.githubusercontent.com/forresti/SqueezeNet/'
                 f'a47b6f13d30985279789d08053d37013d67d131b/{SQUEEZENET_FILE}'],
                '3397f026368a45ae236403ccc81cfcbe8ebe1bd0',     # OpenCV
                4_950_080)],                                    # Open Model Zoo
        'squeezenet', 1000, 'BSD 2-Clause', SQUEEZENET),
    squeezenet1_1=WeightsSource(
        [_pytorch('squeezenet1_1-b8a52dc0.pth',
                  'b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b', 4_958_839)],
        'squeezenet', 1000, TORCHVISION, SQUEEZENET, 'for images in RGB'),
    googlenet=WeightsSource(
        [Source('bvlc_googlenet.caffemodel',
                [f'{BERKELEY}bvlc_googlenet.caffemodel',
                 f'{MXNET}bvlc_googlenet/bvlc_googlenet.caffemodel',
                 'https://www.deepdetect.com/downloads/platform/pretrained/caffe/googlenet/'
                 'bvlc_googlenet.caffemodel'],
                # BVLC; Open Model Zoo has the size, and the SHA-256
                # 6f7101e3a2183738a7125a0c5021ba82a1feb4228c5ca0924d991b6daf6f6fad
                '405fc5acd08a3bb12de8ee5e23a96bec22f08204', 53_533_754)],
        'googlenet', 1000, BVLC, GOOGLENET,
        'the same values are in 116 .bin files at github.com/chaosmail/caffejs, which are not '
        'fetched: no checksum of them is published'),
    vgg16=WeightsSource(
        [Source('VGG_ILSVRC_16_layers.caffemodel',
                ['http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/'
                 'VGG_ILSVRC_16_layers.caffemodel',
                 f'{MXNET}vgg/VGG_ILSVRC_16_layers.caffemodel'],
                # OpenCV, MXNet; Open Model Zoo has the size, and the SHA-256
                # a6196bc498e45ea4cb2637114ae8db9410cf1556fd60a55ae93272371beba197
                '9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24', 553_432_081),
         Source('vgg16-00b39a1b.pth',                           # converted by Justin Johnson
                ['https://s3-us-west-2.amazonaws.com/jcjohns-models/vgg16-00b39a1b.pth',
                 f'{HUGGING_FACE}spaces/AfrodreamsAI/afrodreams/resolve/main/models/'
                 'vgg16-00b39a1b.pth'],
                '00b39a1b')],
        'vgg16', 1000, 'CC BY 4.0', VGG,
        'the FCNs of the paper start from these; for images in BGR, 0 … 255'),
    vgg16_torchvision=WeightsSource(
        [_pytorch('vgg16-397923af.pth',
                  '397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0', 553_433_881)],
        'vgg16', 1000, TORCHVISION, VGG, 'retrained by torchvision, for images in RGB'),
    caffenet=WeightsSource(
        [Source('bvlc_reference_caffenet.caffemodel',
                [f'{BERKELEY}bvlc_reference_caffenet.caffemodel'],
                # BVLC; Open Model Zoo has the size, and the SHA-256
                # 472d4a06035497b180636d8a82667129960371375bd10fcb6df5c6c7631f25e0
                '4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46', 243_862_418)],
        'alexnet', 1000, BVLC, f'{ALEXNET}; {CAFFE}', 'AlexNet, as Caffe trained it'),
    alexnet_torchvision=WeightsSource(
        [_pytorch('alexnet-owt-7be5be79.pth',
                  '7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02', 244_408_911)],
        'alexnet_torchvision', 1000, TORCHVISION,
        'Krizhevsky, One weird trick for parallelizing convolutional neural networks, '
        'arXiv:1404.5997',
        'another net than AlexNet and CaffeNet: no groups, no normalization, fewer channels'),
    resnet50=WeightsSource(
        [_pytorch('resnet50-0676ba61.pth',
                  '0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a', 102_530_333)],
        'resnet50', 1000, TORCHVISION, RESNET),
    resnet101=WeightsSource(
        [_pytorch('resnet101-63fe2227.pth',
                  '63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a')],
        'resnet101', 1000, TORCHVISION, RESNET),
)

SEGMENTATION = dict(
    fcn_resnet50=WeightsSource(
        [_pytorch('fcn_resnet50_coco-1167a1af.pth',
                  '1167a1affa42e1e62858f8d3fac12d109e0108327ffc91c5855a324b11683c36', 141_567_418),
         _lucid('fcn-resnet-50',
                '4e87ab18d1a18fac1d40f15984b70ae4a13cee336d9c0c646cd474a937600234')],
        'fcn_resnet50', 21, TORCHVISION, f'{FCN_2015}; {RESNET}', f'{COCO}mean IU 60.5'),
    fcn_resnet101=WeightsSource(
        [_pytorch('fcn_resnet101_coco-7ecb50ca.pth',
                  '7ecb50ca17844860a70d5ed0c748d997cf8adb62932abaa0233430c68594d749', 217_800_805),
         _lucid('fcn-resnet-101',
                'f46d07ed89706a0a51d327e10c748f109580862d96e6ea8afd0cfaee6fb1d133')],
        'fcn_resnet101', 21, TORCHVISION, f'{FCN_2015}; {RESNET}', f'{COCO}mean IU 63.7'),
    deeplabv3_resnet50=WeightsSource(
        [_pytorch('deeplabv3_resnet50_coco-cd0a2569.pth',
                  'cd0a25694c4a0f7106b38f4938bf90a874f2f241cc410b8f63c7024399538f06', 168_312_152),
         _libre('LibreDeepLabv3r50-sem',
                'a8910db2cb2827ec19fce65a051f4d651bee73f5a46ba8d1c431c0d7042dca7c', 158_900_443)],
        'deeplabv3_resnet50', 21, TORCHVISION, f'{DEEPLAB}; {RESNET}',
        f'{COCO}mean IU 66.4; {NO_AUX}'),
    deeplabv3_resnet101=WeightsSource(
        [_pytorch('deeplabv3_resnet101_coco-586e9e4e.pth',
                  '586e9e4e203fcbf17e1ad45533d8d33ab133fc762bf03101c5dd743995c08c0d', 244_545_539),
         _libre('LibreDeepLabv3r101-sem',
                '4575b7d5b1b70e9c67225ae76c00f552b29c2e54b07d55cfee8da218a9f41429', 235_177_707)],
        'deeplabv3_resnet101', 21, TORCHVISION, f'{DEEPLAB}; {RESNET}',
        f'{COCO}mean IU 67.4; {NO_AUX}'),
)

# the mean IU of the nets for VOC is that of their authors, on seg11valid
_AUTHORS: dict[str, tuple[Any, ...]] = {
    'fcn32s-heavy-pascal': (
        'fcn32s', 21, '05eb922d7829c39448f57e5ab9d8cd75d6c0be6d',       # OpenCV
        _drive('fcn32s_from_caffe.pth', '11k2Q0bvRQgQbT6-jYWeh6nmAsWlSCY3f',
               'd3eb467a80e7da0468a20dfcbc13e6c8'), 'mean IU 63.6'),
    'fcn16s-heavy-pascal': (
        'fcn16s', 21, None,
        _drive('fcn16s_from_caffe.pth', '1bctu58B6YH9bu6lBBSBB2rUeGlGhYLoP',
               'a2d4035f669f09483b39c9a14a0d6670'), 'mean IU 65.0'),
    'fcn8s-heavy-pascal': (
        'fcn8s', 21, 'c449ea74dd7d83751d1357d6a8c323fcf4038962',        # OpenCV
        _drive('fcn8s_from_caffe.pth', '1ieXWyoG68xqoHJPWdyrDyaIaaWlfmUxI',
               'de93e540ec79512f8770033849c8ae89'), 'mean IU 65.5'),
    'fcn8s-atonce-pascal': (
        'fcn8s_at_once', 21, None,
        _drive('fcn8s-atonce_from_caffe.pth', '0B9P1L--7Wd2vblE1VUIxV1o2d2M',
               'bfed4437e941fef58932891217fe6464'), 'mean IU 65.4'),
    'fcn-alexnet-pascal': ('fcn_alexnet', 21, None, None, 'mean IU 48.0'),
    'nyud-fcn32s-color-heavy': ('nyud_rgb_32s', 40),
    'nyud-fcn32s-hha-heavy': ('nyud_hha_32s', 40),
    'nyud-fcn32s-color-hha-heavy': ('nyud_rgb_hha_32s', 40),
    'siftflow-fcn32s-heavy': ('siftflow_32s', 33),
    'siftflow-fcn16s-heavy': ('siftflow_16s', 33),
    'siftflow-fcn8s-heavy': ('siftflow_8s', 33),
    'pascalcontext-fcn32s-heavy': ('fcn32s', 60),
    'pascalcontext-fcn16s-heavy': ('fcn16s', 60),
    'pascalcontext-fcn8s-heavy': ('fcn8s', 60),
}
AUTHORS = {name: _authors(name, *row) for name, row in _AUTHORS.items()}

_MATCONVNET: dict[str, tuple[Any, ...]] = {
    'pascal-fcn32s-dag': ('fcn32s', 'a1331885ec72a0721e51ac9d16262a48', 59.43),
    'pascal-fcn16s-dag': ('fcn16s', '2e49dd427829cdbc08a0154f994687d7', 62.35),
    'pascal-fcn8s-dag': ('fcn8s', '0eeb6a4bc819616ea66f88a3db878983', 62.69),
}
CONVERTED = {name: _matconvnet(name, *row) for name, row in _MATCONVNET.items()}

SOURCES: dict[str, WeightsSource] = {**CLASSIFIERS, **SEGMENTATION, **AUTHORS, **CONVERTED}

# other names by which recipes call weights
OTHER_NAMES = dict(alexnet='caffenet')


def source_name(name: str) -> str | None:
    """The name in SOURCES of weights that may be called by another; None if there are none."""
    name = OTHER_NAMES.get(name, name)
    return name if name in SOURCES else None


def unknown_name(name: str) -> str:
    """The message for a name that has no weights, with similar names, or those of this net.

    >>> print(unknown_name('squeeze').partition('?')[0])
    no weights are called 'squeeze'; did you mean squeezenet, squeezenet1_1
    """
    names = [*SOURCES, *OTHER_NAMES]
    near = ([key for key, source in SOURCES.items() if source.net == name.lower()]
            or get_close_matches(name.lower(), names, 3))
    hint = f'did you mean {", ".join(near)}? ' if near else ''
    return f'no weights are called {name!r}; {hint}`tinyfcn weights list` shows all'
