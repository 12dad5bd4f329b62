"""SegNet (Badrinarayanan, Kendall & Cipolla 2015): an encoder, and a decoder with its switches.

No fully connected layers: a ninth of DeconvNet's parameters. Boxes have the names of the authors'
Caffe models, except `score`. Any H and W ≥ 1: a map of 45 rows is pooled to 23, and that to 12, and
unpooling restores both sizes. (The authors wrote them into the model for 360×480.)
"""
from ..init import zeros
from ..layers import conv, local_response_norm, scale_width
from .deconvnet import bn_relu, caffe_norm, pool_with_switches, unpool_block, vgg16_encoder

# block: {convolution: its channels}, with the encoder's numbers in reverse order
DECODER = {5: {3: 512, 2: 512, 1: 512}, 4: {3: 512, 2: 512, 1: 256}, 3: {3: 256, 2: 256, 1: 128},
           2: {2: 128, 1: 64}, 1: {2: 64}}


def segnet(n, n_class=11, width=1):
    """VGG-16's thirteen convolutions and thirteen more, of which the last (conv1_1_D) scores."""
    x = vgg16_encoder(n, width, bn='conv{}_bn')

    for block, depths in DECODER.items():
        x = n[f'pool{block}_D'] = unpool_block(n, x, block)
        for i, depth in depths.items():
            x = n[f'conv{block}_{i}_D'] = conv(x, scale_width(depth, width), 3, pad=1)
            x = bn_relu(n, x, f'conv{block}_{i}_D_bn', f'relu{block}_{i}_D')

    n.score = conv(x, n_class, 3, pad=1, init=zeros)


def segnet_basic(n, n_class=11, width=1):
    """Four 7×7 convolutions down and four up, the latter without ReLU."""
    x = n.norm = local_response_norm(n.data, 5, alpha=1e-4, beta=.75)
    for block in 1, 2, 3, 4:
        x = n[f'conv{block}'] = conv(x, scale_width(64, width), 7, pad=3)
        x = bn_relu(n, x, f'conv{block}_bn', f'relu{block}')
        x = pool_with_switches(n, x, block)

    for block in 4, 3, 2, 1:
        x = n[f'upsample{block}'] = unpool_block(n, x, block)
        x = n[f'conv_decode{block}'] = conv(x, scale_width(64, width), 7, pad=3)
        x = n[f'conv_decode{block}_bn'] = caffe_norm(x)

    n.score = conv(x, n_class, 1, init=zeros)
