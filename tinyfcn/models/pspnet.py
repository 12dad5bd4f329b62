"""Pyramid Scene Parsing Network (Zhao, Shi, Qi, Wang & Jia, CVPR 2017).

What the whole image shows, in a grid of 1, 2, 3 and 6 bins, laid beside what each place shows. The
score at row i sits at the image's row 8·i, of which H rows have ⌊(H + 1) / 8⌋ + 1. The paper's
images have 473 rows, 1 more than a multiple of 8, and the last score sits on the last row.

The bin of 1×1 is one value a picture, which a batch norm that learns needs two of: it trains on
batches of two or more.
"""
from ..init import zeros
from ..layers import avg_pool_to, concat, conv, crop, dropout, relu, resize, scale_width, upsample
from .resnet import DEEP, normed, resnet_trunk

BINS = 1, 2, 3, 6


def pspnet(n, n_class=21, width=1):
    """PSPNet on ResNet-101. In training `aux` is a second output; the paper weighs its loss .4."""
    resnet_trunk(n, width, DEEP)
    auxiliary(n, n['layer3/22'], n_class, width)
    pyramid(n, n['layer4/2'], width)
    n.relu5   = relu(normed(n, 'conv5', n.ppm, scale_width(512, width), 3))
    n.drop5   = dropout(n.relu5, .1)
    n.score8  = conv(n.drop5, n_class, 1, init=zeros)
    n.upscore = upsample(n.score8, 8, ksize=15)
    n.score   = crop(n.upscore, like=n.data)


def pyramid(n, x, width=1):
    """ppm: x, and beside it the mean of every bin of four grids, each through a 1×1."""
    views = [x]
    for bins in BINS:
        n[f'ppm/pool{bins}'] = avg_pool_to(x, bins)
        view = relu(normed(n, f'ppm/conv{bins}', n[f'ppm/pool{bins}'], scale_width(512, width), 1))
        views.append(resize(view, like=x, align_corners=True))
    n.ppm = concat(*views)


def auxiliary(n, x, n_class, width=1):
    """A second score from the middle of the trunk, which teaches it and is then not needed."""
    n.aux_relu    = relu(normed(n, 'aux_conv', x, scale_width(256, width), 3))
    n.aux_drop    = dropout(n.aux_relu, .1)
    n.aux_score8  = conv(n.aux_drop, n_class, 1, init=zeros)
    n.aux_upscore = upsample(n.aux_score8, 8, ksize=15)
    n.aux         = crop(n.aux_upscore, like=n.data)
