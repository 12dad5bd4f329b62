"""Learning Deconvolution Network for Semantic Segmentation (Noh, Hong & Han, ICCV 2015).

VGG-16 down to 1×1, and its mirror image up again: unpooling puts every value back where its switch
points, deconvolutions fill in what lies around. Boxes bear the names of the authors' Caffe model,
but for `score`. Parts that SegNet and the autoencoder read too are in the second half.
"""
from ..init import zeros
from ..layers import (
    batch_norm,
    conv,
    deconv,
    max_switches,
    multiply,
    relu,
    scale_width,
    take,
    unpool,
)
from .fcn import fcn8s
from .vgg import DEPTHS

# block: the channels of its convolutions
DECODER = {5: (512, 512, 512), 4: (512, 512, 256), 3: (256, 256, 128), 2: (128, 64), 1: (64, 64)}


def deconvnet(n, n_class=21, width=1):
    """A score for every pixel of 224×224, or of any H and W ≥ 193: below fc6 finds no 7×7 window.

    fc6-deconv gives back the size that fc6 was given. Trained at 224×224, where fc6 is 1×1, its
    batch norm needs two pictures or more.
    """
    vgg16_encoder(n, width)

    n.fc6 = conv(n.pool5, scale_width(4096, width), 7)
    x = bn_relu(n, n.fc6, 'bnfc6', 'relu6')
    n.fc7 = conv(x, scale_width(4096, width), 1)
    x = bn_relu(n, n.fc7, 'bnfc7', 'relu7')
    n['fc6-deconv'] = deconv(x, scale_width(512, width), 7)
    x = bn_relu(n, n['fc6-deconv'], 'fc6-deconv-bn', 'fc6-deconv-relu')

    for block, depths in DECODER.items():
        x = n[f'unpool{block}'] = unpooled(n, x, block)
        for i, depth in enumerate(depths, start=1):
            x = n[f'deconv{block}_{i}'] = deconv(x, scale_width(depth, width), 3, pad=1)
            x = bn_relu(n, x, f'debn{block}_{i}', f'derelu{block}_{i}')

    n.score = conv(x, n_class, 1, init=zeros)


def edeconvnet(n, n_class=21, width=1):
    """The ensemble: DeconvNet's scores times FCN-8s', those below 0 clipped. Each learns alone."""
    fcn8s(n.branch('_fcn'), n_class, width)
    deconvnet(n.branch('_deconv'), n_class, width)
    n.score = multiply(n.score_deconv, relu(n.score_fcn))


# ---- what an encoder keeps for its decoder ------------------------------------------------------

def vgg16_encoder(n, width=1, bn='bn{}'):
    """conv1_1 … pool5, normalised, with the switches of every pool. `bn` names: bn1_1, conv1_1_bn.

    Any H and W ≥ 1: pools round up, and every convolution keeps the size.
    """
    x = n.data
    for block, depths in DEPTHS.items():
        for i, depth in enumerate(depths, start=1):
            x = n[f'conv{block}_{i}'] = conv(x, scale_width(depth, width), 3, pad=1)
            x = bn_relu(n, x, bn.format(f'{block}_{i}'), f'relu{block}_{i}')
        x = pooled(n, x, block)
    return x


def pooled(n, x, block):
    """Max pooling in two steps, because a decoder will read where each value came from."""
    n[f'pool{block}_mask'] = max_switches(x, 2)
    n[f'pool{block}'] = take(x, n[f'pool{block}_mask'])
    return n[f'pool{block}']


def unpooled(n, x, block):
    """x put back where that pool took its values, in the size it had: 12 rows may have been 23."""
    mask = n[f'pool{block}_mask']
    return unpool(x, mask, like=n[mask.inputs[0]])


def bn_relu(n, x, bn, name):
    """relu(batch norm(x)), by their names in the authors' models."""
    n[bn] = caffe_norm(x)
    n[name] = relu(n[bn])
    return n[name]


def caffe_norm(x):
    """Batch norm whose shift begins at 0.001, as in all models of SegNet and DeconvNet."""
    box = batch_norm(x)
    box.weights['b'] = lambda shape, rng: zeros(shape, rng) + .001, (x.channels,)
    return box
