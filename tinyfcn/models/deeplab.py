"""DeepLab v1 and v2 (Chen, Papandreou, Kokkinos, Murphy & Yuille 2015 and 2017).

After stride 8 nothing halves the size any more, and windows with holes see as far as before. The
score at row i sits at the image's row 8·i. H rows have ⌈(H − 1) / 8⌉ + 1 of them on VGG-16, and
⌊(H + 1) / 8⌋ + 1 on ResNet-101; where H is 1 more than a multiple of 8, as the papers' 321 and 513
are, the last sits on the last row. `score8` are these, where the papers take their loss.

`score` has the size of the image, whatever that is. Between two rows it is bilinear. Of ResNet up
to five rows lie beyond the last score: there all classes fade alike, and the best stays the best.
"""
from ..init import zeros
from ..layers import add, avg_pool, conv, crop, dropout, max_pool, relu, scale_width, upsample
from .resnet import resnet_trunk
from .vgg import vgg16_block

RATES = 6, 12, 18, 24


def deeplab_largefov(n, n_class=21, width=1):
    """DeepLab v1 with a large field of view: fc6 is a 3×3 whose taps lie 12 apart."""
    atrous_vgg16(n, width)
    n.pool5a = avg_pool(n.pool5, 3, stride=1, pad=1)
    n.score8 = conv(fov(n, n.pool5a, 12, width), n_class, 1, init=zeros)
    upscored(n)


def deeplab_aspp(n, n_class=21, width=1):
    """DeepLab v2, "atrous spatial pyramid pooling": four such fields, whose scores are summed."""
    atrous_vgg16(n, width)
    for rate in RATES:
        n[f'score8_{rate}'] = conv(fov(n, n.pool5, rate, width), n_class, 1, init=zeros)
    n.score8 = add(*(n[f'score8_{rate}'] for rate in RATES))
    upscored(n)


def deeplab_resnet101(n, n_class=21, width=1):
    """DeepLab v2 on ResNet-101, whose batch norm stays as ImageNet taught it."""
    x = resnet_trunk(n, width, strides=(2, 1), frozen=True)
    for rate in RATES:
        n[f'score8_{rate}'] = conv(x, n_class, 3, pad=rate, dilation=rate, init=zeros)
    n.score8 = add(*(n[f'score8_{rate}'] for rate in RATES))
    upscored(n)
    n.frozen = {'*bn*', '*/downsample/1.*'}


def upscored(n):
    """From stride 8 to the image. A tent of 15 lies on the pixels."""
    n.upscore = upsample(n.score8, 8, ksize=15)
    n.score   = crop(n.upscore, like=n.data)


def atrous_vgg16(n, width=1):
    """conv1_1 … pool5: pools of 3×3, the last two of stride 1, and so conv5 with a hole."""
    x, strides = n.data, {1: 2, 2: 2, 3: 2, 4: 1, 5: 1}
    for block, stride in strides.items():
        dilation = 2 if block == 5 else 1
        x = vgg16_block(n, block, x, width, dilation, dilation)
        x = n[f'pool{block}'] = max_pool(x, 3, stride=stride, pad=1)


def fov(n, x, rate, width=1):
    """fc6 and fc7 over a field of view; under other names than VGG-16's, which do not fit."""
    n = n.branch(f'_{rate}')
    n.fc6   = conv(x, scale_width(1024, width), 3, pad=rate, dilation=rate)
    n.relu6 = relu(n.fc6)
    n.drop6 = dropout(n.relu6, .5)
    n.fc7   = conv(n.drop6, scale_width(1024, width), 1)
    n.relu7 = relu(n.fc7)
    n.drop7 = dropout(n.relu7, .5)
    return n.drop7
