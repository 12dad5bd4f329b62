"""FCN's family, as its papers and the authors' solvers say; lr of a mean loss throughout.

What no recipe here does: DeconvNet's object proposals; its crops are from the whole picture. PSPNet
begins with a ResNet-101 that has its deep stem: --weights.
"""
from .paper import VOC, bgr, row

STEP = dict(loss='mean', momentum=.9, weight_decay=5e-4, every=1000, replace=True)
CAMVID = dict(train=('camvid', 'train'), valid=('camvid', 'val'))
SEGNET = dict(CAMVID, preprocess=bgr(0., 0., 0.), batch=4, rules={})

UNET = dict(net='unet', preprocess=dict(order='RGB', scale=1 / 128, mean=(1., 1., 1.),
                                        std=(1, 1, 1)), lr=1e-3, momentum=.99, steps=20_000)

# of each class of CamVid in SegNet's prototxt; 'median' counts them anew
WEIGHTS = (.2595, .1826, 4.5640, .1417, .9051, .3826, 9.6446, 1.8418, .6823, 6.2478, 7.3614)

# ten times the rate for what is new, twice for every bias
NEW = {'*.b': dict(lr=2), 'score*.w': dict(lr=10), 'score*.b': dict(lr=20)}
CROPPED = dict(VOC, size=(321, 321), mirrored=True, rules=NEW, loss_at={'score8': 1})

FAMILY = {
    'camvid-segnet': row('the authors’ solver.prototxt', (), STEP, SEGNET, net='segnet', lr=1e-3,
                         steps=40_000, class_weight=WEIGHTS),
    'camvid-segnet-basic': row('the authors’ solver.prototxt', (), STEP, SEGNET, net='segnet_basic',
                               lr=.1, steps=10_000, class_weight=WEIGHTS),
    'camvid-unet': row('Ronneberger et al. 2015 for the rule of its steps', (), STEP, CAMVID,
                       UNET, mirrored=True),
    # one's own pictures of cells: class 0 is what lies between them
    'folder-unet': row('Ronneberger et al. 2015 for all but lr and steps', (), STEP, UNET,
                       train=('folder', 'train'), mirrored=True, bent=10., gaps=(10., 5.),
                       class_weight='median'),
    'voc-deconvnet-1': row('Noh et al. 2015', (), STEP, VOC, net='deconvnet', start='vgg16', lr=.01,
                           falls=9_000, steps=20_000, size=(224, 224), batch=8, iter_size=8,
                           mirrored=True),
    'voc-deconvnet-2': row('Noh et al. 2015, with 50 proposals a picture', (69.6,), STEP, VOC,
                           net='deconvnet', start='voc-deconvnet-1', lr=.01, falls=10_000,
                           steps=40_000, size=(224, 224), batch=8, iter_size=8, mirrored=True),
    'voc-deeplab-largefov': row('Chen et al. 2015', (), STEP, CROPPED, net='deeplab_largefov',
                                start='vgg16', lr=1e-3, falls=2_000, steps=6_000, iter_size=20),
    'voc-deeplab-aspp': row('Chen et al. 2017', (), STEP, CROPPED, net='deeplab_aspp',
                            start='vgg16', lr=1e-3, poly=.9, steps=20_000, iter_size=10),
    'voc-deeplab-resnet101': row('Chen et al. 2017, val of VOC 2012', (76.35,), STEP, CROPPED,
                                 net='deeplab_resnet101', start='resnet101', lr=2.5e-4, poly=.9,
                                 steps=20_000, iter_size=10),
    'voc-pspnet': row('Zhao et al. 2017, test of VOC 2012, several scales', (85.41,), STEP, VOC,
                      net='pspnet', lr=.01, poly=.9, weight_decay=1e-4,
                      steps=30_000, batch=16, size=(473, 473), mirrored=True, scales=(.5, 2.),
                      rules={}, loss_at={'score': 1, 'aux': .4}),
}
