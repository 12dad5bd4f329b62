"""Kernels for NumPy arrays. Importing this package registers them."""
from . import conv, loss, norm, pointwise, pool, shape, update, upsample

__all__ = ['conv', 'loss', 'norm', 'pointwise', 'pool', 'shape', 'update', 'upsample']
