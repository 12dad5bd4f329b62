"""Fully Convolutional Networks for Semantic Segmentation (Long, Shelhamer & Darrell, CVPR 2015).

Read `stride8` beside the paper's Figure 3. Every score layer is initialised to zero, and every crop
derives its own offset: 19 at stride 32; 5, 27 at 16; 5, 9, 31 at 8. `up` is the fixed bilinear
upsampling of the reference nets, or `learned_upsample`.
"""
from ..init import bilinear, zeros
from ..layers import add, conv, crop, deconv, scale, upsample
from .alexnet import alexnet_torchvision_trunk, alexnet_trunk
from .googlenet import googlenet_trunk
from .vgg import vgg16_trunk


def learned_upsample(x, factor, ksize=None):
    """A transposed convolution that is initialised to bilinear upsampling and then trained."""
    return deconv(x, x.channels, ksize or 2 * factor, stride=factor, bias=False, init=bilinear)


# ---- heads, by the finest stride they use -------------------------------------------------------

def stride32(n, n_class, up=upsample):
    """One prediction, upsampled to the image in a single step."""
    n.score_fr      = conv(n.drop7, n_class, 1, init=zeros)
    n.upscore       = up(n.score_fr, 32)

    n.score         = crop(n.upscore, like=n.data)


def stride16(n, n_class, up=upsample):
    """A second prediction from pool4, fused with the first."""
    n.score_fr      = conv(n.drop7, n_class, 1, init=zeros)
    n.upscore2      = up(n.score_fr, 2)

    n.score_pool4   = conv(n.pool4, n_class, 1, init=zeros)
    n.score_pool4c  = crop(n.score_pool4, like=n.upscore2)
    n.fuse_pool4    = add(n.upscore2, n.score_pool4c)
    n.upscore16     = up(n.fuse_pool4, 16)

    n.score         = crop(n.upscore16, like=n.data)


def stride8(n, n_class, up=upsample, pool4=None, pool3=None):
    """A third prediction from pool3: all of Figure 3."""
    n.score_fr      = conv(n.drop7, n_class, 1, init=zeros)
    n.upscore2      = up(n.score_fr, 2)

    n.score_pool4   = conv(pool4 or n.pool4, n_class, 1, init=zeros)
    n.score_pool4c  = crop(n.score_pool4, like=n.upscore2)
    n.fuse_pool4    = add(n.upscore2, n.score_pool4c)
    n.upscore_pool4 = up(n.fuse_pool4, 2)

    n.score_pool3   = conv(pool3 or n.pool3, n_class, 1, init=zeros)
    n.score_pool3c  = crop(n.score_pool3, like=n.upscore_pool4)
    n.fuse_pool3    = add(n.upscore_pool4, n.score_pool3c)
    n.upscore8      = up(n.fuse_pool3, 8)

    n.score         = crop(n.upscore8, like=n.data)


def centred_stride32(n, x, n_class, up=upsample):
    """stride32 for trunks whose windows have odd sizes, by a kernel that is centred on a pixel."""
    n.score_fr      = conv(x, n_class, 1, init=zeros)
    n.upscore       = up(n.score_fr, 32, 63)

    n.score         = crop(n.upscore, like=n.data)


# ---- the nets ---------------------------------------------------------------------------------

def fcn32s(n, n_class=21, width=1, up=upsample):
    """VGG-16, one prediction at stride 32."""
    vgg16_trunk(n, n.data, width)
    stride32(n, n_class, up)


def fcn32s_fixed(n, n_class=21, width=1):
    """FCN-32s with the pretrained trunk frozen: only the score layer is trained."""
    fcn32s(n, n_class, width)
    n.frozen = {'conv*', 'fc*'}


def fcn16s(n, n_class=21, width=1, up=upsample):
    """VGG-16, fused with pool4."""
    vgg16_trunk(n, n.data, width)
    stride16(n, n_class, up)


def fcn8s(n, n_class=21, width=1, up=upsample):
    """VGG-16, fused with pool4 and pool3."""
    vgg16_trunk(n, n.data, width)
    stride8(n, n_class, up)


def fcn8s_at_once(n, n_class=21, width=1, up=upsample):
    """FCN-8s trained in one stage: the skips are scaled down so that no one dominates."""
    vgg16_trunk(n, n.data, width)
    n.scale_pool4 = scale(n.pool4, .01)
    n.scale_pool3 = scale(n.pool3, .0001)
    stride8(n, n_class, up, n.scale_pool4, n.scale_pool3)


def fcn_alexnet(n, n_class=21, width=1, up=upsample):
    """AlexNet at stride 32. A bilinear kernel of 64 would be half a pixel off; 63 is not."""
    alexnet_trunk(n, width)
    centred_stride32(n, n.drop7, n_class, up)


def fcn_alexnet_torchvision(n, n_class=21, width=1, up=upsample):
    """The same on torchvision's AlexNet."""
    alexnet_torchvision_trunk(n, width)
    centred_stride32(n, n.drop7, n_class, up)


def fcn_googlenet(n, n_class=21, width=1, up=upsample):
    """GoogLeNet at stride 32 without its final 7×7 pool, "discarding the final average pooling".

    The receptive field is 715 pixels. The paper's 907 counts that pool as if it were still there.
    """
    googlenet_trunk(n, width)
    centred_stride32(n, n['inception_5b/output'], n_class, up)
