"""U-Net (Ronneberger, Fischer & Brox 2015): down by 16 and up again, and across at every level.

Pools round up, as in the authors' Caffe, so no row of the image is lost. At sizes that can be
halved four times (12 mod 16) nothing is rounded.
"""
from ..init import zeros
from ..layers import concat, conv, crop, deconv, dropout, max_pool, relu, scale_width

DEPTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 1024}


def unet(n, n_class=2, width=1, same=False):
    """572×572 gives 388×388: no convolution is padded, and pixels near an edge get no score.

    Score (0, 0) is centred on pixel (92, 92). H and W ≥ 173 give 16·⌈(H − 124)/16⌉ − 60 rows.
    same=True pads all convolutions: every pixel of an image of any H and W ≥ 1 gets a score.
    """
    pad = int(same)
    x = n.data
    skips = []
    for level, depth in DEPTHS.items():
        x = two_convs(n, x, level, (1, 2), scale_width(depth, width), pad)
        if level >= 4:                              # "at the end of the contracting path"
            x = n[f'drop{level}'] = dropout(x, .5)
        if level < 5:
            skips.append(x)
            x = n[f'pool{level}'] = max_pool(x, 2)

    for level in 4, 3, 2, 1:
        depth = scale_width(DEPTHS[level], width)
        skip = skips.pop()
        up = n[f'upconv{level}'] = deconv(x, depth, 2, stride=2)
        # the larger one is cropped; with padding `up` may have an extra row, from rounding up
        if same:
            up = n[f'crop{level}'] = crop(up, like=skip)
        else:
            skip = n[f'crop{level}'] = crop(skip, like=up)
        n[f'concat{level}'] = concat(up, skip)
        x = two_convs(n, n[f'concat{level}'], level, (3, 4), depth, pad)

    n.score = conv(x, n_class, 1, init=zeros)


def two_convs(n, x, level, numbers, depth, pad):
    """Two 3×3 convolutions, each with its ReLU."""
    for i in numbers:
        n[f'conv{level}_{i}'] = conv(x, depth, 3, pad=pad)
        x = n[f'relu{level}_{i}'] = relu(n[f'conv{level}_{i}'])
    return x
