"""FCN on ResNet-50 and -101 at stride 8, as torchvision defines and trains them.

Names are torchvision's, with / in place of dots. classifier/4 gives the scores, ⌈H / 8⌉ rows for H
rows of the image, and row i is centred on row 8·i. `resize` does not know that: it puts row i at
(i + ½)·H / ⌈H / 8⌉ − ½, which is 8·i + 3.5 if H is a multiple of 8. torchvision's weights were
trained with it.
"""
from ..init import zeros
from ..layers import conv, dropout, relu, resize, scale_width
from .resnet import DILATED_LATER, RESNET50, conv_bn, resnet_trunk


def fcn_resnet(n, n_class=21, width=1, blocks=RESNET50):
    """In training `aux` is a second output, from layer3, whose loss has weight 0.5."""
    layer3, layer4 = stride8_trunk(n, width, blocks)
    n.aux   = fcn_head(n, 'aux_classifier', layer3, scale_width(256, width), n_class)
    n.score = fcn_head(n, 'classifier', layer4, scale_width(512, width), n_class)


def stride8_trunk(n, width=1, blocks=RESNET50):
    """conv1 … layer4. -> the last blocks of layer3 and of layer4, both at stride 8"""
    layer4 = resnet_trunk(n, width, layers=DILATED_LATER, blocks=blocks, ceil=False)
    return n[f'layer3/{blocks[2] - 1}'], layer4


def fcn_head(n, name, x, depth, n_class):
    """A 3×3 convolution to a quarter of the channels, then the scores, resized to the image."""
    conv_bn_relu(n, name, x, depth, 3)
    n[f'{name}/3'] = dropout(n[f'{name}/2'], .1)
    n[f'{name}/4'] = conv(n[f'{name}/3'], n_class, 1, init=zeros)
    return resize(n[f'{name}/4'], like=n.data)


def conv_bn_relu(n, name, x, depth, ksize, dilation=1, first=0):
    """Three modules of a torch.nn.Sequential, numbered from `first` on. -> the last box"""
    y = conv_bn(n, f'{name}/{first}', x, depth, ksize, dilation=dilation, bn=f'{name}/{first + 1}')
    n[f'{name}/{first + 2}'] = relu(y)
    return n[f'{name}/{first + 2}']
