"""Kernels for NumPy arrays. Importing this package registers them."""
from . import conv, loss, max_switches, norm, pointwise, pool, shape, upsample

__all__ = ['conv', 'loss', 'max_switches', 'norm', 'pointwise', 'pool', 'shape', 'upsample']
