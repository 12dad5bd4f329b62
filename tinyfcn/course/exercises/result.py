"""What check() says: a line, a hint, and the case that shows it."""
from typing import NamedTuple

from . import drawing


class Verdict(NamedTuple):
    """Shown by a notebook as a picture, by a terminal as text."""
    name: str               # of the exercise
    right: bool
    said: str               # in one line
    hint: str = ''
    case: dict = {}         # the arguments of the smallest case that fails, by name
    mine: object = None     # the reader's array there, where it can be shown
    answer: object = None   # the right one
    part: str = ''          # what these two are called: 'y', or 'dw' of dx, dw, db
    at: tuple = None        # the index of the first wrong number

    def __repr__(self):
        return drawing.text(self)

    def _repr_html_(self):
        return drawing.html(self)
