"""The exercises of the course: compare a function that the reader has written with the library's.

    check('im2col', im2col_mine)        right on all 6 cases, or the smallest case that fails

Each module here holds a group of exercises. An exercise is data: the names of its inputs and
outputs, the cases, the library's own solution, and known mistakes, each with the hint it deserves.
"""
from .checker import check
from .result import Result

__all__ = ['Result', 'check']
