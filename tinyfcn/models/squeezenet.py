"""SqueezeNet v1.1 (Iandola et al. 2016): a trunk of 722,496 parameters that a laptop can train."""
from ..layers import avg_pool_to, concat, conv, dropout, max_pool, relu, scale_width


def squeezenet(n, n_class=1000, width=1):
    """The ImageNet classifier; conv10 is a map of scores, averaged at the end."""
    squeezenet_trunk(n, width, pad=0)
    n.conv10 = conv(n.drop9, n_class, 1)
    n.relu10 = relu(n.conv10)
    n.score  = avg_pool_to(n.relu10, 1)


def squeezenet_trunk(n, width=1, pad=8):
    """conv1 … drop9. fire3 is at stride 4, fire5 at 8, fire9 at 16.

    With this padding even a 1×1 image is large enough.
    """
    n.conv1 = conv(n.data, scale_width(64, width), 3, stride=2, pad=pad)
    n.relu1 = relu(n.conv1)
    n.pool1 = max_pool(n.relu1, 3, stride=2)
    n.fire2 = fire(n, 'fire2', n.pool1, scale_width(16, width), scale_width(64, width))
    n.fire3 = fire(n, 'fire3', n.fire2, scale_width(16, width), scale_width(64, width))
    n.pool3 = max_pool(n.fire3, 3, stride=2)
    n.fire4 = fire(n, 'fire4', n.pool3, scale_width(32, width), scale_width(128, width))
    n.fire5 = fire(n, 'fire5', n.fire4, scale_width(32, width), scale_width(128, width))
    n.pool5 = max_pool(n.fire5, 3, stride=2)
    n.fire6 = fire(n, 'fire6', n.pool5, scale_width(48, width), scale_width(192, width))
    n.fire7 = fire(n, 'fire7', n.fire6, scale_width(48, width), scale_width(192, width))
    n.fire8 = fire(n, 'fire8', n.fire7, scale_width(64, width), scale_width(256, width))
    n.fire9 = fire(n, 'fire9', n.fire8, scale_width(64, width), scale_width(256, width))
    n.drop9 = dropout(n.fire9, .5)


def fire(n, name, x, squeezed, expanded):
    """Squeeze to few channels, then expand by a 1×1 and a 3×3 convolution, concatenated."""
    squeeze = n[f'{name}/squeeze1x1'] = conv(x, squeezed, 1)
    squeeze = n[f'{name}/relu_squeeze1x1'] = relu(squeeze)
    n[f'{name}/expand1x1'] = conv(squeeze, expanded, 1)
    n[f'{name}/expand3x3'] = conv(squeeze, expanded, 3, pad=1)
    return concat(relu(n[f'{name}/expand1x1']), relu(n[f'{name}/expand3x3']))
