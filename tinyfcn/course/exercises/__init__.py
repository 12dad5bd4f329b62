"""The exercises of the course: a function that the reader has written, beside the library's own.

    check('im2col', im2col_mine)        Right, on all 6 cases; or the smallest case that fails

Each file here is a group of exercises, and an exercise is data: how it is called, the cases, the
library's own answer, and what people slip on, each slip with its hint.
"""
from .checker import check
from .result import Verdict

__all__ = ['Verdict', 'check']
