"""What an exercise is."""
from typing import NamedTuple

import numpy as np


class Exercise(NamedTuple):
    """A function to be written: how it is called, and what is right and wrong of it."""
    takes: str          # the names of its arguments, 'x ksize stride pad'
    gives: str          # the names of what it returns, 'dx dw db'
    cases: list         # tuples of arguments, small ones first
    right: object       # the library's own, called alike
    slips: dict         # {hint: a function with the mistake that the hint is for}


def whole(*shape, at=0, dtype='float64'):
    """Whole numbers from −5 to 9, the same ones for one `at`: a person adds them in the head."""
    return np.random.default_rng((at, *shape)).integers(-5, 10, shape).astype(dtype)
