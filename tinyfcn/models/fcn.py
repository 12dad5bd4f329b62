"""Fully Convolutional Networks for Semantic Segmentation (Long, Shelhamer & Darrell, CVPR 2015).

Read beside the paper's Figure 3. Every score layer begins at zero, every upsampling is a fixed
bilinear one, and every crop finds its own offset: 19 in FCN-32s; 5, 27 in 16s; 5, 9, 31 in 8s.
"""
from ..init import zeros
from ..layers import add, conv, crop, upsample
from .vgg import vgg16_trunk


def fcn32s(n, n_class=21, width=1):
    """One prediction at stride 32, upsampled to the image in a single step."""
    vgg16_trunk(n, width)
    n.score_fr      = conv(n.drop7, n_class, 1, init=zeros)
    n.upscore       = upsample(n.score_fr, 32)

    n.score         = crop(n.upscore, like=n.data)


def fcn16s(n, n_class=21, width=1):
    """A second prediction from pool4, at stride 16, fused with the first."""
    vgg16_trunk(n, width)
    n.score_fr      = conv(n.drop7, n_class, 1, init=zeros)
    n.upscore2      = upsample(n.score_fr, 2)

    n.score_pool4   = conv(n.pool4, n_class, 1, init=zeros)
    n.score_pool4c  = crop(n.score_pool4, like=n.upscore2)
    n.fuse_pool4    = add(n.upscore2, n.score_pool4c)
    n.upscore16     = upsample(n.fuse_pool4, 16)

    n.score         = crop(n.upscore16, like=n.data)


def fcn8s(n, n_class=21, width=1):
    """A third prediction from pool3, at stride 8."""
    vgg16_trunk(n, width)
    n.score_fr      = conv(n.drop7, n_class, 1, init=zeros)
    n.upscore2      = upsample(n.score_fr, 2)

    n.score_pool4   = conv(n.pool4, n_class, 1, init=zeros)
    n.score_pool4c  = crop(n.score_pool4, like=n.upscore2)
    n.fuse_pool4    = add(n.upscore2, n.score_pool4c)
    n.upscore_pool4 = upsample(n.fuse_pool4, 2)

    n.score_pool3   = conv(n.pool3, n_class, 1, init=zeros)
    n.score_pool3c  = crop(n.score_pool3, like=n.upscore_pool4)
    n.fuse_pool3    = add(n.upscore_pool4, n.score_pool3c)
    n.upscore8      = upsample(n.fuse_pool3, 8)

    n.score         = crop(n.upscore8, like=n.data)
