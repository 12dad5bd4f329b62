"""What an exercise is."""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Exercise(NamedTuple):
    """A function for the reader to write, with its cases, its solution and the usual mistakes."""
    inputs: str                             # names of its arguments, 'x ksize stride pad'
    outputs: str                            # names of what it returns, 'dx dw db'
    cases: list[tuple[Any, ...]]            # tuples of arguments, small ones first
    solution: Callable[..., Any]            # the library's own function, called the same way
    # {hint: a function of the same arguments that makes this mistake}
    mistakes: dict[str, Callable[..., Any]]


def integers(*shape, seed=0, dtype='float64'):
    """Integers from −5 to 9, the same ones for the same seed: easy to add in one's head."""
    return np.random.default_rng((seed, *shape)).integers(-5, 10, shape).astype(dtype)
