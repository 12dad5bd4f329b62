"""The ops, step by step: each function runs the library and gives a Player of what it computed.

    tracing.im2col(x, w, pad=1)         shows itself when it ends a notebook's cell
    tracing.im2col(x, w, pad=1).save('im2col.gif')

x (C, H, W) or (H, W), w (C, kh, kw) or (kh, kw): small numbers of your own. A grid of several
channels is several grids, 'x[0]', 'x[1]', …. Not one number is computed here: frames hold what
ops returned, of a part of the input where a frame shows a part of the sum.
"""
from .alignment import fusion, places
from .bilinear import bilinear
from .confusion import confusion
from .crf import mean_field
from .dilation import ways
from .gradient import backward, col2im
from .pool import max_pool
from .pyramid import avg_pool_to
from .transpose import scatter, transposed, zero_insert
from .window import convolution, im2col, matrix

__all__ = ['avg_pool_to', 'backward', 'bilinear', 'col2im', 'confusion', 'convolution', 'fusion',
           'im2col', 'matrix', 'max_pool', 'mean_field', 'places', 'scatter', 'transposed', 'ways',
           'zero_insert']
