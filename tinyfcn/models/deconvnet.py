"""Learning Deconvolution Network for Semantic Segmentation (Noh, Hong & Han, ICCV 2015).

VGG-16 down to 1×1, and its mirror image up again: unpooling puts every value back where its switch
points, and deconvolutions fill in the pixels around it. Boxes have the names of the authors' Caffe
model, except `score`. The second half of the file is shared with SegNet and the autoencoder.
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
    """A score for every pixel of 224×224, or of any H and W ≥ 193, where pool5 has 7×7 or more.

    fc6-deconv restores the size of the input of fc6. At 224×224, where fc6 is 1×1, batch norm needs
    a batch of two images or more to train.
    """
    vgg16_encoder(n, width)

    n.fc6 = conv(n.pool5, scale_width(4096, width), 7)
    x = bn_relu(n, n.fc6, 'bnfc6', 'relu6')
    n.fc7 = conv(x, scale_width(4096, width), 1)
    x = bn_relu(n, n.fc7, 'bnfc7', 'relu7')
    n['fc6-deconv'] = deconv(x, scale_width(512, width), 7)
    x = bn_relu(n, n['fc6-deconv'], 'fc6-deconv-bn', 'fc6-deconv-relu')

    for block, depths in DECODER.items():
        x = n[f'unpool{block}'] = unpool_block(n, x, block)
        for i, depth in enumerate(depths, start=1):
            x = n[f'deconv{block}_{i}'] = deconv(x, scale_width(depth, width), 3, pad=1)
            x = bn_relu(n, x, f'debn{block}_{i}', f'derelu{block}_{i}')

    n.score = conv(x, n_class, 1, init=zeros)


def edeconvnet(n, n_class=21, width=1):
    """The ensemble: DeconvNet's scores times those of FCN-8s, clipped at 0; trained separately."""
    fcn8s(n.branch('_fcn'), n_class, width)
    deconvnet(n.branch('_deconv'), n_class, width)
    n.score = multiply(n.score_deconv, relu(n.score_fcn))


# ---- encoders and decoders that share switches --------------------------------------------------

def vgg16_encoder(n, width=1, bn='bn{}'):
    """conv1_1 … pool5 with batch norm (named by `bn`: bn1_1, conv1_1_bn) and the pools' switches.

    Any H and W ≥ 1: pools round up, and every convolution keeps the size.
    """
    x = n.data
    for block, depths in DEPTHS.items():
        for i, depth in enumerate(depths, start=1):
            x = n[f'conv{block}_{i}'] = conv(x, scale_width(depth, width), 3, pad=1)
            x = bn_relu(n, x, bn.format(f'{block}_{i}'), f'relu{block}_{i}')
        x = pool_with_switches(n, x, block)
    return x


def pool_with_switches(n, x, block):
    """Max pooling in two steps, because the decoder needs the switches."""
    n[f'pool{block}_mask'] = max_switches(x, 2)
    n[f'pool{block}'] = take(x, n[f'pool{block}_mask'])
    return n[f'pool{block}']


def unpool_block(n, x, block):
    """x back at the switches of that pool, at the size before it: 12 rows may have been 23."""
    mask = n[f'pool{block}_mask']
    return unpool(x, mask, like=n[mask.inputs[0]])


def bn_relu(n, x, bn, name):
    """relu(batch norm(x)), under their names in the authors' models."""
    n[bn] = caffe_norm(x)
    n[name] = relu(n[bn])
    return n[name]


def caffe_norm(x):
    """Batch norm whose shift is initialised to 0.001, as in the SegNet and DeconvNet models."""
    box = batch_norm(x)
    box.weights['b'] = lambda shape, rng: zeros(shape, rng) + .001, (x.channels,)
    return box
