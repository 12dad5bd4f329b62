"""Training: the loop, its recipes, and the folder in which a run is kept."""
from .loop import fit, learning_rate, make_optimizer, train

__all__ = ['fit', 'learning_rate', 'make_optimizer', 'train']
