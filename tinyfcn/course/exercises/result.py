"""What check() returns: a message, a hint, and the smallest case that fails."""
from typing import Any, NamedTuple

import numpy as np

from . import rendering


class Result(NamedTuple):
    """The outcome of a check. A notebook shows it as HTML, a terminal as text."""
    name: str                               # of the exercise
    correct: bool
    message: str                            # in one line
    hint: str = ''
    case: dict[str, Any] = {}               # the smallest case that fails, {argument: value}
    mine: np.ndarray | None = None          # the reader's array there, if it can be shown
    expected: np.ndarray | None = None      # the correct one
    output: str = ''                        # the name of these two: 'y', or 'dw' of dx, dw, db
    wrong_index: tuple[int, ...] | None = None      # of the first wrong number
    written: bool = True                    # False while the function is still a stub

    def __repr__(self):
        return rendering.to_text(self)

    def _repr_html_(self):
        return rendering.to_html(self)
