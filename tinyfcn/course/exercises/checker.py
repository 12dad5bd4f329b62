"""check(): the reader's function and the library's own, side by side on every case."""
import inspect
import traceback
from copy import deepcopy
from difflib import get_close_matches
from functools import cache

from . import (
    alignment as places,
    array_backend as elsewhere,
    confusion,
    convolution,
    crf as hearing,
    dilation as holes,
    family,
    gradients,
    pooling,
    training,
    upsampling,
)
from .compare import agree, difference, host, kind, outcome, words
from .result import Verdict

EXERCISES = {name: exercise for group in (confusion, convolution, gradients, pooling, upsampling,
                                          places, training, elsewhere, holes, hearing, family)
             for name, exercise in group.EXERCISES.items()}


def check(name, mine):
    """The reader's function beside the library's own.   -> Verdict; it never raises

    Of a wrong one the smallest case that fails is shown, and a hint if the mistake is a known one.
    """
    try:
        return _judged(name, mine)
    except KeyboardInterrupt:                           # the reader's own wish
        raise
    except BaseException as error:
        return Verdict(_named(name), False, f'this cannot be checked: {words(error)}')


def _judged(name, mine):
    if not isinstance(name, str) or name not in EXERCISES:
        near = get_close_matches(_named(name), EXERCISES, 3, .4)
        return Verdict(_named(name), False, 'there is no such exercise', hint=
                       f'Perhaps {" or ".join(near)}?' if near else
                       f'There are {", ".join(EXERCISES)}.')
    exercise = EXERCISES[name]
    if mine is None or mine is ...:
        return _not_yet(name)
    if not callable(mine):
        return Verdict(name, False, f'{kind(mine)} was handed in; a function is needed',
                       f'Its name alone, without calling it: check({name!r}, {name}_mine)')
    if not _takes(mine, exercise):
        return Verdict(name, False, 'your function takes other arguments',
                       f'It is called with {", ".join(exercise.takes.split())}.')
    found = []
    for args in exercise.cases:
        found.append(outcome(exercise, mine, args))
        if found[-1] is None:
            return _not_yet(name)
    truths, slips = _known(name)
    failed = [i for i, truth in enumerate(truths) if not agree(found[i], truth)]
    if not failed:
        return Verdict(name, True, f'right, on all {len(truths)} cases. Well done!')
    i = failed[0]
    return Verdict(name, False, hint=_hint(slips, found, i),
                   case=dict(zip(exercise.takes.split(), deepcopy(exercise.cases[i]))),
                   **_shown(exercise, mine, found[i], truths[i]))


@cache
def _known(name):
    """What the right function makes of every case, and by its hint what each slip does."""
    exercise = EXERCISES[name]
    every = {'': exercise.right, **exercise.slips}
    found = {hint: [outcome(exercise, function, args) for args in exercise.cases]
             for hint, function in every.items()}
    return found.pop(''), found


def _hint(slips, found, i):
    """That of the slip which explains case i, and of the other cases the most."""
    same = {hint: list(map(agree, answers, found)) for hint, answers in slips.items()}
    return max((hint for hint in same if same[hint][i]), key=lambda hint: sum(same[hint]),
               default='')


def _shown(exercise, mine, found, truth):
    """What the verdict says, and draws, of the first part that is wrong."""
    if isinstance(found, BaseException):
        return dict(said=words(found) + _line(found, mine))
    for part, a, b in zip(exercise.gives.split(), found, truth):
        if wrong := difference(part, a, b):
            break
    (said, at), a, b = wrong, host(a), host(b).copy()
    if a.dtype.kind not in 'biuf':
        return dict(said=said)
    return dict(said=said, part=part, mine=a, answer=b, at=at)


def _line(error, mine):
    """The reader's own line that an error comes from."""
    code = getattr(mine, '__code__', None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)
             if code and frame.filename == code.co_filename and frame.line]
    return f', in the line `{lines[-1]}`' if lines else ''


def _takes(mine, exercise):
    try:
        inspect.signature(mine).bind(*exercise.takes.split())
    except TypeError:
        return False
    except ValueError:                                  # some that are written in C do not tell
        pass
    return True


def _not_yet(name):
    return Verdict(name, False, 'not yet. Fill in the function and run this cell again.')


def _named(name):
    return name[:99] if isinstance(name, str) else kind(name)
