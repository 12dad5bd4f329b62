"""The nets that followed FCN, as their papers and the solver.prototxt of their authors train them.

All losses are means over pixels. Two things are not reproduced. DeconvNet is trained on proposals,
boxes around single objects; here it is trained on random crops of whole images. PSPNet starts from
a ResNet-101 of its own, with three convolutions in place of the first one; its weights have to be
given by --weights.
"""
from typing import Any

from .paper import SOLVER_ONLY, VOC, bgr, row

# of this file; the rows below name what is different
DEFAULTS: dict[str, Any] = dict(loss='mean', momentum=.9, weight_decay=5e-4, validate_every=1000,
                                replace=True)
CAMVID: dict[str, Any] = dict(train=('camvid', 'train'), valid=('camvid', 'val'))
# rules={}: biases are trained as the weights are
SEGNET: dict[str, Any] = dict(CAMVID, preprocess=bgr(0., 0., 0.), batch=4, rules={})

UNET: dict[str, Any] = dict(
    net='unet', lr=1e-3, momentum=.99, steps=20_000,
    preprocess=dict(order='RGB', scale=1 / 128, mean=(1., 1., 1.), std=(1, 1, 1)))

# CamVid's class weights in SegNet's prototxt, from sky to bicyclist, the order of
# data/camvid.py; class_weight='median' computes them from the data
SEGNET_WEIGHTS = (
    .2595, .1826, 4.5640, .1417, .9051, .3826, 9.6446, 1.8418, .6823, 6.2478, 7.3614)

# The score layers are new and learn ten times as fast as the pretrained layers. Biases learn twice
# as fast as weights. A later rule overrides an earlier one
NEW_LAYERS = {'*.b': dict(lr=2), 'score*.w': dict(lr=10), 'score*.b': dict(lr=20)}
# The loss is taken at score8, at an eighth of the image's size, as in DeepLab's prototxt
DEEPLAB: dict[str, Any] = dict(VOC, crop_size=(321, 321), flip=True, rules=NEW_LAYERS,
                               loss_at={'score8': 1})
# 8 × 8 images a step, as the paper's batches of 64
DECONVNET: dict[str, Any] = dict(VOC, net='deconvnet', lr=.01, crop_size=(224, 224), batch=8,
                                 iter_size=8, flip=True)

FAMILY: dict[str, dict[str, Any]] = {
    'camvid-segnet': row(
        SOLVER_ONLY, (), DEFAULTS, SEGNET, net='segnet', lr=1e-3, steps=40_000,
        class_weight=SEGNET_WEIGHTS),
    'camvid-segnet-basic': row(
        SOLVER_ONLY, (), DEFAULTS, SEGNET, net='segnet_basic', lr=.1, steps=10_000,
        class_weight=SEGNET_WEIGHTS),
    'camvid-unet': row(
        'Ronneberger et al. 2015 for the optimizer', (), DEFAULTS, CAMVID, UNET, flip=True),
    # the user's own images of cells: class 0 is the background between them
    'folder-unet': row(
        'Ronneberger et al. 2015 for all but lr and steps', (), DEFAULTS, UNET,
        train=('folder', 'train'), flip=True, elastic_sigma=10., border_weight=(10., 5.),
        class_weight='median', crop_size=(396, 396)),
    # in the paper, stage 1 crops single objects by their true boxes, and stage 2 proposals
    'voc-deconvnet-1': row(
        'Noh et al. 2015', (), DEFAULTS, DECONVNET, init_from='vgg16', lr_step=9_000, steps=20_000),
    'voc-deconvnet-2': row(
        'Noh et al. 2015, with 50 proposals an image', (69.6,), DEFAULTS, DECONVNET,
        init_from='voc-deconvnet-1', lr_step=10_000, steps=40_000),
    'voc-deeplab-largefov': row(
        'Chen et al. 2015', (), DEFAULTS, DEEPLAB, net='deeplab_largefov', init_from='vgg16',
        lr=1e-3, lr_step=2_000, steps=6_000, iter_size=20),
    'voc-deeplab-aspp': row(
        'Chen et al. 2017', (), DEFAULTS, DEEPLAB, net='deeplab_aspp', init_from='vgg16', lr=1e-3,
        lr_power=.9, steps=20_000, iter_size=10),
    'voc-deeplab-resnet101': row(
        'Chen et al. 2017, val of VOC 2012', (76.35,), DEFAULTS, DEEPLAB, net='deeplab_resnet101',
        init_from='resnet101', lr=2.5e-4, lr_power=.9, steps=20_000, iter_size=10),
    'voc-pspnet': row(
        'Zhao et al. 2017, test of VOC 2012, multi-scale', (85.41,), DEFAULTS, VOC, net='pspnet',
        lr=.01, lr_power=.9, weight_decay=1e-4, steps=30_000, batch=16, crop_size=(473, 473),
        flip=True, scale_range=(.5, 2.), rules={}, loss_at={'score': 1, 'aux': .4}),
}
