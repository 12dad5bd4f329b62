"""Learning from pictures without labels: a convolutional autoencoder, and an FCN on its encoder.

As in Masci et al. (2011) the net gives its input back, so that loss = ½ Σ (image − x)² and the
gradient is image − x; as in Zeiler et al. (2011) unpooling goes by switches. Weights of the first
net fit the second by name. Any H and W ≥ 1.
"""
from ..init import zeros
from ..layers import add, conv, crop, deconv, dropout, scale_width, upsample
from .deconvnet import bn_relu, pooled, unpooled

DEPTHS = {1: 16, 2: 32, 3: 64, 4: 128}


def cae(n, n_class=None, width=1):
    """Down by 16 and up again to `image`, the picture itself: there are no classes."""
    x = encoder(n, width)
    for block in 4, 3, 2:
        n[f'unpool{block}'] = unpooled(n, x, block)
        depth = scale_width(DEPTHS[block - 1], width)
        n[f'deconv{block}'] = deconv(n[f'unpool{block}'], depth, 3, pad=1, bias=False)
        x = bn_relu(n, n[f'deconv{block}'], f'debn{block}', f'derelu{block}')
    n.unpool1 = unpooled(n, x, 1)
    n.image   = deconv(n.unpool1, n.data.channels, 3, pad=1)


def cae_fcn(n, n_class=5, width=1):
    """FCN's head at stride 16, fused with pool3 and pool2.

    The tents are padded, for no padding of the image has made room for more: so skips lie on the
    scores without a shift, and a crop takes off no more than a row that a pool has rounded up.
    """
    encoder(n, width)
    n.fc6   = conv(n.pool4, scale_width(128, width), 5, pad=2, bias=False)
    n.drop6 = dropout(bn_relu(n, n.fc6, 'bn6', 'relu6'), .1)

    x = n.score_fr = conv(n.drop6, n_class, 1, init=zeros)
    for skip in 'pool3', 'pool2':
        n[f'score_{skip}'] = conv(n[skip], n_class, 1, init=zeros)
        n[f'upscore_{skip}'] = upsample(x, 2, pad=1)
        n[f'upscore_{skip}c'] = crop(n[f'upscore_{skip}'], like=n[f'score_{skip}'])
        x = n[f'fuse_{skip}'] = add(n[f'upscore_{skip}c'], n[f'score_{skip}'])
    n.upscore = upsample(x, 4, pad=2)
    n.score   = crop(n.upscore, like=n.data)


def encoder(n, width=1):
    """conv1 … pool4, at stride 16, with the switches of every pool."""
    x = n.data
    for block, depth in DEPTHS.items():
        x = n[f'conv{block}'] = conv(x, scale_width(depth, width), 3, pad=1, bias=False)
        x = bn_relu(n, x, f'bn{block}', f'relu{block}')
        x = pooled(n, x, block)
    return x
