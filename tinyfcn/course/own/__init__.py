"""The reader's own functions train a net: solutions of the exercises, in place of the library's.

    own = read_functions('mine.py')         {'conv2d': …, 'max_pool': …}
    check_functions(own)                    raises if one of them is wrong, with its hint
    run = train(own)                        a small FCN-8s, trained with them
    run.losses, run.seconds['conv2d']       the same losses as with train({}), and what they cost
"""
from .parts import PARTS, functions_of, unused_functions
from .read import check_functions, read_functions
from .training import Run, Scores, evaluate, train

__all__ = ['PARTS', 'Run', 'Scores', 'check_functions', 'evaluate', 'functions_of',
           'read_functions', 'train', 'unused_functions']
