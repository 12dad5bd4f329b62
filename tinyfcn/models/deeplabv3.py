"""DeepLab v3 (Chen, Papandreou, Schroff & Adam 2017) as torchvision defines and trains it.

Names, and where the scores are put, are those of fcn_resnet.py.

The mean over an image is one value for each channel, and batch norm needs two to train: use a batch
size of two or more.
"""
from ..init import zeros
from ..layers import avg_pool_to, concat, conv, dropout, resize, scale_width
from .fcn_resnet import conv_bn_relu, fcn_head, stride8_trunk
from .resnet import RESNET50

RATES = 12, 24, 36


def deeplabv3_resnet(n, n_class=21, width=1, blocks=RESNET50):
    """In training `aux` is a second output, from layer3, whose loss has weight 0.5."""
    layer3, layer4 = stride8_trunk(n, width, blocks)
    depth = scale_width(256, width)
    n.aux = fcn_head(n, 'aux_classifier', layer3, depth, n_class)
    aspp(n, 'classifier/0', layer4, depth)
    conv_bn_relu(n, 'classifier', n['classifier/0'], depth, 3, first=1)
    n['classifier/4'] = conv(n['classifier/3'], n_class, 1, init=zeros)
    n.score = resize(n['classifier/4'], like=n.data)


def aspp(n, name, x, depth):
    """Atrous spatial pyramid pooling: a 1×1, three dilated 3×3, and the mean over the image."""
    branches = [conv_bn_relu(n, f'{name}/convs/0', x, depth, 1)]
    for i, rate in enumerate(RATES, start=1):
        branches.append(conv_bn_relu(n, f'{name}/convs/{i}', x, depth, 3, rate))
    n[f'{name}/convs/4/0'] = avg_pool_to(x, 1)
    mean = conv_bn_relu(n, f'{name}/convs/4', n[f'{name}/convs/4/0'], depth, 1, first=1)
    branches.append(resize(mean, like=x))

    n[f'{name}/concat'] = concat(*branches)
    n[name] = dropout(conv_bn_relu(n, f'{name}/project', n[f'{name}/concat'], depth, 1), .5)
