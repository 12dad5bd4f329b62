"""VGG-16 (Simonyan & Zisserman 2015), its fully connected layers written as convolutions."""
from ..layers import avg_pool_to, conv, dropout, max_pool, relu, scale_width

# block: the channels of its convolutions
DEPTHS = {1: (64, 64), 2: (128, 128), 3: (256, 256, 256), 4: (512, 512, 512), 5: (512, 512, 512)}


def vgg16(n, n_class=1000, width=1):
    """The ImageNet classifier: 1×1 places for 224×224, a map of scores (fc8) for larger images."""
    vgg16_trunk(n, n.data, width, pad=1)
    n.fc8 = conv(n.drop7, n_class, 1)
    n.score = avg_pool_to(n.fc8, 1)


def vgg16_trunk(n, x, width=1, pad=100):
    """conv1_1 … pool5, then fc6 and fc7 as convolutions of 7×7 and 1×1.

    FCN pads the image by 100, so that pool5 has room for the 7×7 window of fc6 at any image size.
    """
    for block in DEPTHS:
        x = vgg16_block(n, block, x, width, pad)
        x = n[f'pool{block}'] = max_pool(x, 2)
        pad = 1

    fc6_fc7(n, 7, width)


def vgg16_block(n, block, x, width=1, pad=1, dilation=1):
    """conv1_1, relu1_1 … of a block, dilated in DeepLab. -> the last box"""
    for i, depth in enumerate(DEPTHS[block], start=1):
        x = n[f'conv{block}_{i}'] = conv(x, scale_width(depth, width), 3, pad=pad,
                                         dilation=dilation)
        x = n[f'relu{block}_{i}'] = relu(x)
        pad = dilation
    return x


def fc6_fc7(n, ksize, width=1):
    """The two fully connected layers of VGG-16 and AlexNet, as convolutions over pool5."""
    n.fc6   = conv(n.pool5, scale_width(4096, width), ksize)
    n.relu6 = relu(n.fc6)
    n.drop6 = dropout(n.relu6, .5)
    n.fc7   = conv(n.drop6, scale_width(4096, width), 1)
    n.relu7 = relu(n.fc7)
    n.drop7 = dropout(n.relu7, .5)
