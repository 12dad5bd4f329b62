"""The paper's nets for NYUDv2: colour and depth, fused early or late (Table 4).

`rgb` and `hha` are FCN on three channels; `rgbd` adds depth as a fourth to the first convolution.
"""
from ..init import zeros
from ..layers import add, channels, conv, crop, scale, upsample
from .vgg import vgg16_trunk

STREAMS = 'color', 'hha'


def rgb_hha_32s(n, n_class=40, width=1):
    """Late fusion: two trunks, whose scores are averaged before they are upsampled."""
    two_trunks(n, width)
    n.score_fused = average(n, 'drop7', 'score_fr', n_class)
    n.upscore     = upsample(n.score_fused, 32)
    n.score       = crop(n.upscore, like=n.data)


def rgb_hha_16s(n, n_class=40, width=1):
    """The same at stride 16: the scores of both pool4 are averaged too."""
    two_trunks(n, width)
    n.score_fused  = average(n, 'drop7', 'score_fr', n_class)
    n.upscore2     = upsample(n.score_fused, 2)

    n.score_pool4  = average(n, 'pool4', 'score_pool4', n_class)
    n.score_pool4c = crop(n.score_pool4, like=n.upscore2)
    n.fuse_pool4   = add(n.upscore2, n.score_pool4c)
    n.upscore16    = upsample(n.fuse_pool4, 16)

    n.score        = crop(n.upscore16, like=n.data)


def two_trunks(n, width):
    """Three channels of colour and three of HHA, each with a VGG-16 of its own."""
    n.color = channels(n.data, 0, 3)
    n.hha = channels(n.data, 3, 6)
    for stream in STREAMS:
        vgg16_trunk(n.branch(stream), n[stream], width)


def average(n, features, name, n_class):
    """0.5 · score of colour + 0.5 · score of HHA."""
    for stream in STREAMS:
        n[name + stream] = conv(n[features + stream], n_class, 1, init=zeros)
    return add(*(scale(n[name + stream], .5) for stream in STREAMS))
