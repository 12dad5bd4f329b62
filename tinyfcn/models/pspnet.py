"""Pyramid Scene Parsing Network (Zhao, Shi, Qi, Wang & Jia, CVPR 2017).

Means of the whole image over grids of 1, 2, 3 and 6 bins are concatenated to the local features.
Row i of `score8` is centred on row 8·i of the image; H rows give ⌊(H + 1) / 8⌋ + 1 of them. The
paper's images have 473 rows, 1 more than a multiple of 8, so the last score is on the last row.

The 1×1 grid has one value for each image, and batch norm needs two to train: use a batch size of
two or more.
"""
from ..init import zeros
from ..layers import avg_pool_to, concat, conv, crop, dropout, relu, resize, scale_width, upsample
from .resnet import DEEP, conv_bn, resnet_trunk

BINS = 1, 2, 3, 6


def pspnet(n, n_class=21, width=1):
    """PSPNet on ResNet-101. In training `aux` is a second output, whose loss has weight 0.4."""
    resnet_trunk(n, width, DEEP)
    auxiliary(n, n['layer3/22'], n_class, width)
    pyramid(n, n['layer4/2'], width)
    n.relu5   = relu(conv_bn(n, 'conv5', n.ppm, scale_width(512, width), 3))
    n.drop5   = dropout(n.relu5, .1)
    n.score8  = conv(n.drop5, n_class, 1, init=zeros)
    n.upscore = upsample(n.score8, 8, ksize=15)
    n.score   = crop(n.upscore, like=n.data)


def pyramid(n, x, width=1):
    """ppm: x, concatenated with the means over four grids, each through a 1×1 convolution."""
    branches = [x]
    for bins in BINS:
        n[f'ppm/pool{bins}'] = avg_pool_to(x, bins)
        y = relu(conv_bn(n, f'ppm/conv{bins}', n[f'ppm/pool{bins}'], scale_width(512, width), 1))
        branches.append(resize(y, like=x, align_corners=True))
    n.ppm = concat(*branches)


def auxiliary(n, x, n_class, width=1):
    """A second score from the middle of the trunk, which only training uses."""
    n.aux_relu    = relu(conv_bn(n, 'aux_conv', x, scale_width(256, width), 3))
    n.aux_drop    = dropout(n.aux_relu, .1)
    n.aux_score8  = conv(n.aux_drop, n_class, 1, init=zeros)
    n.aux_upscore = upsample(n.aux_score8, 8, ksize=15)
    n.aux         = crop(n.aux_upscore, like=n.data)
