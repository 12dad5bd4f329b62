"""A net is a list of named boxes: the graph, the walk forward and the walk back."""
from .box import Box
from .net import Net

__all__ = ['Box', 'Net']
