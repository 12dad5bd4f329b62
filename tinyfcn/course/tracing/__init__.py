"""The ops step by step: each function runs the library and returns a Player of what it computed.

    tracing.im2col(x, w, pad=1)         shows itself at the end of a notebook cell
    tracing.im2col(x, w, pad=1).save('im2col.gif')

x is (C, H, W) or (H, W), w is (C, kh, kw) or (kh, kw): small arrays of your own. An array of
several channels is shown as several grids, 'x[0]', 'x[1]', …. No number is computed here: frames
hold what the ops return, for a part of the input where a frame shows a part of the sum.
"""
from .alignment import fusion, receptive_field
from .bilinear import bilinear
from .confusion import confusion
from .crf import mean_field
from .descent import descent
from .dilation import paths
from .gradient import backward, col2im
from .loss import loss
from .net_backward import walk_back
from .pictures import skips, training, walk
from .pool import max_pool
from .pyramid import avg_pool_to
from .stack import stack
from .transpose import scatter, transposed_matrix, zero_insert
from .window import convolution, im2col, matrix

__all__ = ['avg_pool_to', 'backward', 'bilinear', 'col2im', 'confusion', 'convolution', 'descent',
           'fusion', 'im2col', 'loss', 'matrix', 'max_pool', 'mean_field', 'paths',
           'receptive_field', 'scatter', 'skips', 'stack', 'training', 'transposed_matrix', 'walk',
           'walk_back', 'zero_insert']
