"""Kernels for CuPy arrays. Importing this package registers them."""
from . import conv, im2col, loss, norm, pointwise, pool, update, upsample

__all__ = ['conv', 'im2col', 'loss', 'norm', 'pointwise', 'pool', 'update', 'upsample']
