"""FCN on SqueezeNet: the paper's staging on a trunk that trains on a laptop.

Its pools are 3×3, so its bilinear kernels are odd (31, 15, 7 and 3) and skips need no shift: a crop
removes at most a last row, where one size was rounded up and the other was not.
"""
from ..init import zeros
from ..layers import add, conv, crop, upsample
from .squeezenet import squeezenet_trunk


def fcn_squeezenet(n, n_class=21, width=1, stride=16):
    """Scores from fire9 at stride 16; for stride 8 fused with fire5's, for 4 with fire3's too."""
    squeezenet_trunk(n, width)
    x = n.score_fr = conv(n.drop9, n_class, 1, init=zeros)
    for finer, skip in [(8, 'fire5'), (4, 'fire3')]:
        if stride <= finer:
            n[f'score_{skip}']   = conv(n[skip], n_class, 1, init=zeros)
            n[f'upscore_{skip}'] = upsample(x, 2, ksize=3)
            n[f'upscore_{skip}c'] = crop(n[f'upscore_{skip}'], like=n[f'score_{skip}'])
            x = n[f'fuse_{skip}'] = add(n[f'upscore_{skip}c'], n[f'score_{skip}'])
    n.upscore = upsample(x, stride, ksize=2 * stride - 1)
    n.score   = crop(n.upscore, like=n.data)
