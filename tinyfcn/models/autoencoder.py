"""Learning from images without labels: a convolutional autoencoder, and an FCN on its encoder.

As in Masci et al. (2011) the net reconstructs its input x, so that loss = ½ Σ (image − x)² and the
gradient is image − x; as in Zeiler et al. (2011) it unpools with switches. Weights of the
autoencoder fit the FCN by name. Any H and W ≥ 1.
"""
from ..init import zeros
from ..layers import add, conv, crop, deconv, dropout, scale_width, upsample
from .deconvnet import bn_relu, pool_with_switches, unpool_block

DEPTHS = {1: 16, 2: 32, 3: 64, 4: 128}


def cae(n, n_class=None, width=1):
    """Down by 16 and up again to `image`, a reconstruction of the input; there are no classes."""
    x = encoder(n, width)
    for block in 4, 3, 2:
        n[f'unpool{block}'] = unpool_block(n, x, block)
        depth = scale_width(DEPTHS[block - 1], width)
        n[f'deconv{block}'] = deconv(n[f'unpool{block}'], depth, 3, pad=1, bias=False)
        x = bn_relu(n, n[f'deconv{block}'], f'debn{block}', f'derelu{block}')
    n.unpool1 = unpool_block(n, x, 1)
    n.image   = deconv(n.unpool1, n.data.channels, 3, pad=1)


def cae_fcn(n, n_class=5, width=1):
    """FCN's head at stride 16, fused with pool3 and pool2.

    The image is not padded, so the bilinear upsampling is: skips then need no shift, and a crop
    removes at most a last row that a pool has rounded up.
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
        x = pool_with_switches(n, x, block)
    return x
