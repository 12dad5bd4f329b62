"""A small VGG that trains from random weights on a laptop: the paper's staging in minutes.

Batch norm replaces what pretrained weights would give: activations of a scale at which a net of
this depth starts to learn.
"""
from ..layers import batch_norm, conv, dropout, max_pool, relu, scale_width
from .fcn import stride32


def tiny(n, n_class=5, width=1, head=stride32):
    """One of the paper's heads, stride32, stride16 or stride8, on the tiny trunk."""
    tiny_trunk(n, width)
    head(n, n_class)


def tiny_trunk(n, width=1):
    """conv1_1 … pool5, a convolution a block, then fc6 over 5×5 of pool5.

    As in the paper, padding makes room for fc6 at any image size. It is added before the third
    block, where a row costs a sixteenth of a row of the image.
    """
    x = n.data
    for block, (depth, pad) in enumerate([(16, 1), (24, 1), (32, 17), (48, 1), (64, 1)], start=1):
        x = n[f'conv{block}_1'] = conv(x, scale_width(depth, width), 3, pad=pad, bias=False)
        x = n[f'bn{block}_1'] = batch_norm(x)
        x = n[f'relu{block}_1'] = relu(x)
        x = n[f'pool{block}'] = max_pool(x, 2)

    n.fc6   = conv(n.pool5, scale_width(128, width), 5, bias=False)
    n.bn6   = batch_norm(n.fc6)
    n.relu6 = relu(n.bn6)
    n.drop7 = dropout(n.relu6, .1)
