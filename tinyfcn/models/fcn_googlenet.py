"""FCN on GoogLeNet with skips: the paper's coarse net, refined stride by stride.

As on SqueezeNet, all pools are 3×3, so the bilinear kernels are odd (63, 31, 15, 7 and 3) and skips
need no shift: a crop removes at most a last row, where one size was rounded up and the other was
not.
"""
from ..init import zeros
from ..layers import add, conv, crop, dropout, upsample
from .googlenet import googlenet_trunk

PAD = 19                # with it even a 1×1 image has a score; the paper's 100 costs twice the time
SKIPS = [(16, 'inception_4e/output'), (8, 'inception_3b/output'), (4, 'conv2/norm2')]


def fcn_googlenet_skips(n, n_class=21, width=1, stride=8, aux=False):
    """Scores from inception_5b at stride 32, fused with those of inception_4e, 3b and conv2.

    stride: of the finest score, 16, 8 or 4
    aux: train two more scores at stride 16, `aux_4a` and `aux_4d`, where GoogLeNet has auxiliary
    classifiers
    """
    googlenet_trunk(n, width, PAD)
    n.drop5    = dropout(n['inception_5b/output'], .4)
    x = n.score_fr = conv(n.drop5, n_class, 1, init=zeros)
    for finer, skip in SKIPS:
        if stride <= finer:
            name = skip.split('/')[0]
            n[f'score_{name}']    = conv(n[skip], n_class, 1, init=zeros)
            n[f'upscore_{name}']  = upsample(x, 2, ksize=3)
            n[f'upscore_{name}c'] = crop(n[f'upscore_{name}'], like=n[f'score_{name}'])
            x = n[f'fuse_{name}'] = add(n[f'upscore_{name}c'], n[f'score_{name}'])
    n.upscore  = upsample(x, stride, ksize=2 * stride - 1)
    n.score    = crop(n.upscore, like=n.data)
    if aux:
        for name in '4a', '4d':
            n[f'aux_score_{name}'] = conv(n[f'inception_{name}/output'], n_class, 1, init=zeros)
            n[f'aux_upscore_{name}'] = upsample(n[f'aux_score_{name}'], 16, ksize=31)
            n[f'aux_{name}'] = crop(n[f'aux_upscore_{name}'], like=n.data)
