"""DeepLab v1 and v2 (Chen, Papandreou, Kokkinos, Murphy & Yuille 2015 and 2017).

After stride 8 no layer halves the size, and dilated (à trous) convolutions keep the receptive
field. Row i of `score8`, on which the papers take the loss, is centred on row 8·i of the image. H
rows give ⌈(H − 1) / 8⌉ + 1 of them on VGG-16 and ⌊(H + 1) / 8⌋ + 1 on ResNet-101. Where H is 1 more
than a multiple of 8, as the papers' 321 and 513 are, the last one is on the last row.

`score` has the size of the image, bilinear between the rows of `score8`. On ResNet up to five rows
of the image lie beyond the last one: there the scores of all classes fall off by the same factor,
so the best class does not change.
"""
from ..init import zeros
from ..layers import add, avg_pool, conv, crop, dropout, max_pool, relu, scale_width, upsample
from .resnet import resnet_trunk
from .vgg import vgg16_block

RATES = 6, 12, 18, 24


def deeplab_largefov(n, n_class=21, width=1):
    """DeepLab v1 with a large field of view: fc6 is a 3×3 convolution of dilation 12."""
    dilated_vgg16(n, width)
    n.pool5a = avg_pool(n.pool5, 3, stride=1, pad=1)
    n.score8 = conv(dilated_fc6_fc7(n, n.pool5a, 12, width), n_class, 1, init=zeros)
    upsample_score(n)


def deeplab_aspp(n, n_class=21, width=1):
    """DeepLab v2, "atrous spatial pyramid pooling": four dilations, whose scores are summed."""
    dilated_vgg16(n, width)
    for rate in RATES:
        n[f'score8_{rate}'] = conv(dilated_fc6_fc7(n, n.pool5, rate, width), n_class, 1, init=zeros)
    n.score8 = add(*(n[f'score8_{rate}'] for rate in RATES))
    upsample_score(n)


def deeplab_resnet101(n, n_class=21, width=1):
    """DeepLab v2 on ResNet-101 with frozen batch norm."""
    x = resnet_trunk(n, width, strides=(2, 1), frozen=True)
    for rate in RATES:
        n[f'score8_{rate}'] = conv(x, n_class, 3, pad=rate, dilation=rate, init=zeros)
    n.score8 = add(*(n[f'score8_{rate}'] for rate in RATES))
    upsample_score(n)
    n.frozen = {'*bn*', '*/downsample/1.*'}


def upsample_score(n):
    """From stride 8 to the image. A bilinear kernel of 15 is centred on the pixels."""
    n.upscore = upsample(n.score8, 8, ksize=15)
    n.score   = crop(n.upscore, like=n.data)


def dilated_vgg16(n, width=1):
    """conv1_1 … pool5 with 3×3 pools, the last two of stride 1, and conv5 with dilation 2."""
    x = n.data
    strides = {1: 2, 2: 2, 3: 2, 4: 1, 5: 1}
    for block, stride in strides.items():
        dilation = 2 if block == 5 else 1
        x = vgg16_block(n, block, x, width, dilation, dilation)
        x = n[f'pool{block}'] = max_pool(x, 3, stride=stride, pad=1)


def dilated_fc6_fc7(n, x, rate, width=1):
    """fc6 and fc7 with this dilation; VGG-16's weights of these names have other shapes."""
    n = n.branch(f'_{rate}')
    n.fc6   = conv(x, scale_width(1024, width), 3, pad=rate, dilation=rate)
    n.relu6 = relu(n.fc6)
    n.drop6 = dropout(n.relu6, .5)
    n.fc7   = conv(n.drop6, scale_width(1024, width), 1)
    n.relu7 = relu(n.fc7)
    n.drop7 = dropout(n.relu7, .5)
    return n.drop7
