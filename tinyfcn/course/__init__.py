"""What the lessons use: exercises that check an answer, traces of an op, and their player.

    progress()                  which exercises you have passed
"""
from .ledger import Progress, progress

__all__ = ['Progress', 'progress']
