"""Training: the loop, its recipes, and the folder of a run."""
from .loop import StepRow, fit, learning_rate, make_optimizer, train
from .lr_finder import LearningRates, find_lr
from .memory import step_memory
from .recipes import Recipe, get_recipe

__all__ = ['LearningRates', 'Recipe', 'StepRow', 'find_lr', 'fit', 'get_recipe', 'learning_rate',
           'make_optimizer', 'step_memory', 'train']
