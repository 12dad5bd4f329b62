"""FCN's family, as its papers and its authors' solvers describe it; all losses are means.

Two things are not reproduced: DeconvNet's object proposals, in whose place crops of whole images
are used, and PSPNet's own ResNet-101 with a deep stem, whose weights --weights has to name.
"""
from typing import Any

from .paper import SOLVER_ONLY, VOC, bgr, row

SGD: dict[str, Any] = dict(loss='mean', momentum=.9, weight_decay=5e-4, validate_every=1000,
                           replace=True)
CAMVID: dict[str, Any] = dict(train=('camvid', 'train'), valid=('camvid', 'val'))
SEGNET: dict[str, Any] = dict(CAMVID, preprocess=bgr(0., 0., 0.), batch=4, rules={})

UNET: dict[str, Any] = dict(
    net='unet', lr=1e-3, momentum=.99, steps=20_000,
    preprocess=dict(order='RGB', scale=1 / 128, mean=(1., 1., 1.), std=(1, 1, 1)))

# CamVid's class weights in SegNet's prototxt; class_weight='median' computes them from the data
SEGNET_WEIGHTS = (
    .2595, .1826, 4.5640, .1417, .9051, .3826, 9.6446, 1.8418, .6823, 6.2478, 7.3614)

# new layers learn ten times as fast as pretrained ones, and biases twice as fast as weights
NEW_LAYERS = {'*.b': dict(lr=2), 'score*.w': dict(lr=10), 'score*.b': dict(lr=20)}
DEEPLAB: dict[str, Any] = dict(VOC, crop_size=(321, 321), flip=True, rules=NEW_LAYERS,
                               loss_at={'score8': 1})
DECONVNET: dict[str, Any] = dict(VOC, net='deconvnet', lr=.01, crop_size=(224, 224), batch=8,
                                 iter_size=8, flip=True)

FAMILY: dict[str, dict[str, Any]] = {
    'camvid-segnet': row(
        SOLVER_ONLY, (), SGD, SEGNET, net='segnet', lr=1e-3, steps=40_000,
        class_weight=SEGNET_WEIGHTS),
    'camvid-segnet-basic': row(
        SOLVER_ONLY, (), SGD, SEGNET, net='segnet_basic', lr=.1, steps=10_000,
        class_weight=SEGNET_WEIGHTS),
    'camvid-unet': row(
        'Ronneberger et al. 2015 for the optimizer', (), SGD, CAMVID, UNET, flip=True),
    # the user's own images of cells: class 0 is the background between them
    'folder-unet': row(
        'Ronneberger et al. 2015 for all but lr and steps', (), SGD, UNET,
        train=('folder', 'train'), flip=True, elastic_sigma=10., border_weight=(10., 5.),
        class_weight='median'),
    'voc-deconvnet-1': row(
        'Noh et al. 2015', (), SGD, DECONVNET, init_from='vgg16', lr_step=9_000, steps=20_000),
    'voc-deconvnet-2': row(
        'Noh et al. 2015, with 50 proposals an image', (69.6,), SGD, DECONVNET,
        init_from='voc-deconvnet-1', lr_step=10_000, steps=40_000),
    'voc-deeplab-largefov': row(
        'Chen et al. 2015', (), SGD, DEEPLAB, net='deeplab_largefov', init_from='vgg16', lr=1e-3,
        lr_step=2_000, steps=6_000, iter_size=20),
    'voc-deeplab-aspp': row(
        'Chen et al. 2017', (), SGD, DEEPLAB, net='deeplab_aspp', init_from='vgg16', lr=1e-3,
        lr_power=.9, steps=20_000, iter_size=10),
    'voc-deeplab-resnet101': row(
        'Chen et al. 2017, val of VOC 2012', (76.35,), SGD, DEEPLAB, net='deeplab_resnet101',
        init_from='resnet101', lr=2.5e-4, lr_power=.9, steps=20_000, iter_size=10),
    'voc-pspnet': row(
        'Zhao et al. 2017, test of VOC 2012, multi-scale', (85.41,), SGD, VOC, net='pspnet',
        lr=.01, lr_power=.9, weight_decay=1e-4, steps=30_000, batch=16, crop_size=(473, 473),
        flip=True, scale_range=(.5, 2.), rules={}, loss_at={'score': 1, 'aux': .4}),
}
