"""The rows of the paper's tables (CVPR 2015) and the reference nets, with the published scores.

The paper gives no number of steps for some rows. There, 10,000 steps of twenty images show the net
200,000 images, within the 100,000 to 300,000 that the reference nets see of the same 8,498.
"""
from typing import Any


def bgr(*mean: float) -> dict[str, Any]:
    """Blue, green and red minus their means; channels of further sensors follow in their order."""
    return dict(order='BGR', scale=1, mean=mean, std=(1,) * len(mean))


# the means of the channels: of color in the order blue, green, red
COLOUR = (116.190, 97.203, 92.318)
HHA = (132.431, 94.076, 118.477)
LOG_DEPTH = (7.844,)
VGG = bgr(104.00699, 116.66877, 122.67892)

# the reference nets: the loss summed over pixels, one image a step, high momentum
SUM: dict[str, Any] = dict(loss='sum', lr=1e-10, momentum=.99, steps=100_000, validate_every=4000,
                           replace=True)
# the paper: the mean over pixels, twenty images a step
MEAN: dict[str, Any] = dict(loss='mean', lr=1e-4, momentum=.9, steps=10_000, validate_every=500,
                            replace=True, iter_size=20)

# the paper's larger training set, SBD, validated on the VOC 2011 images that are not in it
VOC = dict(train=('sbd', 'train'), valid=('voc', 'seg11valid'), preprocess=VGG)
# VOC 2011 alone
VOC_ONLY = dict(train=('voc', 'train'), valid=('voc', 'val'), preprocess=VGG)
SIFT = dict(train=('siftflow', 'trainval'), valid=('siftflow', 'test'),
            preprocess=bgr(114.578, 115.294, 108.353))


def nyud(sensors: str, preprocess: dict[str, Any]) -> dict[str, Any]:
    """The data of NYUDv2 as these sensors record it."""
    set_name = f'nyud_{sensors}'
    return dict(train=(set_name, 'trainval'), valid=(set_name, 'test'), preprocess=preprocess)


RGB = nyud('rgb', bgr(*COLOUR))
RGBD = nyud('rgbd', bgr(*COLOUR, *LOG_DEPTH))
HHA_ONLY = nyud('hha', dict(order='RGB', scale=1, mean=HHA, std=(1, 1, 1)))
RGB_HHA = nyud('rgb_hha', bgr(*COLOUR, *HHA))


def row(source: str, scores: tuple[float, ...], *parts: dict[str, Any],
        **fields: Any) -> dict[str, Any]:
    """A recipe made of parts and of single fields; later ones override earlier ones.

    scores: pixel acc, mean acc, mean IU and f.w. IU in per cent, or mean IU alone, or none
    """
    names = ('pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu') if len(scores) == 4 else ('mean_iu',)
    recipe = dict(source=source, target=dict(zip(names, scores)))
    for part in (*parts, fields):
        recipe.update(part)
    return recipe


# where the numbers of a row are from; of SOLVER_ONLY no score is published
SOLVER = 'the authors’ solver.prototxt; scores of their released weights'
SOLVER_ONLY = 'the authors’ solver.prototxt'
TABLE = 'CVPR 2015, Table'

PAPER: dict[str, dict[str, Any]] = {
    # ---- PASCAL VOC 2011, the reference nets
    'voc-fcn32s': row(SOLVER, (90.48, 76.48, 63.63, 83.46), SUM, VOC, net='fcn32s',
                      init_from='vgg16'),
    'voc-fcn16s': row(SOLVER, (91.00, 78.07, 65.01, 84.26), SUM, VOC, net='fcn16s',
                      init_from='voc-fcn32s', lr=1e-12),
    'voc-fcn8s': row(SOLVER, (91.22, 77.61, 65.51, 84.54), SUM, VOC, net='fcn8s',
                     init_from='voc-fcn16s', lr=1e-14),
    'voc-fcn8s-at-once': row(SOLVER, (91.13, 78.50, 65.40, 84.43), SUM, VOC, net='fcn8s_at_once',
                             init_from='vgg16', steps=300_000),
    'voc-fcn-alexnet': row(SOLVER, (48.0,), MEAN, VOC, net='fcn_alexnet', init_from='alexnet',
                           steps=100_000, validate_every=4000,
                           rules={'score_fr.b': dict(lr=2, decay=0)}),
    # ---- PASCAL VOC 2011, as the paper describes it
    'voc-alexnet-table1': row(f'{TABLE} 1', (39.8,), MEAN, VOC_ONLY, net='fcn_alexnet',
                              init_from='alexnet', lr=1e-3),
    'voc-vgg16-table1': row(f'{TABLE} 1', (56.0,), MEAN, VOC_ONLY, net='fcn32s', init_from='vgg16'),
    'voc-googlenet-table1': row(f'{TABLE} 1', (42.5,), MEAN, VOC_ONLY, net='fcn_googlenet',
                                init_from='googlenet', lr=5e-5),
    'voc-fcn32s-fixed-table2': row(f'{TABLE} 2', (83.0, 59.7, 45.4, 72.0), MEAN, VOC,
                                   net='fcn32s_fixed', init_from='vgg16'),
    'voc-fcn32s-table2': row(f'{TABLE} 2', (89.1, 73.3, 59.4, 81.4), MEAN, VOC, net='fcn32s',
                             init_from='vgg16'),
    'voc-fcn16s-table2': row(f'{TABLE} 2', (90.0, 75.7, 62.4, 83.0), MEAN, VOC, net='fcn16s',
                             init_from='voc-fcn32s-table2', lr=1e-6),
    'voc-fcn8s-table2': row(f'{TABLE} 2', (90.3, 75.9, 62.7, 83.2), MEAN, VOC, net='fcn8s',
                            init_from='voc-fcn16s-table2', lr=1e-8),
    # ---- NYUDv2: color; color and depth, early fusion; HHA; color and HHA, late fusion
    'nyud-rgb-32s': row(f'{TABLE} 4', (60.0, 42.2, 29.2, 43.9), SUM, RGB, net='nyud_rgb_32s',
                        init_from='vgg16', steps=300_000),
    'nyud-rgbd-32s': row(f'{TABLE} 4', (61.5, 42.4, 30.5, 45.5), SUM, RGBD, net='nyud_rgbd_32s',
                         init_from='vgg16', steps=300_000),
    'nyud-hha-32s': row(f'{TABLE} 4', (57.1, 35.2, 24.2, 40.4), SUM, HHA_ONLY, net='nyud_hha_32s',
                        init_from='vgg16', steps=300_000),
    'nyud-rgb-hha-32s': row(f'{TABLE} 4', (64.3, 44.9, 32.8, 48.0), SUM, RGB_HHA,
                            net='nyud_rgb_hha_32s', steps=300_000, lr=1e-12,
                            init_from=dict(color='nyud-rgb-32s', hha='nyud-hha-32s')),
    'nyud-rgb-hha-16s': row(f'{TABLE} 4', (65.4, 46.1, 34.0, 49.5), SUM, RGB_HHA,
                            net='nyud_rgb_hha_16s', steps=300_000, lr=1e-12,
                            init_from='nyud-rgb-hha-32s'),
    # ---- SIFT Flow: two heads on one trunk; the target is the semantic head's
    'siftflow-32s': row(SOLVER_ONLY, (), SUM, SIFT, net='siftflow_32s',
                        init_from='vgg16', steps=300_000),
    'siftflow-16s': row(f'{TABLE} 5', (85.2, 51.7, 39.5, 76.1), SUM, SIFT, net='siftflow_16s',
                        init_from='siftflow-32s', steps=300_000, lr=1e-12),
    'siftflow-8s': row(SOLVER_ONLY, (), SUM, SIFT, net='siftflow_8s',
                       init_from='siftflow-16s', steps=300_000, lr=1e-12),
}
