"""The ops: pairs of pure functions on plain arrays, (N, C, H, W), float32 or float64.

    y, cache = ops.conv2d(x, w, b, pad=1)
    dx, dw, db = ops.conv2d.backward(dy, cache)     always a tuple; None where there is no gradient
"""
from .conv import col2im, conv2d, conv_transpose2d, im2col
from .dice import dice_loss
from .focal import focal_loss
from .loss import softmax_cross_entropy
from .matrix import conv_matrix, resize, upsample
from .norm import batch_norm, local_response_norm
from .pointwise import add, dropout, leaky_relu, multiply, relu, scale
from .pool import avg_pool, avg_pool_to, max_pool, max_switches, take, unpool
from .shape import channels, concat, crop, pad

__all__ = [
    'add', 'avg_pool', 'avg_pool_to', 'batch_norm', 'channels', 'col2im', 'concat', 'conv2d',
    'conv_matrix', 'conv_transpose2d', 'crop', 'dice_loss', 'dropout', 'focal_loss', 'im2col',
    'leaky_relu', 'local_response_norm', 'max_pool', 'max_switches', 'multiply', 'pad', 'relu',
    'resize', 'scale', 'softmax_cross_entropy', 'take', 'unpool', 'upsample',
]
