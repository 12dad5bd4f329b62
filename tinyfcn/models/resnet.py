"""ResNet-50 and -101 (He, Zhang, Ren & Sun 2016): the classifiers, and trunks of stride 8.

At stride 8 the last two layers do not halve the size. Their 3×3 convolutions are dilated by 2 and 4
instead, so the pretrained weights keep their receptive field. Names are torchvision's, with / in
place of dots: layer3/5/conv2.

The size of pool1 is rounded down in the classifiers and in torchvision's nets, as in PyTorch, and
rounded up in DeepLab v2 and PSPNet, as in Caffe, in which both were written. The two agree if H is
1 or 2 more than a multiple of 4, as the papers' 321, 473, 513 and 713 are.
"""
from ..layers import add, avg_pool_to, batch_norm, conv, max_pool, relu, scale_width

# the stem's convolutions: depth, window, stride
PLAIN = (64, 7, 2),
DEEP = (64, 3, 2), (64, 3, 1), (128, 3, 1)

# how many blocks layer1 … layer4 have
RESNET50 = 3, 4, 6, 3
RESNET101 = 3, 4, 23, 3

# layer1 … layer4: depth, whether it halves the size, dilation of the first block, of the others
HALVING = (256, False, 1, 1), (512, True, 1, 1), (1024, True, 1, 1), (2048, True, 1, 1)
DILATED = (256, False, 1, 1), (512, True, 1, 1), (1024, False, 2, 2), (2048, False, 4, 4)
# as in torchvision: a first block that does not halve the size has the dilation of the layer before
DILATED_LATER = (256, False, 1, 1), (512, True, 1, 1), (1024, False, 1, 2), (2048, False, 2, 4)


def resnet(n, n_class=1000, width=1, blocks=RESNET101):
    """The ImageNet classifier, at stride 32."""
    x = resnet_trunk(n, width, layers=HALVING, blocks=blocks, ceil=False)
    n.fc    = conv(x, n_class, 1)
    n.score = avg_pool_to(n.fc, 1)


def resnet_trunk(n, width=1, stem=PLAIN, strides=(1, 2), frozen=False, layers=DILATED,
                 blocks=RESNET101, ceil=True):
    """conv1 … pool1 and layer1 at stride 4, layer2 … layer4 at stride 8. -> the last block

    strides: those of the 1×1 and the 3×3 convolution in a block that halves the size
    frozen: whether batch norm keeps its running statistics in training
    ceil: whether the size of pool1 is rounded up
    """
    x = n.data
    for i, (depth, ksize, stride) in enumerate(stem, start=1):
        x = relu(conv_bn(n, f'conv{i}', x, scale_width(depth, width), ksize, frozen, stride))
    x = n.pool1 = max_pool(x, 3, stride=2, pad=1, ceil=ceil)

    for layer, (count, (depth, halves, *dilations)) in enumerate(zip(blocks, layers), start=1):
        for i in range(count):
            x = bottleneck(n, f'layer{layer}/{i}', x, depth, width,
                           strides if halves and i == 0 else (1, 1), dilations[i > 0], frozen)
    return x


def bottleneck(n, name, x, depth, width=1, strides=(1, 1), dilation=1, frozen=False):
    """ReLU(x + f(x)); f is a 1×1 convolution to a quarter of the depth, a 3×3, and a 1×1 to depth.

    If x has another depth or size than f(x), a 1×1 convolution gives it those.
    """
    narrow = scale_width(depth // 4, width)
    first, second = strides
    y = conv_bn(n, f'{name}/conv1', x, narrow, 1, frozen, first)
    y = conv_bn(n, f'{name}/conv2', relu(y), narrow, 3, frozen, second, dilation)
    y = conv_bn(n, f'{name}/conv3', relu(y), scale_width(depth, width), 1, frozen)
    if x.alignment != y.alignment or x.channels != y.channels:
        n[f'{name}/downsample/0'] = conv(x, y.channels, 1, stride=first * second, bias=False)
        x = n[f'{name}/downsample/1'] = batch_norm(n[f'{name}/downsample/0'], frozen=frozen)
    n[name] = relu(add(x, y))
    return n[name]


def conv_bn(n, name, x, depth, ksize, frozen=False, stride=1, dilation=1, bn=None):
    """A convolution, padded so that only its stride changes the size, and its batch norm.

    bn: the name of the batch norm; by default the name of the convolution with bn for conv
    """
    bn = bn or name.replace('conv', 'bn')
    n[name] = conv(x, depth, ksize, stride, pad=dilation * (ksize // 2), dilation=dilation,
                   bias=False)
    n[bn] = batch_norm(n[name], frozen=frozen)
    return n[bn]
